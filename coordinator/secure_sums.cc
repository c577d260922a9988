#include "fedmeta/coordinator/secure_sums.h"

#include <utility>

namespace fedmeta {

Result<SecureSums> SecureSums::Create(const v1::SecureTerms& terms, const StateLayout* layout,
                                      const RoundPlan& plan) {
  FEDMETA_ASSIGN_OR_RETURN(const RingBits bits, RingBitsOf(terms.ring_bits()));
  FEDMETA_ASSIGN_OR_RETURN(RingCodec codec,
                           SecureCodec(terms, layout, MetricCells(plan.message())));
  const std::uint64_t words = codec.words();
  return SecureSums(std::move(codec), bits, words);
}

Status SecureSums::Add(std::uint32_t group, std::uint32_t session,
                       std::span<const std::byte> masked) {
  Group& to = groups_[group];
  if (session < to.session) {
    return Error(ErrorCode::kFailedPrecondition, "secure sum: session " + std::to_string(session) +
                                                     " of group " + std::to_string(group) +
                                                     " is over");
  }
  if (session > to.session || !to.sum) {
    to.session = session;
    to.sum.emplace(bits_, words_);
  }
  return to.sum->Add(masked);
}

std::span<const std::byte> SecureSums::masked(std::uint32_t group) const {
  const auto found = groups_.find(group);
  if (found == groups_.end() || !found->second.sum) return {};
  return found->second.sum->masked().bytes();
}

Status SecureSums::Unmask(std::uint32_t group, std::uint32_t members,
                          std::span<const SecretBytes> self_mask_keys) {
  Group& from = groups_[group];
  if (!from.sum) {
    return Error(ErrorCode::kFailedPrecondition,
                 "secure sum: group " + std::to_string(group) + " has nothing to open");
  }
  const RingVector sum = (*std::exchange(from.sum, std::nullopt)).Unmask(self_mask_keys);
  FEDMETA_ASSIGN_OR_RETURN(RingCodec::Sum decoded, codec_.Decode(sum, members));
  from.opened = std::move(decoded.sum);
  return {};
}

Result<DecodedSum> SecureSums::Finish() const {
  std::optional<DecodedSum> total;
  for (const auto& [number, group] : groups_) {
    if (!group.opened) continue;
    const DecodedSum& one = *group.opened;
    if (!total) {
      total = one;
      for (double& mean : total->mean) mean *= one.weight;
      continue;
    }
    for (std::size_t i = 0; i < one.mean.size(); ++i) total->mean[i] += one.mean[i] * one.weight;
    for (std::size_t i = 0; i < one.metrics.size(); ++i) total->metrics[i].Add(one.metrics[i]);
    total->weight += one.weight;
    total->contributors += one.contributors;
  }
  if (!total) return Error(ErrorCode::kFailedPrecondition, "secure sum: no group was opened");
  for (double& mean : total->mean) mean /= total->weight;
  return *std::move(total);
}

}  // namespace fedmeta

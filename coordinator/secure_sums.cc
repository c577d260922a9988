#include "fedmeta/coordinator/secure_sums.h"

#include <utility>

#include "fedmeta/privacy/secret_rng.h"

namespace fedmeta {

Result<SecureSums> SecureSums::Create(const v1::SecureTerms& terms, const v1::PrivacyTerms* privacy,
                                      const StateLayout* layout, const RoundPlan& plan) {
  FEDMETA_ASSIGN_OR_RETURN(RingCodec codec,
                           SecureCodec(terms, layout, MetricCells(plan.message())));
  SecureSums sums(std::move(codec));
  if (privacy != nullptr) {
    FEDMETA_ASSIGN_OR_RETURN(sums.private_sum_, SecurePrivateSum(terms, *privacy, *layout));
    sums.central_ = privacy->mode() == "central";
  }
  return sums;
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
    to.sum.emplace(codec_.Zero());
  }
  return to.sum->Add(masked);
}

std::span<const std::byte> SecureSums::masked(std::uint32_t group) {
  const auto found = groups_.find(group);
  if (found == groups_.end() || !found->second.sum) return {};
  return found->second.sum->bytes();
}

Status SecureSums::Unmask(std::uint32_t group, std::uint32_t members,
                          std::span<const SecretBytes> self_mask_keys) {
  Group& from = groups_[group];
  if (!from.sum) {
    return Error(ErrorCode::kFailedPrecondition,
                 "secure sum: group " + std::to_string(group) + " has nothing to open");
  }
  FEDMETA_ASSIGN_OR_RETURN(
      from.opened,
      Decode((*std::exchange(from.sum, std::nullopt)).Unmask(self_mask_keys), members));
  return {};
}

Result<DecodedSum> SecureSums::Decode(RingVector sum, std::uint32_t members) {
  if (private_sum_) {
    if (central_) {
      SecretRng rng;
      FEDMETA_RETURN_IF_ERROR(private_sum_->AddCentralNoise(sum, rng));
    }
    return private_sum_->Decode(sum, members);
  }
  FEDMETA_ASSIGN_OR_RETURN(RingCodec::Sum decoded, codec_.Decode(sum, members));
  return std::move(decoded.sum);
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

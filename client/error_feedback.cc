#include "fedmeta/client/error_feedback.h"

#include <cstring>
#include <string>

namespace fedmeta {

bool FeedsBack(const v1::CompressionTerms& terms) {
  return terms.fraction() < 1 && terms.error_feedback();
}

Result<KeptWithResidual> SplitKept(std::span<const std::byte> kept, std::size_t coordinates) {
  KeptWithResidual split{.residual = std::vector<float>(coordinates), .learner = {}};
  if (kept.empty()) return split;
  const std::size_t bytes = coordinates * sizeof(float);
  if (kept.size() < bytes) {
    return Error(ErrorCode::kDataLoss, "what this site kept of its updates has " +
                                           std::to_string(kept.size()) + " bytes, at least " +
                                           std::to_string(bytes) + " are needed");
  }
  std::memcpy(split.residual.data(), kept.data(), bytes);
  split.learner = kept.subspan(bytes);
  return split;
}

Bytes JoinKept(std::span<const float> residual, std::span<const std::byte> learner) {
  const auto first = AsBytes(residual);
  Bytes kept(first.begin(), first.end());
  kept.insert(kept.end(), learner.begin(), learner.end());
  return kept;
}

}  // namespace fedmeta

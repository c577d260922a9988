#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/compression.pb.h"

namespace fedmeta {

/// Whether a client keeps what it does not send.
bool FeedsBack(const v1::CompressionTerms& terms);

/// What a client keeps of a leg under error feedback: the residual of its updates (float32,
/// little-endian), then what its algorithm keeps. It changes only with a round in which the client
/// is counted: one that is not asked, or fails, keeps it as it is, and what it has not sent waits
/// for its next round.
struct KeptWithResidual {
  std::vector<float> residual;
  std::span<const std::byte> learner;  ///< of the bytes that were split
};
/// `kept` empty: no residual yet, zeros. kDataLoss: too short for one.
Result<KeptWithResidual> SplitKept(std::span<const std::byte> kept, std::size_t coordinates);
Bytes JoinKept(std::span<const float> residual, std::span<const std::byte> learner);

}  // namespace fedmeta

#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"

namespace fedmeta::v1 {
class RoundKey;
}

namespace fedmeta {

enum class Purpose : std::uint8_t { kTrain = 1, kEvaluate = 2 };

/// Every message, event, row and log line carries it.
struct RoundKey {
  ExperimentId experiment;
  Purpose purpose = Purpose::kTrain;
  std::uint64_t round = 0;    ///< asynchronous rounds: the model version that was downloaded
  std::uint32_t attempt = 0;  ///< counts from 1
  std::uint32_t session = 0;  ///< secure sessions of an attempt count up from 1
  auto operator<=>(const RoundKey&) const = default;

  /// "fashion-maml/maml train 12.1": experiment, purpose, round.attempt.
  std::string ToString() const;
};

v1::RoundKey ToMessage(const RoundKey& key);
/// Hostile input: an unknown purpose, an empty or over-long experiment name or attempt 0 is an
/// error.
Result<RoundKey> FromMessage(const v1::RoundKey& message);

}  // namespace fedmeta

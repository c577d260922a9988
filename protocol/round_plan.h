#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_key.h"

namespace fedmeta::v1 {
class RoundPlan;
}

namespace fedmeta {

/// What a client is asked to do, exactly. Immutable, cheap to copy, thread-safe.
/// The hash is over the bytes as received: protobuf has no canonical encoding, so a plan is
/// never re-serialised to be hashed or signed.
class RoundPlan {
 public:
  static Result<RoundPlan> Create(const v1::RoundPlan& message);  ///< coordinator
  static Result<RoundPlan> Parse(std::string bytes);              ///< client; hostile input
  const RoundKey& key() const;
  /// The committed round this one builds on: clients promote or discard staged state by it.
  const std::optional<RoundKey>& parent() const;
  const Digest& assignment_hash() const;
  const Digest& state_hash() const;  ///< of the server state to download
  const Digest& hash() const;
  std::string_view bytes() const;
  const v1::RoundPlan& message() const;

 private:
  struct Content;
  explicit RoundPlan(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
  std::shared_ptr<const Content> content_;
};

/// Coordinates of an update in the upload; 0 for evaluation.
std::uint64_t UpdateCoordinates(const v1::RoundPlan& message);
/// Of each of them: 32 is float32.
std::uint32_t UpdateBits(const v1::RoundPlan& message);
/// Bytes of the state to download.
std::uint64_t StateBytes(const v1::RoundPlan& message);
/// Number of metric cells that an evaluation plan asks for: shots x learning_rates x steps; 1 for
/// training.
std::size_t MetricCells(const v1::RoundPlan& message);

}  // namespace fedmeta

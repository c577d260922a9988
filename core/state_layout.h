#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// What a tensor is, said by the model.
enum class TensorKind : std::uint8_t { kBody, kHead, kNormalisation, kBuffer };

struct TensorSpec {
  std::string name;  ///< PyTorch `state_dict` name
  std::vector<std::int64_t> shape;
  TensorKind kind = TensorKind::kBody;
  bool operator==(const TensorSpec&) const = default;
};

/// Elements of a shape; an error for negative extents and for products beyond 2^40.
Result<std::size_t> ElementCount(std::span<const std::int64_t> shape);

/// How the aggregate of a segment enters the server's state s, said by the algorithm.
enum class ServerRule : std::uint8_t {
  kOptimize,    ///< s <- ServerOptimizer(s, mean)         theta, Meta-SGD's alpha
  kMean,        ///< s <- mean                             averaged buffers
  kAccumulate,  ///< s <- s + scale * (reported / population) * mean      SCAFFOLD's c
};

/// One named run of coordinates of the flat vector that client and server exchange.
/// Personal tensors are in no segment: they never leave the client.
struct Segment {
  std::string name;
  ServerRule rule = ServerRule::kOptimize;
  double scale = 1.0;
  std::vector<TensorSpec> tensors;
  bool operator==(const Segment&) const = default;
};

/// Names, shapes, offsets and rules of everything that is exchanged. Immutable.
/// The coordinator needs nothing else to run an algorithm it does not link.
class StateLayout {
 public:
  StateLayout() = default;  ///< no segments, size 0
  /// Refuses empty or repeated names, names with control characters or blanks, bad shapes, an empty
  /// layout.
  static Result<StateLayout> Create(std::vector<Segment> segments);
  /// Inverse of text(). Hostile input is refused, not CHECKed.
  static Result<StateLayout> Parse(std::string_view text);

  std::span<const Segment> segments() const { return segments_; }
  std::size_t size() const { return size_; }  ///< coordinates in all
  std::size_t offset(std::size_t segment,
                     std::size_t tensor) const;  ///< first coordinate of a tensor
  std::size_t segment_offset(std::size_t segment) const { return offsets_[segment].front(); }
  std::size_t segment_size(std::size_t segment) const;
  /// Canonical text: one line a segment or tensor.
  const std::string& text() const { return text_; }
  const Digest& fingerprint() const { return fingerprint_; }  ///< SHA-256 of text()
  /// "theta/conv1.weight" for the tensor that holds a coordinate; for error messages.
  std::string CoordinateName(std::size_t coordinate) const;

 private:
  std::vector<Segment> segments_;
  std::vector<std::vector<std::size_t>> offsets_;  // one more than tensors: the end
  std::size_t size_ = 0;
  std::string text_;
  Digest fingerprint_;
};

}  // namespace fedmeta

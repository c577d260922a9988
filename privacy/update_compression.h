#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/privacy/random_rotation.h"
#include "fedmeta/v1/compression.pb.h"

namespace fedmeta {

/// kInvalidArgument: a fraction outside (0, 1], bits outside 2 to 32.
Status CheckTerms(const v1::CompressionTerms& terms);
/// Whether updates have another form on the wire than in the layout.
bool ShortensUpdates(const v1::CompressionTerms& terms);
/// Coordinates that are exchanged of an update: all but what `terms.fraction` leaves out of the
/// segments with the rule kOptimize. Averages and control variates are never left out: they are
/// states, not steps.
std::size_t ExchangedCoordinates(const v1::CompressionTerms& terms, const StateLayout& layout);

/// The linear map that all clients of a round apply to their updates before they are encoded, and
/// the coordinator inverts after they were summed: random-k sparsification (Konecny et al. 2016,
/// "Federated learning: strategies for improving communication efficiency"), then a random
/// rotation. Coordinates and signs follow from (seed, "compression", round): every attempt at a
/// round has the same ones, so that a result survives a retry. The coordinator knows them
/// beforehand, and they say nothing of data. Immutable, thread-safe; borrows the layout.
class UpdateCompression {
 public:
  struct Options {
    v1::CompressionTerms terms;
    const StateLayout* layout = nullptr;
    std::uint64_t seed = 0;  ///< of the assignment
    std::uint64_t round = 0;
  };
  /// kInvalidArgument: as CheckTerms.
  static Result<UpdateCompression> Create(const Options& options);

  /// What the codecs encode.
  const StateLayout& exchanged() const { return exchanged_; }
  /// `residual`: what this client has not sent of earlier updates, of the layout's size; it is
  /// added before and holds the rest afterwards (Seide et al. 2014; Stich, Cordonnier and Jaggi
  /// 2018, "Sparsified SGD with memory"). Empty: nothing is fed back.
  std::vector<float> Compress(std::span<const float> update, std::span<float> residual) const;
  /// The mean over the layout; what was not sent is zero. Without error feedback what was sent is
  /// multiplied by all / sent coordinates, so that it is right on average.
  std::vector<double> Expand(std::vector<double> mean) const;

 private:
  UpdateCompression() = default;

  const StateLayout* layout_ = nullptr;
  StateLayout exchanged_;
  std::vector<std::size_t> sent_;  // ascending; empty: all
  double scale_ = 1;               // of the mean of optimised segments
  std::optional<RandomRotation> rotation_;
};

}  // namespace fedmeta

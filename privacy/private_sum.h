#pragma once

#include <cstdint>

#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/privacy/local_noise.h"
#include "fedmeta/privacy/ring_codec.h"
#include "fedmeta/privacy/ring_vector.h"
#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/v1/differential_privacy.pb.h"

namespace fedmeta {

/// Sums of training updates under differential privacy at client level: the codec whose encoding
/// bounds what one client can add, and the noise that hides it. What a client sends of a round,
/// update and metrics together, has an L2 norm of at most the clip; in the ring that is the
/// sensitivity, rounding included. The noise of a released sum is discrete Gaussian with standard
/// deviation noise_multiplier x sensitivity, in each coordinate, fresh for each sum.
///
/// Mode distributed: each member adds noise of its own below the masks (LocalNoise). That a sum of
/// discrete Gaussians is not quite one costs less than 1e-60 of epsilon at local widths of 4 and
/// more (Kairouz, Liu, Steinke 2021, "The distributed discrete Gaussian mechanism", theorem 1), so
/// less is refused.
///
/// Immutable, thread-safe; borrows the layout.
class PrivateSum {
 public:
  struct Options {
    const StateLayout* layout = nullptr;
    std::size_t metric_cells = 1;
    v1::PrivacyTerms terms;
    RingBits bits = RingBits::k64;
    std::uint32_t minimum = 1;  ///< fewest members of a sum
    std::uint32_t cohort = 1;   ///< most
    double metric_bound = 10;   ///< largest loss that a client reports
  };
  /// Takes the finest scale that the ring has room for. kInvalidArgument: no scale lets the sum fit
  /// and keeps the noise wide enough, more colluders than a session of `minimum` withstands; each
  /// with the inequality and the nearest settings that work.
  static Result<PrivateSum> Create(const Options& options);

  const RingCodec& codec() const { return codec_; }
  /// Of the noise that the account counts on, in units of the ring.
  std::uint64_t sigma() const { return sigma_; }
  /// Of each member, mode distributed.
  LocalNoise local_noise() const;

  /// Encode, without metrics where none are sent.
  Result<RingVector> Encode(Contribution contribution) const;
  /// Mode central: the noise of the sum.
  Status AddCentralNoise(RingVector& sum, SecretRng& rng) const;
  /// Of a sum with noise: the mean over all members, and metrics as means over them; none where
  /// their noise would be wider than a tenth of their range.
  Result<DecodedSum> Decode(const RingVector& sum, std::uint32_t members) const;

 private:
  PrivateSum(RingCodec codec, Options options, std::uint64_t sigma)
      : codec_(std::move(codec)), options_(std::move(options)), sigma_(sigma) {}

  bool TellsMetrics(std::uint32_t members) const;

  RingCodec codec_;
  Options options_;
  std::uint64_t sigma_;
};

/// Whether the unit is a client (modes central and distributed), so that sums carry noise.
bool HidesClients(const v1::PrivacyTerms& terms);

}  // namespace fedmeta

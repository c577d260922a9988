#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// What one release costs: Gaussian noise of standard deviation noise_multiplier x sensitivity, on
/// a sum in which each unit stands with probability sampling_rate, by its own draw.
struct ReleaseTerms {
  double noise_multiplier = 0;  ///< > 0
  double sampling_rate = 1;     ///< in (0, 1]
};

/// How releases are composed and turned into an epsilon. All are upper bounds; they differ in what
/// they hold for.
enum class Accountant : std::uint8_t {
  /// Continuous noise, sampling rate 1: the exact trade-off (Balle and Wang 2018, theorem 8). T
  /// releases are one with 1/sqrt(T) of the noise.
  kExactGaussian,
  /// Discrete noise in a ring too, sampling rate 1: concentrated privacy, T / (2 multiplier^2)
  /// (Canonne, Kamath, Steinke 2020), converted at the best order of all.
  kZeroConcentrated,
  /// Any sampling rate: Renyi divergences at RdpOrders(). Below rate 1 the bound is that of
  /// continuous noise, and the sampling is an assumption.
  kRenyi,
};
std::string_view AccountantName(Accountant accountant);  ///< "exact", "zcdp", "rdp"

/// That of noise in a ring at this sampling rate.
Accountant RingAccountant(double sampling_rate);

struct PrivacySpent {
  double epsilon = 0;
  std::optional<double> order = {};  ///< at which the bound was best; none for the exact one
};

/// All refuse (kInvalidArgument) what lies outside the bounds above, delta outside (0, 1), and a
/// sampling rate that the accountant does not know. Pure; a curve of kRenyi below rate 1 costs
/// milliseconds, all else microseconds.
Result<PrivacySpent> SpentBy(Accountant accountant, const ReleaseTerms& terms,
                             std::uint64_t releases, double delta);
/// The least noise multiplier with which `releases` cost at most `epsilon` > 0, to 6 digits and
/// rounded up. kInvalidArgument also where none below 1e9 is enough.
Result<double> NoiseFor(Accountant accountant, double sampling_rate, std::uint64_t releases,
                        double epsilon, double delta);
/// How many releases cost at most `epsilon` > 0; at most 1e9.
Result<std::uint64_t> ReleasesWithin(Accountant accountant, const ReleaseTerms& terms,
                                     double epsilon, double delta);

}  // namespace fedmeta

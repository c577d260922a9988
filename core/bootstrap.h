#pragma once

#include <span>

#include "fedmeta/core/rng.h"

namespace fedmeta {

struct Interval {
  double mean = 0, low = 0, high = 0;
};

/// The mean with the 2.5 and 97.5 % percentiles of the means of 2,000 resamples (Efron 1979).
/// Paired: give it differences. Without values all 0.
Interval BootstrapMean(std::span<const double> values, Rng& rng);

}  // namespace fedmeta

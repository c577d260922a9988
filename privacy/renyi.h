#pragma once

#include <span>

namespace fedmeta {

/// Renyi differential privacy (Mironov 2017) of one release with Gaussian noise: the divergence of
/// order `order` > 1 between what is released with and without one unit. `noise_multiplier` > 0:
/// standard deviation of the noise over the sensitivity. Divergences of one order add over
/// releases. The discrete Gaussian has the same bound (Canonne, Kamath, Steinke 2020, theorem 14).
/// Pure functions.
double GaussianRdp(double order, double noise_multiplier);

/// The same where each unit takes part by its own draw with probability `sampling_rate` in [0, 1]
/// (Mironov, Talwar, Zhang 2019, "Renyi differential privacy of the sampled Gaussian mechanism":
/// section 3.3; integer orders by the binomial sum, others by the series). Infinite where the
/// series does not converge.
double SampledGaussianRdp(double order, double sampling_rate, double noise_multiplier);

/// The epsilon that a divergence of this order implies at delta: r + log(1 - 1/a) -
/// log(delta a)/(a - 1) (Canonne, Kamath, Steinke 2020, proposition 12), at least 0.
double EpsilonOfRdp(double divergence, double order, double delta);

/// Orders at which a curve is converted: 1.1 to 10.9 by tenths, 11 to 63, powers of two to 1024.
std::span<const double> RdpOrders();

}  // namespace fedmeta

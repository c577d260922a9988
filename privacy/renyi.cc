#include "fedmeta/privacy/renyi.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

namespace fedmeta {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLogNegligible = -40;  // terms of the series below e^-40 change no digit
constexpr int kMostTerms = 100'000;

constexpr std::size_t kOrders = 99 + 53 + 5;
constexpr std::array<double, kOrders> MakeOrders() {
  std::array<double, kOrders> orders{};
  std::size_t at = 0;
  for (int tenth = 11; tenth < 110; ++tenth) orders[at++] = tenth / 10.0;
  for (int whole = 11; whole < 64; ++whole) orders[at++] = whole;
  for (int power = 64; power <= 1024; power *= 2) orders[at++] = power;
  return orders;
}
constexpr std::array<double, kOrders> kAllOrders = MakeOrders();

double LogAdd(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == -kInfinity ? a : a + std::log1p(std::exp(b - a));
}
/// log(e^a - e^b), a >= b.
double LogSubtract(double a, double b) {
  if (b == -kInfinity) return a;
  return a > b ? a + std::log1p(-std::exp(b - a)) : -kInfinity;
}

/// log of erfc, also where erfc itself underflows (its asymptotic series).
double LogErfc(double x) {
  if (x < 25) return std::log(std::erfc(x));
  const double square = x * x;
  return -square - std::log(x) - 0.5 * std::log(std::numbers::pi) +
         std::log1p(-0.5 / square + 0.75 / (square * square));
}

/// log A_a of the paper for an integer order.
double LogMomentWhole(int order, double q, double variance) {
  double sum = -kInfinity;
  double log_binomial = 0;
  for (int i = 0; i <= order; ++i) {
    if (i > 0) log_binomial += std::log(order - i + 1.0) - std::log(static_cast<double>(i));
    const double term = log_binomial + i * std::log(q) + (order - i) * std::log1p(-q) +
                        i * (i - 1.0) / (2 * variance);
    sum = LogAdd(sum, term);
  }
  return sum;
}

/// log A_a for any order: two series, over the two sides of the point z0 where the densities cross.
/// The binomial coefficients of a fractional order change sign.
double LogMomentSeries(double order, double q, double variance) {
  const double crossing = variance * std::log(1 / q - 1) + 0.5;
  const double root = std::sqrt(2 * variance);
  double positive = -kInfinity;
  double negative = -kInfinity;
  double log_coefficient = 0;
  bool is_positive = true;
  for (int i = 0; i < kMostTerms; ++i) {
    const double j = order - i;
    const double left = log_coefficient + i * std::log(q) + j * std::log1p(-q) +
                        i * (i - 1.0) / (2 * variance) + LogErfc((i - crossing) / root) -
                        std::numbers::ln2;
    const double right = log_coefficient + j * std::log(q) + i * std::log1p(-q) +
                         j * (j - 1.0) / (2 * variance) + LogErfc((crossing - j) / root) -
                         std::numbers::ln2;
    double& sum = is_positive ? positive : negative;
    sum = LogAdd(sum, LogAdd(left, right));
    // Before the coefficients alternate, terms may grow again.
    if (i > order && std::max(left, right) < kLogNegligible) return LogSubtract(positive, negative);
    const double factor = j / (i + 1.0);
    is_positive = is_positive == (factor > 0);
    log_coefficient += std::log(std::fabs(factor));
  }
  return kInfinity;
}

}  // namespace

double GaussianRdp(double order, double noise_multiplier) {
  return order / (2 * noise_multiplier * noise_multiplier);
}

double SampledGaussianRdp(double order, double sampling_rate, double noise_multiplier) {
  if (sampling_rate <= 0) return 0;
  if (sampling_rate >= 1) return GaussianRdp(order, noise_multiplier);
  const double variance = noise_multiplier * noise_multiplier;
  const double moment = order == std::floor(order)
                            ? LogMomentWhole(static_cast<int>(order), sampling_rate, variance)
                            : LogMomentSeries(order, sampling_rate, variance);
  return std::max(0.0, moment / (order - 1));
}

double EpsilonOfRdp(double divergence, double order, double delta) {
  return std::max(0.0, divergence + std::log1p(-1 / order) - std::log(delta * order) / (order - 1));
}

std::span<const double> RdpOrders() { return kAllOrders; }

}  // namespace fedmeta

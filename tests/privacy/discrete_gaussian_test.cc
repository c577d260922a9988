#include "fedmeta/privacy/discrete_gaussian.h"

#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

// The seeded generator cannot become noise: this does not compile.
template <typename Generator>
concept MakesNoise = requires(const DiscreteGaussian& noise, Generator& generator) {
  noise.Draw(generator);
};
static_assert(MakesNoise<SecretRng>);
static_assert(!MakesNoise<Rng>);

constexpr double kDraws = 400'000;
// How improbable a correct sampler's failure is: the generator cannot be seeded, so each run of
// the tests draws anew. Six standard deviations are 2e-9.
constexpr double kDeviations = 6;

std::vector<double> DrawMany(std::uint64_t sigma) {
  const DiscreteGaussian noise = DiscreteGaussian::Create(sigma).value();
  SecretRng rng;
  std::vector<double> draws(static_cast<std::size_t>(kDraws));
  for (double& draw : draws) draw = static_cast<double>(noise.Draw(rng));
  return draws;
}

double MeanOf(const std::vector<double>& values, int power) {
  double sum = 0;
  for (const double value : values) sum += std::pow(value, power);
  return sum / static_cast<double>(values.size());
}

TEST(DiscreteGaussianTest, FitsItsDistributionPointByPoint) {
  for (const std::uint64_t sigma : {1, 3, 10}) {
    const auto s = static_cast<double>(sigma);
    double total = 0;
    for (double x = -40 * s; x <= 40 * s; ++x) total += std::exp(-x * x / (2 * s * s));
    std::map<int, double> seen;
    for (const double draw : DrawMany(sigma)) ++seen[static_cast<int>(draw)];
    // Pearson's chi-square over the points that expect 20 draws or more, the rest as one.
    double statistic = 0, rest_expected = kDraws, rest_seen = kDraws;
    int cells = 0;
    for (int x = -40 * static_cast<int>(sigma); x <= 40 * static_cast<int>(sigma); ++x) {
      const double expected = kDraws * std::exp(-x * x / (2 * s * s)) / total;
      if (expected < 20) continue;
      statistic += std::pow(seen[x] - expected, 2) / expected;
      rest_expected -= expected;
      rest_seen -= seen[x];
      ++cells;
    }
    if (rest_expected >= 5) {
      statistic += std::pow(rest_seen - rest_expected, 2) / rest_expected;
      ++cells;
    }
    // Wilson and Hilferty: the cube root of chi-square over its degrees of freedom is near normal.
    const double freedom = cells - 1;
    const double deviation =
        (std::cbrt(statistic / freedom) - (1 - 2 / (9 * freedom))) / std::sqrt(2 / (9 * freedom));
    EXPECT_LT(deviation, kDeviations)
        << "sigma " << sigma << ", chi-square " << statistic << " of " << freedom;
  }
}

TEST(DiscreteGaussianTest, HasTheMomentsOfANormalWhereItIsWide) {
  // Up to the widest; the standard errors are those of a normal: 1, sqrt(2), sqrt(96) over root n.
  for (const std::uint64_t sigma :
       {std::uint64_t{40}, std::uint64_t{123'456'789}, DiscreteGaussian::kLargestSigma}) {
    std::vector<double> draws = DrawMany(sigma);
    for (double& draw : draws) draw /= static_cast<double>(sigma);
    const double root = std::sqrt(kDraws);
    EXPECT_LT(std::fabs(MeanOf(draws, 1)), kDeviations / root) << sigma;
    EXPECT_LT(std::fabs(MeanOf(draws, 2) - 1), kDeviations * std::sqrt(2) / root) << sigma;
    EXPECT_LT(std::fabs(MeanOf(draws, 4) - 3), kDeviations * std::sqrt(96) / root) << sigma;
  }
}

TEST(DiscreteGaussianTest, SuccessiveDrawsAreUncorrelated) {
  const std::vector<double> draws = DrawMany(5);
  double sum = 0;
  for (std::size_t i = 1; i < draws.size(); ++i) sum += draws[i] * draws[i - 1] / 25;
  EXPECT_LT(std::fabs(sum / kDraws), kDeviations / std::sqrt(kDraws));
}

TEST(DiscreteGaussianTest, RefusesAWidthThatItCannotDraw) {
  for (const std::uint64_t sigma : {std::uint64_t{0}, DiscreteGaussian::kLargestSigma + 1}) {
    const auto noise = DiscreteGaussian::Create(sigma);
    ASSERT_FALSE(noise.ok());
    EXPECT_THAT(noise.error().message(), HasSubstr("sigma must be 1 to"));
  }
}

}  // namespace
}  // namespace fedmeta

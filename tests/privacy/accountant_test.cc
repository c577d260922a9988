#include "fedmeta/privacy/accountant.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/privacy/renyi.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

double Epsilon(Accountant accountant, double noise, std::uint64_t releases, double delta,
               double rate = 1) {
  return SpentBy(accountant, {.noise_multiplier = noise, .sampling_rate = rate}, releases, delta)
      .value()
      .epsilon;
}

// Published figures; each digit counts.
TEST(RenyiAccountantTest, SampledOnceInTwentyFive) {
  const PrivacySpent spent =
      SpentBy(Accountant::kRenyi, {.noise_multiplier = 1.5, .sampling_rate = 0.04}, 2250, 1e-5)
          .value();
  EXPECT_NEAR(spent.epsilon, 7.32911, 5e-6);
  EXPECT_DOUBLE_EQ(*spent.order, 3.9);
}

TEST(RenyiAccountantTest, SampledOnceInFourHundred) {
  const PrivacySpent spent =
      SpentBy(Accountant::kRenyi, {.noise_multiplier = 1.3, .sampling_rate = 0.0025}, 6000, 1e-5)
          .value();
  EXPECT_NEAR(spent.epsilon, 0.7242234, 5e-8);
  EXPECT_DOUBLE_EQ(*spent.order, 19);
}

TEST(RenyiAccountantTest, WithoutSampling) {
  EXPECT_NEAR(Epsilon(Accountant::kRenyi, 1, 1, 1e-5), 4.728507, 5e-7);
  EXPECT_NEAR(Epsilon(Accountant::kRenyi, 4, 50, 1e-6), 10.089443, 5e-7);
}

TEST(ExactAccountantTest, GivesTheExactTradeOff) {
  EXPECT_NEAR(Epsilon(Accountant::kExactGaussian, 1, 1, 1e-5), 4.3771781, 5e-8);
  EXPECT_NEAR(Epsilon(Accountant::kExactGaussian, 4, 50, 1e-6), 9.4821916, 5e-8);
}

TEST(ExactAccountantTest, NeedsNoEpsilonWhereDeltaIsEnough) {
  // Noise 1e6 times the sensitivity: the distributions differ by less than delta.
  EXPECT_EQ(Epsilon(Accountant::kExactGaussian, 1e6, 1, 1e-5), 0);
}

TEST(ConcentratedAccountantTest, LiesBetweenTheExactOneAndTheGridOfOrders) {
  for (const double noise : {0.3, 1.0, 4.0, 50.0}) {
    for (const std::uint64_t releases : {1, 50, 3000}) {
      const double exact = Epsilon(Accountant::kExactGaussian, noise, releases, 1e-6);
      const double concentrated = Epsilon(Accountant::kZeroConcentrated, noise, releases, 1e-6);
      EXPECT_GT(concentrated, exact) << noise << " " << releases;
      EXPECT_LE(concentrated, Epsilon(Accountant::kRenyi, noise, releases, 1e-6) + 1e-9);
    }
  }
}

TEST(RenyiTest, SeriesOfAFractionalOrderMeetsTheSumOfAWholeOne) {
  for (const double order : {2.0, 3.0, 10.0}) {
    const double whole = SampledGaussianRdp(order, 0.1, 1.2);
    EXPECT_NEAR(SampledGaussianRdp(order + 1e-9, 0.1, 1.2), whole, 1e-6 * whole) << order;
  }
}

TEST(RenyiTest, SeriesIsTheIntegralThatItStandsFor) {
  // A_a = E_{x ~ N(0, s^2)} [((1 - q) + q e^{(2x - 1) / (2 s^2)})^a], by the trapezoidal rule.
  const double order = 2.7, q = 0.2, s = 0.8;
  double moment = 0;
  const double step = 1e-3;
  for (double x = -30; x <= 60; x += step) {
    const double density = std::exp(-x * x / (2 * s * s)) / (s * std::sqrt(2 * M_PI));
    moment += step * density * std::pow(1 - q + q * std::exp((2 * x - 1) / (2 * s * s)), order);
  }
  EXPECT_NEAR(SampledGaussianRdp(order, q, s), std::log(moment) / (order - 1), 1e-9);
}

TEST(RenyiTest, SamplingHelpsAndNothingHelpsLessThanNothing) {
  for (const double order : RdpOrders()) {
    const double sampled = SampledGaussianRdp(order, 0.05, 1);
    EXPECT_GE(sampled, 0) << order;
    EXPECT_LE(sampled, GaussianRdp(order, 1) * (1 + 1e-12)) << order;
  }
  EXPECT_EQ(SampledGaussianRdp(5, 0, 1), 0);
  EXPECT_EQ(SampledGaussianRdp(5, 1, 1), GaussianRdp(5, 1));
}

TEST(AccountantTest, NothingReleasedCostsNothing) {
  for (const auto accountant :
       {Accountant::kExactGaussian, Accountant::kZeroConcentrated, Accountant::kRenyi}) {
    EXPECT_EQ(Epsilon(accountant, 1, 0, 1e-5), 0);
  }
}

TEST(AccountantTest, NoiseForAnEpsilonCostsThatEpsilonAndNoMore) {
  for (const auto accountant :
       {Accountant::kExactGaussian, Accountant::kZeroConcentrated, Accountant::kRenyi}) {
    const double noise = NoiseFor(accountant, 1, 200, 3, 1e-6).value();
    EXPECT_LE(Epsilon(accountant, noise, 200, 1e-6), 3);
    EXPECT_GT(Epsilon(accountant, noise * (1 - 2e-5), 200, 1e-6), 3);
  }
}

TEST(AccountantTest, NoiseMayRestOnSampling) {
  const double noise = NoiseFor(Accountant::kRenyi, 0.01, 1000, 2, 1e-5).value();
  EXPECT_LE(Epsilon(Accountant::kRenyi, noise, 1000, 1e-5, 0.01), 2);
  EXPECT_LT(noise, NoiseFor(Accountant::kRenyi, 1, 1000, 2, 1e-5).value() / 20);
}

TEST(AccountantTest, RoundsForABudgetAreTheMostThatFit) {
  const ReleaseTerms terms{.noise_multiplier = 5};
  const std::uint64_t within =
      ReleasesWithin(Accountant::kZeroConcentrated, terms, 4, 1e-6).value();
  EXPECT_LE(Epsilon(Accountant::kZeroConcentrated, 5, within, 1e-6), 4);
  EXPECT_GT(Epsilon(Accountant::kZeroConcentrated, 5, within + 1, 1e-6), 4);
  EXPECT_EQ(
      ReleasesWithin(Accountant::kZeroConcentrated, {.noise_multiplier = 0.1}, 1, 1e-6).value(),
      0U);
}

TEST(AccountantTest, RefusesWhatHasNoMeaning) {
  const auto refusal = [](const ReleaseTerms& terms, double delta,
                          Accountant accountant = Accountant::kRenyi) {
    const auto spent = SpentBy(accountant, terms, 1, delta);
    return spent.ok() ? "" : spent.error().message();
  };
  EXPECT_THAT(refusal({.noise_multiplier = 0}, 1e-5), HasSubstr("noise_multiplier must be above"));
  EXPECT_THAT(refusal({.noise_multiplier = NAN}, 1e-5), HasSubstr("noise_multiplier"));
  EXPECT_THAT(refusal({.noise_multiplier = 1}, 0), HasSubstr("delta must be above 0"));
  EXPECT_THAT(refusal({.noise_multiplier = 1}, 1), HasSubstr("delta"));
  EXPECT_THAT(refusal({.noise_multiplier = 1, .sampling_rate = 1.5}, 1e-5),
              HasSubstr("sampling_rate must be above 0 and at most 1, got 1.5"));
  EXPECT_THAT(
      refusal({.noise_multiplier = 1, .sampling_rate = 0.5}, 1e-5, Accountant::kExactGaussian),
      HasSubstr("knows sampling_rate 1 only"));
}

TEST(AccountantTest, SaysWhereNoNoiseIsEnough) {
  // At the largest order of the grid the conversion alone costs log(1/delta)/1023.
  const auto noise = NoiseFor(Accountant::kRenyi, 1, 10, 1e-4, 1e-6);
  ASSERT_FALSE(noise.ok());
  EXPECT_THAT(noise.error().message(), HasSubstr("raise epsilon or delta"));
}

}  // namespace
}  // namespace fedmeta

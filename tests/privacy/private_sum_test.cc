#include "fedmeta/privacy/private_sum.h"

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

StateLayout Layout(std::int64_t coordinates) {
  return StateLayout::Create({{.name = "theta",
                               .rule = ServerRule::kOptimize,
                               .scale = 1,
                               .tensors = {{"weight", {coordinates}, TensorKind::kBody}}}})
      .value();
}

v1::PrivacyTerms Terms(const std::string& mode, double clip, double noise, double share = 0.1) {
  v1::PrivacyTerms terms;
  terms.set_mode(mode);
  terms.set_clip(clip);
  terms.set_noise_multiplier(noise);
  terms.set_delta(1e-6);
  terms.set_metric_share(share);
  return terms;
}

/// A contribution of this norm, in some direction of its own.
Contribution Sent(std::size_t coordinates, double norm, std::uint64_t seed) {
  Rng rng({.seed = seed, .purpose = "test"});
  Contribution contribution{.update = std::vector<float>(coordinates), .weight = 1, .metrics = {}};
  double squares = 0;
  for (float& value : contribution.update) {
    value = static_cast<float>(rng.Normal());
    squares += static_cast<double>(value) * value;
  }
  for (float& value : contribution.update)
    value = static_cast<float>(value * norm / std::sqrt(squares));
  MetricSums cell{.examples = 20, .query_loss = 14, .correct = 11, .tasks = 1};
  cell.FinishClient();
  contribution.metrics = {cell};
  return contribution;
}

double SquaredUnits(const RingVector& vector) {
  double squares = 0;
  for (std::size_t i = 0; i < vector.size(); ++i)
    squares += std::pow(static_cast<double>(vector.Signed(i)), 2);
  return squares;
}

class PrivateSumTest : public ::testing::Test {
 protected:
  /// A sum of `cohort` updates of 40,000 coordinates.
  PrivateSum Make(const v1::PrivacyTerms& terms, RingBits bits, std::uint32_t cohort,
                  std::uint32_t minimum) const {
    return PrivateSum::Create({.layout = &layout_,
                               .terms = terms,
                               .bits = bits,
                               .minimum = minimum,
                               .cohort = cohort})
        .value();
  }
  static constexpr std::size_t kCoordinates = 40'000;
  const StateLayout layout_ = Layout(kCoordinates);
  SecretRng rng_;
};

// The figures below average over 40,000 draws, so that a standard deviation of the measured
// variance is 0.7 %: over ten sums 0.22 %, and 2 % are nine of them.
TEST_F(PrivateSumTest, TheReleasedSumHasThePromisedVariance) {
  const double clip = 0.5, noise = 1.3;
  const PrivateSum sum = Make(Terms("central", clip, noise), RingBits::k64, 10, 10);
  std::vector<double> exact(kCoordinates, 0.0);
  RingVector plain(RingBits::k64, sum.codec().words());
  for (std::uint64_t client = 0; client < 10; ++client) {
    const Contribution sent = Sent(kCoordinates, 0.3, client);
    for (std::size_t i = 0; i < kCoordinates; ++i) exact[i] += static_cast<double>(sent.update[i]);
    ASSERT_TRUE(plain.Add(sum.Encode(sent).value()).ok());
  }
  double squares = 0;
  for (int release = 0; release < 10; ++release) {
    RingVector noisy = plain;
    ASSERT_TRUE(sum.AddCentralNoise(noisy, rng_).ok());
    const DecodedSum decoded = sum.Decode(noisy, 10).value();
    for (std::size_t i = 0; i < kCoordinates; ++i)
      squares += std::pow(decoded.mean[i] * 10 - exact[i], 2);
  }
  // Standard deviation: noise multiplier x clip, in units of the update.
  const double variance = squares / (10 * kCoordinates);
  EXPECT_NEAR(variance / std::pow(noise * clip, 2), 1, 0.02);
}

TEST_F(PrivateSumTest, MembersNoiseOfAllButTheColludersIsThePromisedOne) {
  // Ten members, of which a session withstands three: min(t - 3, n - t) with t = 7.
  const double clip = 0.5, noise = 1.3;
  const PrivateSum sum = Make(Terms("distributed", clip, noise), RingBits::k32, 10, 5);
  double squares = 0;
  for (int release = 0; release < 10; ++release) {
    RingVector counted(RingBits::k32, sum.codec().words());
    for (int member = 0; member < 7; ++member)
      ASSERT_TRUE(sum.local_noise().AddTo(counted, 10, rng_).ok());
    squares += SquaredUnits(counted);
  }
  const double variance = squares / (10.0 * static_cast<double>(sum.codec().words()));
  const double promised = noise * clip * sum.codec().update_scale();
  EXPECT_NEAR(variance / (promised * promised), 1, 0.02);
}

TEST_F(PrivateSumTest, NoContributionPassesTheSensitivity) {
  for (const double norm : {0.0, 0.4, 0.5, 30.0}) {
    const PrivateSum sum = Make(Terms("central", 0.5, 1), RingBits::k32, 10, 10);
    const RingVector sent = sum.Encode(Sent(kCoordinates, norm, 3)).value();
    const double units = std::sqrt(SquaredUnits(sent));
    EXPECT_LE(units, sum.codec().sensitivity()) << norm;
    EXPECT_GE(static_cast<double>(sum.sigma()), units) << norm << ": noise multiplier 1";
    // The clip bounds the whole vector, metrics included; what rounding adds is small beside it.
    EXPECT_LE(sum.codec().sensitivity(), 0.5 * sum.codec().update_scale() * 1.001);
  }
}

TEST_F(PrivateSumTest, AShorterUpdateIsNotScaled) {
  const PrivateSum sum = Make(Terms("central", 0.5, 1), RingBits::k64, 1, 1);
  const Contribution sent = Sent(kCoordinates, 0.3, 3);
  const DecodedSum decoded = sum.Decode(sum.Encode(sent).value(), 1).value();
  for (std::size_t i = 0; i < kCoordinates; ++i)
    ASSERT_NEAR(decoded.mean[i], static_cast<double>(sent.update[i]), 1e-8) << i;
}

TEST_F(PrivateSumTest, TellsMeansButNoCounts) {
  const PrivateSum sum = Make(Terms("central", 0.5, 1e-4), RingBits::k64, 1, 1);
  const MetricSums cell =
      sum.Decode(sum.Encode(Sent(kCoordinates, 0.1, 3)).value(), 1).value().metrics.front();
  EXPECT_NEAR(cell.query_loss / cell.examples, 0.7, 1e-3);
  EXPECT_NEAR(cell.correct / cell.examples, 0.55, 1e-3);
  EXPECT_EQ(cell.examples, 1) << "not how many examples the client has";
  EXPECT_EQ(cell.tasks, 0);
}

TEST_F(PrivateSumTest, TellsNoMetricsThatAreNothingButNoise) {
  // 10 % of the clip over 46 coordinates: a figure at its bound is 1/68 of the noise.
  const PrivateSum sum = Make(Terms("central", 0.5, 1), RingBits::k64, 1'000, 1);
  const RingVector sent = sum.Encode(Sent(kCoordinates, 0.1, 3)).value();
  EXPECT_EQ(sum.Decode(sent, 1).value().metrics.front().clients, 0);
  EXPECT_EQ(sum.Decode(sent, 500).value().metrics.front().clients, 0);
  EXPECT_EQ(sum.Decode(sent, 1'000).value().metrics.front().clients, 1'000);
}

TEST_F(PrivateSumTest, SendsNoMetricsWithoutAShare) {
  const PrivateSum sum = Make(Terms("central", 0.5, 1, 0), RingBits::k64, 1, 1);
  Contribution nothing{
      .update = std::vector<float>(kCoordinates), .weight = 1, .metrics = {MetricSums()}};
  Contribution metrics = Sent(kCoordinates, 0, 3);
  metrics.update.assign(kCoordinates, 0);
  EXPECT_EQ(sum.Encode(metrics).value(), sum.Encode(nothing).value());
  EXPECT_EQ(sum.Decode(sum.Encode(metrics).value(), 1).value().metrics.front().clients, 0);
}

TEST_F(PrivateSumTest, AnUpdateThatIsNotFiniteIsZeros) {
  const PrivateSum sum = Make(Terms("central", 0.5, 1), RingBits::k64, 2, 2);
  Contribution broken = Sent(kCoordinates, 0.3, 3);
  broken.update[7] = NAN;
  RingVector both = sum.Encode(broken).value();
  ASSERT_TRUE(both.Add(sum.Encode(Sent(kCoordinates, 0.3, 4)).value()).ok());
  // The divisor stays the public number of members.
  EXPECT_NEAR(sum.Decode(both, 2).value().mean[0],
              static_cast<double>(Sent(kCoordinates, 0.3, 4).update[0]) / 2, 1e-8);
}

TEST(PrivateSumMembersTest, MembersKnowTheirOwnNoise) {
  const v1::PrivacyTerms terms = Terms("distributed", 1, 1);
  // max(c, 1) of min(t - 3, n - t): 0, 0, 1, 3, 33 of 3, 4, 5, 10, 100.
  EXPECT_EQ(UncountedNoise(terms, 3), 1U);
  EXPECT_EQ(UncountedNoise(terms, 4), 1U);
  EXPECT_EQ(UncountedNoise(terms, 5), 1U);
  EXPECT_EQ(UncountedNoise(terms, 10), 3U);
  EXPECT_EQ(UncountedNoise(terms, 100), 33U);
  v1::PrivacyTerms assumed = terms;
  assumed.set_assumed_colluders(2);
  EXPECT_EQ(UncountedNoise(assumed, 10), 2U);
}

std::string Refusal(const PrivateSum::Options& options) {
  const auto sum = PrivateSum::Create(options);
  return sum.ok() ? "" : sum.error().message();
}

TEST(PrivateSumRefusalTest, ARingTooSmallForTheNoise) {
  const StateLayout layout = Layout(100);
  PrivateSum::Options options{.layout = &layout,
                              .terms = Terms("central", 1, 1e9),
                              .bits = RingBits::k32,
                              .minimum = 100,
                              .cohort = 100};
  EXPECT_THAT(Refusal(options),
              AllOf(HasSubstr("the noise does not fit the ring: cohort x (scale x clip + noise "
                              "tail) = 100 x (128 + 16030408704) must be < 2^31"),
                    HasSubstr("what works: noise_multiplier 1e+06, or "
                              "privacy.secure_aggregation.ring_bits 64")));
  PrivateSum::Options other = options;
  other.terms.set_noise_multiplier(1e6);
  EXPECT_EQ(Refusal(other), "");
  options.bits = RingBits::k64;
  EXPECT_EQ(Refusal(options), "");
}

TEST(PrivateSumRefusalTest, MoreMembersThanTheRingHasRoomFor) {
  // Three members may be few enough where a hundred are not: the noise is sized for three.
  const StateLayout layout = Layout(100);
  PrivateSum::Options options{.layout = &layout,
                              .terms = Terms("distributed", 1, 1e5),
                              .bits = RingBits::k32,
                              .minimum = 3,
                              .cohort = 100};
  const std::string refusal = Refusal(options);
  EXPECT_THAT(refusal, HasSubstr("or sums of at most 32 members"));
  options.cohort = 32;
  EXPECT_EQ(Refusal(options), "");
  options.cohort = 33;
  EXPECT_NE(Refusal(options), "");
}

TEST(PrivateSumRefusalTest, NoiseTooSmallForTheRing) {
  // 128 members share out a noise of 1e-6 of the clip: less than 4 units each in a ring of 32 bits.
  const StateLayout layout = Layout(100);
  PrivateSum::Options options{.layout = &layout,
                              .terms = Terms("distributed", 1, 1e-6),
                              .bits = RingBits::k32,
                              .minimum = 128,
                              .cohort = 128};
  EXPECT_THAT(Refusal(options),
              AllOf(HasSubstr("each member's must have a standard deviation of at least 4 "
                              "units, got 2 with noise_multiplier 1e-06 shared by 128"),
                    HasSubstr("what works: noise_multiplier 2e-06, or "
                              "privacy.secure_aggregation.ring_bits 64")));
  PrivateSum::Options other = options;
  other.terms.set_noise_multiplier(2e-6);
  EXPECT_EQ(Refusal(other), "");
  options.bits = RingBits::k64;
  EXPECT_EQ(Refusal(options), "");
}

TEST(PrivateSumRefusalTest, MoreColludersThanASessionWithstands) {
  const StateLayout layout = Layout(100);
  PrivateSum::Options options{.layout = &layout,
                              .terms = Terms("distributed", 1, 1),
                              .bits = RingBits::k32,
                              .minimum = 5,
                              .cohort = 10};
  options.terms.set_assumed_colluders(2);
  EXPECT_THAT(Refusal(options),
              AllOf(HasSubstr("assumed_colluders must be <= 1, what a session of "
                              "privacy.secure_aggregation.minimum 5 members withstands"),
                    HasSubstr("nearest are assumed_colluders 1 and minimum 7")));
  options.minimum = 7;
  EXPECT_EQ(Refusal(options), "");
}

TEST(PrivateSumRefusalTest, AWordOfMembersThatTheSessionDoesNotHave) {
  const StateLayout layout = Layout(100);
  const PrivateSum sum = PrivateSum::Create({.layout = &layout,
                                             .terms = Terms("distributed", 1, 1),
                                             .bits = RingBits::k32,
                                             .minimum = 5,
                                             .cohort = 10})
                             .value();
  RingVector vector(RingBits::k32, sum.codec().words());
  SecretRng rng;
  // More members would mean less noise of each.
  EXPECT_FALSE(sum.local_noise().AddTo(vector, 11, rng).ok());
  EXPECT_FALSE(sum.local_noise().AddTo(vector, 4, rng).ok());
}

}  // namespace
}  // namespace fedmeta

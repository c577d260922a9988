#include "fedmeta/privacy/ring_codec.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class RingCodecTest : public ::testing::Test {
 protected:
  RingCodec::Options Options() const {
    return {.layout = &layout_,
            .bits = RingBits::k32,
            .cohort = 10,
            .clip = 10,
            .metric_bounds = BoundsOfMetrics(1000, 100)};
  }
  RingCodec Make(const RingCodec::Options& options) const {
    auto codec = RingCodec::Create(options);
    EXPECT_TRUE(codec.ok()) << (codec.ok() ? "" : codec.error().message());
    return std::move(codec).value();
  }
  static std::string Refusal(const RingCodec::Options& options) {
    const auto codec = RingCodec::Create(options);
    return codec.ok() ? "accepted" : codec.error().message();
  }
  static Contribution Good() {
    MetricSums metrics;
    metrics.examples = 20;
    metrics.query_loss = 13.7;
    metrics.correct = 11;
    metrics.clients = 1;
    metrics.mean_loss = 0.685;
    metrics.mean_correct = 0.55;
    return {.update = {0.5F, -0.25F, 1e-3F}, .weight = 3, .metrics = {metrics}};
  }

  const StateLayout layout_ =
      StateLayout::Create({{.name = "theta",
                            .rule = ServerRule::kOptimize,
                            .scale = 1,
                            .tensors = {{"fc.weight", {2}, TensorKind::kBody},
                                        {"fc.bias", {1}, TensorKind::kBody}}}})
          .value();
};

TEST_F(RingCodecTest, TheSumOfManyIsTheirMean) {
  Rng rng({.seed = 1, .purpose = "test"});
  for (const RingBits bits : {RingBits::k32, RingBits::k64}) {
    auto options = Options();
    options.bits = bits;
    const RingCodec codec = Make(options);
    // The largest power of two with 10 x scale x 10 < 2^31, or 2^63.
    EXPECT_EQ(codec.update_scale(), bits == RingBits::k32 ? 0x1p24 : 0x1p56);
    RingVector sum(bits, codec.words());
    double mean = 0;
    for (int i = 0; i < 10; ++i) {
      Contribution contribution = Good();
      contribution.update[0] = static_cast<float>(rng.Normal());
      mean += static_cast<double>(contribution.update[0]) / 10;
      ASSERT_TRUE(sum.Add(codec.Encode(contribution).value()).ok());
    }
    const RingCodec::Sum decoded = codec.Decode(sum, 10).value();
    EXPECT_NEAR(decoded.sum.mean[0], mean, 0.5 / codec.update_scale() + 1e-15);
    EXPECT_NEAR(decoded.sum.mean[1], -0.25, 1e-15);
    EXPECT_EQ(decoded.sum.weight, 10);
    EXPECT_EQ(decoded.sum.contributors, 10U);
    EXPECT_EQ(decoded.failures, 0);
    EXPECT_EQ(decoded.sum.metrics[0].clients, 10);
    EXPECT_NEAR(decoded.sum.metrics[0].mean_loss, 6.85, 10 * 0x1p-20);
  }
}

TEST_F(RingCodecTest, CountsAreLeftOutUnlessTheyMayBeDisclosed) {
  auto options = Options();
  const RingCodec discreet = Make(options);
  const auto said = discreet.Decode(discreet.Encode(Good()).value(), 1)->sum.metrics[0];
  options.disclose_counts = true;
  const RingCodec open = Make(options);
  const auto told = open.Decode(open.Encode(Good()).value(), 1)->sum.metrics[0];
  const auto values = Good().metrics[0].ToArray();
  for (std::size_t i = 0; i < MetricSums::kSize; ++i) {
    const double expected = options.metric_bounds.is_count[i] ? 0 : values[i];
    EXPECT_NEAR(said.ToArray()[i], expected, 1e-4) << MetricSums::kNames[i];
    EXPECT_NEAR(told.ToArray()[i], values[i], 1e-2) << MetricSums::kNames[i];
  }
  EXPECT_EQ(said.examples, 0);
  EXPECT_EQ(told.examples, 20);
}

TEST_F(RingCodecTest, ALongUpdateIsScaledDownToTheClip) {
  const RingCodec codec = Make(Options());
  Contribution contribution = Good();
  contribution.update = {300, -400, 0};  // norm 500, clip 10: by 1/50
  const auto decoded = codec.Decode(codec.Encode(contribution).value(), 1).value();
  EXPECT_NEAR(decoded.sum.mean[0], 6, 1e-6);
  EXPECT_NEAR(decoded.sum.mean[1], -8, 1e-6);
  contribution.update = {std::numeric_limits<float>::max(), 1, -std::numeric_limits<float>::max()};
  const auto extreme = codec.Decode(codec.Encode(contribution).value(), 1).value();
  EXPECT_NEAR(extreme.sum.mean[0], std::sqrt(50), 1e-6);
}

TEST_F(RingCodecTest, NothingThatIsNotFiniteShowsButAsAFailure) {
  const RingCodec codec = Make(Options());
  const RingVector good = codec.Encode(Good()).value();
  for (const double value : {kNan, kInfinity, -kInfinity}) {
    Contribution contribution = Good();
    contribution.update[1] = static_cast<float>(value);
    const RingVector failed = codec.Encode(contribution).value();
    EXPECT_EQ(failed.wire_size(), good.wire_size());
    for (std::size_t i = 0; i < codec.words(); ++i)
      EXPECT_EQ(failed.Signed(i) != 0, i == 3) << i;  // after the update: the failure
    RingVector sum = failed;
    ASSERT_TRUE(sum.Add(good).ok());
    ASSERT_TRUE(sum.Add(good).ok());
    const RingCodec::Sum decoded = codec.Decode(sum, 3).value();
    EXPECT_EQ(decoded.failures, 1);
    EXPECT_NEAR(decoded.sum.mean[0], 0.5, 1e-7);  // over the two that had one
    EXPECT_THAT(codec.Decode(failed, 1).error().message(), HasSubstr("nothing to average"));
  }
  Contribution contribution = Good();
  contribution.metrics[0].mean_loss = kNan;
  const auto decoded = codec.Decode(codec.Encode(contribution).value(), 1).value();
  EXPECT_EQ(decoded.sum.metrics[0].clients, 0);  // the whole cell is left out
  EXPECT_NEAR(decoded.sum.mean[0], 0.5, 1e-7);
}

TEST_F(RingCodecTest, MetricsAreCutToTheirBounds) {
  const RingCodec codec = Make(Options());
  Contribution contribution = Good();
  contribution.metrics[0].mean_loss = 1e9;
  const auto decoded = codec.Decode(codec.Encode(contribution).value(), 1).value();
  EXPECT_EQ(decoded.sum.metrics[0].mean_loss, 100);
}

TEST_F(RingCodecTest, WeightsAreCoordinatesWhereTheyAreDisclosed) {
  auto options = Options();
  options.weighted = true;
  options.maximum_weight = 100;
  const RingCodec codec = Make(options);
  Contribution one = Good(), other = Good();
  one.weight = 30;
  other.weight = 1e6;  // cut to 100
  other.update = {-0.5F, 0, 0};
  RingVector sum = codec.Encode(one).value();
  ASSERT_TRUE(sum.Add(codec.Encode(other).value()).ok());
  const auto decoded = codec.Decode(sum, 2).value();
  EXPECT_NEAR(decoded.sum.weight, 130, 1e-4);
  EXPECT_NEAR(decoded.sum.mean[0], (30 * 0.5 - 100 * 0.5) / 130, 1e-6);
  one.weight = kNan;
  EXPECT_EQ(codec.Encode(one).value().Signed(0), 0);
}

// Every coordinate at its bound and the worst rounding: the integers' norm is what was promised.
TEST_F(RingCodecTest, NoContributionExceedsTheSensitivity) {
  Rng rng({.seed = 2, .purpose = "test"});
  const StateLayout wide = StateLayout::Create({{.name = "theta",
                                                 .rule = ServerRule::kOptimize,
                                                 .scale = 1,
                                                 .tensors = {{"w", {1000}, TensorKind::kBody}}}})
                               .value();
  for (const double scale : {1.0, 7.3, 1000.0}) {
    auto options = Options();
    options.layout = &wide;
    options.update_scale = scale;
    options.metric_share = 0.1;
    options.disclose_counts = true;
    options.bits = RingBits::k64;
    options.clip = 1e5;
    const RingCodec codec = Make(options);
    // The metrics' part is at most a tenth.
    const double update_part = scale * options.clip;
    EXPECT_LE(codec.sensitivity(),
              update_part * std::sqrt(1.01) + std::sqrt(static_cast<double>(codec.words())) / 2);
    for (int trial = 0; trial < 20; ++trial) {
      Contribution contribution = Good();
      contribution.update.assign(1000, 0);
      for (float& value : contribution.update)
        value = static_cast<float>(rng.Normal() * std::exp2(rng.Uniform(-3, 40)));
      std::array<double, MetricSums::kSize> metrics{};
      metrics.fill(1e12);
      contribution.metrics = {MetricSums::FromArray(metrics)};
      const RingVector vector = codec.Encode(contribution).value();
      long double squares = 0;
      for (std::size_t i = 0; i < vector.size(); ++i)
        squares += std::pow(static_cast<long double>(vector.Signed(i)), 2);
      EXPECT_LE(std::sqrt(squares), static_cast<long double>(codec.sensitivity()));
      EXPECT_GE(std::sqrt(squares), 0.99L * static_cast<long double>(update_part));
    }
  }
}

// A clip whose product with the scale lies just below a half, where an error of the last bit would
// round to an integer that is longer than promised.
TEST_F(RingCodecTest, NoRoundingErrorExceedsTheSensitivity) {
  const StateLayout one = StateLayout::Create({{.name = "theta",
                                                .rule = ServerRule::kOptimize,
                                                .scale = 1,
                                                .tensors = {{"w", {1}, TensorKind::kBody}}}})
                              .value();
  auto options = Options();
  options.layout = &one;
  options.update_scale = 1;
  options.clip = std::nextafter(3.5, 0.0);
  const RingCodec codec = Make(options);
  for (int i = 4; i < 5000; ++i) {
    Contribution contribution = Good();
    contribution.update = {static_cast<float>(i) * 1.1F};
    EXPECT_EQ(codec.Encode(contribution).value().Signed(0), 3) << i;
  }
}

TEST_F(RingCodecTest, RefusesASumThatDoesNotFitAndNamesWhatDoes) {
  auto options = Options();
  options.update_scale = 0x1p25;
  const std::string said = Refusal(options);
  EXPECT_THAT(said, HasSubstr("cohort x (scale x clip + noise tail) = 10 x (33554432 x 10 + 0) = "
                              "3355443200 must be < 2^31 = 2147483648"));
  EXPECT_THAT(said, HasSubstr("what fits: scale <= 21474836.4, or clip <= 6.39999997"));
  EXPECT_THAT(said, HasSubstr("or cohort <= 6, or a ring of 64 bits"));
  options.cohort = 6;
  EXPECT_EQ(Refusal(options), "accepted");
  options = Options();
  options.update_scale = 0x1p24;
  options.noise_tail = 4e7;
  EXPECT_EQ(Refusal(options), "accepted");  // 10 x (167772160 + 4e7) = 2.08e9
  options.noise_tail = 5e7;
  EXPECT_THAT(Refusal(options), HasSubstr("must be < 2^31"));
  options.noise_tail = 3e8;
  EXPECT_THAT(Refusal(options), HasSubstr("must be < 2^31"));
}

TEST_F(RingCodecTest, TheLargestSumThatFitsComesBackWhole) {
  auto options = Options();
  options.cohort = 3;
  options.clip = 1;
  options.update_scale = 715827882;  // x 3 = 2^31 - 2
  const RingCodec codec = Make(options);
  Contribution contribution = Good();
  contribution.update = {0, -1, 0};
  RingVector sum(RingBits::k32, codec.words());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(sum.Add(codec.Encode(contribution).value()).ok());
  EXPECT_EQ(sum.Signed(1), -2147483646);
  EXPECT_EQ(codec.Decode(sum, 3)->sum.mean[1], -1);
  options.update_scale = 715827883;
  EXPECT_THAT(Refusal(options), HasSubstr("must be < 2^31"));
}

TEST_F(RingCodecTest, RefusesASumThatNoClientsCanHaveGiven) {
  const RingCodec codec = Make(Options());
  const RingVector good = codec.Encode(Good()).value();
  EXPECT_TRUE(codec.Decode(good, 1).ok());
  for (std::size_t i = 0; i < codec.words(); ++i) {
    RingVector bad = good;
    bad.AddSigned(i, std::int64_t{1} << 30);
    EXPECT_THAT(codec.Decode(bad, 1).error().message(), HasSubstr("cannot have given")) << i;
  }
  EXPECT_THAT(codec.Decode(good, 0).error().message(), HasSubstr("1 to 10, got 0"));
  EXPECT_THAT(codec.Decode(good, 11).error().message(), HasSubstr("1 to 10, got 11"));
  EXPECT_FALSE(codec.Decode(RingVector(RingBits::k32, 3), 1).ok());
  EXPECT_FALSE(codec.Decode(RingVector(RingBits::k64, codec.words()), 1).ok());
}

TEST_F(RingCodecTest, AnEvaluationCarriesMetricsOnly) {
  auto options = Options();
  options.layout = nullptr;
  options.metric_cells = 2;
  options.clip = 0;
  const RingCodec codec = Make(options);
  EXPECT_EQ(codec.words(), 1 + 2 * MetricSums::kSize);
  Contribution contribution = Good();
  contribution.update.clear();
  contribution.metrics.push_back({});
  const auto decoded = codec.Decode(codec.Encode(contribution).value(), 1).value();
  EXPECT_TRUE(decoded.sum.mean.empty());
  EXPECT_NEAR(decoded.sum.metrics[0].mean_correct, 0.55, 1e-6);
  EXPECT_EQ(decoded.sum.metrics[1].clients, 0);
}

TEST_F(RingCodecTest, RefusesOptionsThatCannotWork) {
  const auto refusal = [&](const auto& change) {
    auto options = Options();
    change(options);
    return Refusal(options);
  };
  EXPECT_THAT(refusal([](auto& o) { o.cohort = 0; }), HasSubstr("cohort must be > 0"));
  EXPECT_THAT(refusal([](auto& o) { o.clip = 0; }), HasSubstr("clip must be > 0, got 0"));
  EXPECT_THAT(refusal([](auto& o) { o.clip = kNan; }), HasSubstr("clip must be > 0"));
  EXPECT_THAT(refusal([](auto& o) { o.update_scale = -1; }), HasSubstr("update_scale"));
  EXPECT_THAT(refusal([](auto& o) { o.noise_tail = -1; }), HasSubstr("noise_tail"));
  EXPECT_THAT(refusal([](auto& o) { o.metric_cells = 0; }), HasSubstr("metric_cells"));
  EXPECT_THAT(refusal([](auto& o) { o.metric_bounds = {}; }), HasSubstr("metric_bounds"));
  EXPECT_THAT(refusal([](auto& o) { o.metric_bounds.largest[2] = 0; }),
              HasSubstr("the bound of correct must be > 0"));
  EXPECT_THAT(refusal([](auto& o) { o.maximum_weight = 0; }), HasSubstr("maximum_weight"));
  EXPECT_THAT(refusal([](auto& o) { o.metric_share = 1e-12; }), HasSubstr("a metric has no room"));
}

TEST_F(RingCodecTest, EveryMetricHasABoundOfItsKind) {
  const MetricBounds bounds = BoundsOfMetrics(1000, 100);
  for (std::size_t i = 0; i < MetricSums::kSize; ++i) {
    const std::string_view name = MetricSums::kNames[i];
    if (name == "examples") {
      EXPECT_EQ(bounds.largest[i], 1000);
    }
    if (name == "query_loss") {
      EXPECT_EQ(bounds.largest[i], 100'000);
    }
    if (name == "mean_loss") {
      EXPECT_EQ(bounds.largest[i], 100);
    }
    if (name == "clients") {
      EXPECT_EQ(bounds.largest[i], 1);
    }
    const bool per_client = name == "clients" || name == "auc_clients" || name.starts_with("mean_");
    EXPECT_EQ(bounds.is_count[i], !per_client) << name;
  }
}

TEST(RingVectorTest, WrapsAndReadsSigned) {
  for (const RingBits bits : {RingBits::k32, RingBits::k64}) {
    RingVector vector(bits, 2);
    vector.AddSigned(0, -3);
    vector.AddSigned(1, 5);
    EXPECT_EQ(vector.Signed(0), -3);
    ASSERT_TRUE(vector.Add(vector).ok());
    EXPECT_EQ(vector.Signed(0), -6);
    EXPECT_EQ(vector.Signed(1), 10);
    const Bytes bytes = vector.ToBytes();
    EXPECT_EQ(bytes.size(), bits == RingBits::k32 ? 8U : 16U);
    EXPECT_TRUE(RingVector::FromBytes(bits, 2, 0, bytes).value() == vector);
    EXPECT_FALSE(RingVector::FromBytes(bits, 1, 0, bytes).ok());
    EXPECT_FALSE(vector.AddBytes(std::span(bytes).first(4)).ok());
  }
  RingVector narrow(RingBits::k32, 1);
  narrow.AddSigned(0, std::numeric_limits<std::int32_t>::max());
  narrow.AddSigned(0, 1);
  EXPECT_EQ(narrow.Signed(0), std::numeric_limits<std::int32_t>::min());
  EXPECT_FALSE(narrow.Add(RingVector(RingBits::k64, 1)).ok());
  for (const std::uint32_t bits : {0U, 7U, 33U, 63U, 65U}) EXPECT_FALSE(RingBitsOf(bits).ok());
}

// Words that are not a whole number of pieces, at an odd address.
TEST(RingVectorTest, AddsBytesOfAnyAlignment) {
  Rng rng({.seed = 4, .purpose = "test"});
  for (const std::size_t size : {1U, 63U, 64U, 1000U, 1025U, 5000U}) {
    RingVector sum(RingBits::k32, size), other(RingBits::k32, size);
    std::vector<std::byte> shifted(1);
    for (std::size_t i = 0; i < size; ++i) {
      sum.AddSigned(i, static_cast<std::int64_t>(i));
      other.AddSigned(i, static_cast<std::int64_t>(rng.Next64()));
    }
    const Bytes bytes = other.ToBytes();
    shifted.insert(shifted.end(), bytes.begin(), bytes.end());
    ASSERT_TRUE(sum.AddBytes(std::span(shifted).subspan(1)).ok());
    for (std::size_t i = 0; i < size; ++i) {
      ASSERT_EQ(static_cast<std::uint32_t>(sum.Signed(i)),
                static_cast<std::uint32_t>(other.Signed(i)) + static_cast<std::uint32_t>(i));
    }
  }
}

}  // namespace
}  // namespace fedmeta

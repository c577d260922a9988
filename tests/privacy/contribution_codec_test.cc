#include "fedmeta/privacy/contribution_codec.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

StateLayout Layout(std::int64_t weights = 2) {
  return StateLayout::Create({{.name = "theta",
                               .rule = ServerRule::kOptimize,
                               .scale = 1,
                               .tensors = {{"fc.weight", {weights}, TensorKind::kBody},
                                           {"fc.bias", {1}, TensorKind::kBody}}}})
      .value();
}

/// A layout of theta/fc.weight (2 coordinates) and theta/fc.bias (1), weights up to 100, 10
/// contributors.
class CodecTest : public ::testing::Test {
 protected:
  ContributionCodec Make(std::uint32_t contributors = 10, double maximum_weight = 100,
                         std::size_t cells = 1) const {
    return ContributionCodec::Create({.layout = &layout_,
                                      .metric_cells = cells,
                                      .maximum_weight = maximum_weight,
                                      .maximum_contributors = contributors})
        .value();
  }
  Contribution Good() const {
    return {.update = {0.5F, -0.25F, 1e-3F}, .weight = 3, .metrics = {Metrics()}};
  }
  static MetricSums Metrics() {
    return {.examples = 20,
            .query_loss = 13.7,
            .correct = 11,
            .clients = 1,
            .mean_loss = 0.685,
            .mean_correct = 0.55,
            .tasks = 4,
            .diverged_tasks = 1};
  }

  /// What the client says of a contribution, having seen that the coordinator says the same of the
  /// bytes.
  std::string Refusal(const ContributionCodec& codec,
                      const std::function<void(Contribution&)>& change) const {
    Contribution contribution = Good();
    change(contribution);
    const auto wire = codec.ToWire(contribution);
    const std::string said = wire.ok() ? "accepted" : wire.error().message();
    const Bytes bytes = RawWire(contribution);
    std::vector<std::uint64_t> encoded;
    const Status status = codec.EncodeWire(bytes, encoded);
    EXPECT_EQ(status.ok() ? "accepted" : status.error().message(), said);
    const auto read = codec.FromWire(bytes);
    EXPECT_EQ(read.ok() ? "accepted" : read.error().message(), said);
    const auto direct = codec.Encode(contribution);
    EXPECT_EQ(direct.ok() ? "accepted" : direct.error().message(), said);
    return said;
  }

  /// The wire form without any check, as a hostile client would write it.
  static Bytes RawWire(const Contribution& contribution) {
    Bytes bytes;
    const auto append = [&bytes](const auto& value) {
      const auto raw = std::as_bytes(std::span(&value, 1));
      bytes.insert(bytes.end(), raw.begin(), raw.end());
    };
    for (const float value : contribution.update) append(value);
    append(contribution.weight);
    for (const MetricSums& cell : contribution.metrics) {
      for (const double value : cell.ToArray()) append(value);
    }
    return bytes;
  }

  const StateLayout layout_ = Layout();
};

TEST_F(CodecTest, WireRoundTrips) {
  const ContributionCodec codec = Make();
  const Bytes wire = codec.ToWire(Good()).value();
  EXPECT_EQ(wire.size(), codec.wire_size());
  EXPECT_EQ(wire.size(), 3 * 4 + (1 + MetricSums::kSize) * 8);
  EXPECT_EQ(wire, RawWire(Good()));
  const Contribution read = codec.FromWire(wire).value();
  EXPECT_EQ(read.update, Good().update);
  EXPECT_EQ(read.weight, 3);
  EXPECT_EQ(read.metrics.at(0).ToArray(), Metrics().ToArray());
}

TEST_F(CodecTest, EncodesUpdatesAndTheRestInTheirUnits) {
  const ContributionCodec codec = Make();
  const std::vector<std::uint64_t> words = codec.Encode(Good()).value();
  ASSERT_EQ(words.size(), codec.encoded_size());
  EXPECT_EQ(std::bit_cast<std::int64_t>(words[0]), 3 * (std::int64_t{1} << 37));  // 3 x 0.5 x 2^38
  EXPECT_EQ(std::bit_cast<std::int64_t>(words[1]),
            -3 * (std::int64_t{1} << 36));  // 3 x -0.25 x 2^38
  EXPECT_EQ(words[3], 3U << 20);            // weight
  EXPECT_EQ(words[4], 20U << 20);           // examples
  EXPECT_EQ(words[5], 14365491U);           // query_loss: 13.7 x 1,048,576 = 14,365,491.2
}

TEST_F(CodecTest, TheWireFormIsEncodedWithoutADetour) {
  const ContributionCodec codec = Make();
  std::vector<std::uint64_t> encoded(3, 77);  // whatever was there before
  ASSERT_TRUE(codec.EncodeWire(codec.ToWire(Good()).value(), encoded).ok());
  EXPECT_EQ(encoded, codec.Encode(Good()).value());
}

TEST_F(CodecTest, APayloadNeedsNoAlignment) {
  const ContributionCodec codec = Make();
  const Bytes wire = codec.ToWire(Good()).value();
  Bytes shifted(1);
  shifted.insert(shifted.end(), wire.begin(), wire.end());
  std::vector<std::uint64_t> encoded;
  ASSERT_TRUE(codec.EncodeWire(std::span(shifted).subspan(1), encoded).ok());
  EXPECT_EQ(encoded, codec.Encode(Good()).value());
}

TEST_F(CodecTest, RoundsToNearestTiesToEven) {
  const ContributionCodec codec = Make();
  const auto word = [&](double units) {  // one unit is 2^-38
    const Contribution contribution{
        .update = {static_cast<float>(units * 0x1p-38), 0, 0}, .weight = 1, .metrics = {Metrics()}};
    return std::bit_cast<std::int64_t>(codec.Encode(contribution).value()[0]);
  };
  EXPECT_EQ(word(0.5), 0);
  EXPECT_EQ(word(1.5), 2);
  EXPECT_EQ(word(2.5), 2);
  EXPECT_EQ(word(-0.5), 0);
  EXPECT_EQ(word(-1.5), -2);
  EXPECT_EQ(word(0.25), 0);
  EXPECT_EQ(word(0.75), 1);
  EXPECT_EQ(word(1e-45), 0);
}

// The fast rounding against the library's, over all magnitudes that can be sent.
TEST_F(CodecTest, RoundsAsTheLibraryDoes) {
  const ContributionCodec codec = Make(1);
  Rng rng({.seed = 1, .purpose = "test"});
  for (int i = 0; i < 20000; ++i) {
    const double magnitude = std::exp2(rng.Uniform(-45, 17));
    const auto value = static_cast<float>(rng.Uniform() < 0.5 ? magnitude : -magnitude);
    const double weight = 1 + std::floor(rng.Uniform() * 90 * 0x1p20) / 0x1p20;
    const Contribution contribution{
        .update = {value, 0, 0}, .weight = weight, .metrics = {Metrics()}};
    const auto expected =
        static_cast<std::int64_t>(std::nearbyint(weight * static_cast<double>(value) * 0x1p38));
    ASSERT_EQ(std::bit_cast<std::int64_t>(codec.Encode(contribution).value()[0]), expected)
        << weight << " x " << value;
  }
}

TEST_F(CodecTest, TheSumOfManyContributionsIsTheExactIntegerSum) {
  constexpr std::uint32_t kClients = 1000;
  const ContributionCodec codec = Make(kClients);
  Rng rng({.seed = 2, .purpose = "test"});
  std::vector<std::uint64_t> sum(codec.encoded_size());
  std::vector<__int128> exact(codec.encoded_size());
  double float_sum = 0;
  double float_weight = 0;
  for (std::uint32_t k = 0; k < kClients; ++k) {
    Contribution contribution = Good();
    contribution.weight = 1 + static_cast<double>(rng.Below(99));
    for (float& value : contribution.update) value = static_cast<float>(rng.Normal());
    const auto words = codec.Encode(contribution).value();
    for (std::size_t i = 0; i < sum.size(); ++i) {
      sum[i] += words[i];
      exact[i] += std::bit_cast<std::int64_t>(words[i]);
    }
    float_sum += contribution.weight * static_cast<double>(contribution.update[0]);
    float_weight += contribution.weight;
  }
  for (std::size_t i = 0; i < sum.size(); ++i)
    EXPECT_TRUE(exact[i] == std::bit_cast<std::int64_t>(sum[i])) << i;
  const DecodedSum decoded = codec.Decode(sum, kClients).value();
  EXPECT_EQ(decoded.weight, float_weight);
  // Each entry is off by half a unit at most; half of 2^-38 for 1,000 entries over a weight of
  // about 50,000.
  EXPECT_NEAR(decoded.mean[0], float_sum / float_weight, kClients * 0x1p-39 / float_weight + 1e-15);
  EXPECT_NEAR(decoded.metrics.at(0).query_loss, 13.7 * kClients, kClients * 0x1p-21);
  EXPECT_EQ(decoded.metrics.at(0).examples, 20.0 * kClients);
  EXPECT_EQ(decoded.contributors, kClients);
}

// Gradient descent of ten clients on (s - target)^2 through the codec and in plain double: both end
// at the mean target.
TEST_F(CodecTest, TrainingConvergesAsWithAFloatSum) {
  const ContributionCodec codec = Make();
  std::vector<double> targets;
  Rng rng({.seed = 3, .purpose = "test"});
  for (int k = 0; k < 10; ++k) targets.push_back(rng.Normal());
  float encoded_state = 0;
  float plain_state = 0;
  double largest_gap = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::uint64_t> sum(codec.encoded_size());
    double plain = 0;
    for (const double target : targets) {
      const auto gradient = [target](float state) {
        return static_cast<float>(2 * (static_cast<double>(state) - target));
      };
      const Contribution contribution{
          .update = {gradient(encoded_state), 0, 0}, .weight = 1, .metrics = {Metrics()}};
      const auto words = codec.Encode(contribution).value();
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += words[i];
      plain += static_cast<double>(gradient(plain_state)) / 10;
    }
    encoded_state =
        static_cast<float>(encoded_state - 0.05 * codec.Decode(sum, 10).value().mean[0]);
    plain_state = static_cast<float>(plain_state - 0.05 * plain);
    largest_gap =
        std::max(largest_gap, static_cast<double>(std::fabs(encoded_state - plain_state)));
  }
  double mean = 0;
  for (const double target : targets) mean += target / 10;
  EXPECT_NEAR(encoded_state, mean, 1e-6);
  EXPECT_LT(largest_gap, 1e-6);
}

TEST_F(CodecTest, ANonIntegralWeightAveragesAsItWasSummed) {
  const ContributionCodec codec = Make();
  Contribution contribution = Good();
  contribution.weight =
      1.3e-6;  // 1.36 units of 2^-20: summed as one unit, so multiplied as one unit
  const DecodedSum decoded = codec.Decode(codec.Encode(contribution).value(), 1).value();
  EXPECT_EQ(decoded.weight, 0x1p-20);
  EXPECT_DOUBLE_EQ(decoded.mean[0], 0.5);
}

TEST_F(CodecTest, AnEvaluationCarriesMetricsOnly) {
  const auto codec =
      ContributionCodec::Create(
          {.layout = nullptr, .metric_cells = 2, .maximum_weight = 1, .maximum_contributors = 5})
          .value();
  EXPECT_EQ(codec.update_size(), 0U);
  const Contribution contribution{.update = {}, .weight = 1, .metrics = {Metrics(), MetricSums{}}};
  std::vector<std::uint64_t> encoded;
  ASSERT_TRUE(codec.EncodeWire(codec.ToWire(contribution).value(), encoded).ok());
  const DecodedSum decoded = codec.Decode(encoded, 1).value();
  EXPECT_TRUE(decoded.mean.empty());
  ASSERT_EQ(decoded.metrics.size(), 2U);
  EXPECT_EQ(decoded.metrics[0].correct, 11);
  EXPECT_EQ(decoded.metrics[1].examples, 0);
}

TEST_F(CodecTest, AcceptsTheLargestEntryThatCannotOverflowTheSum) {
  constexpr std::uint32_t kClients = 4;
  const ContributionCodec codec = Make(kClients);
  const auto largest = static_cast<float>(0x1p23);  // 2^23 x 2^38 x 4 = 2^63: one too many
  const auto below = std::nextafter(largest, 0.0F);
  const auto with = [&](float value) {
    return [=](Contribution& c) { c.weight = 1, c.update = {value, -value, 0}; };
  };
  EXPECT_EQ(Refusal(codec, with(below)), "accepted");
  EXPECT_THAT(Refusal(codec, with(largest)), HasSubstr("for 4 contributors"));
  Contribution contribution = Good();
  with(below)(contribution);
  std::vector<std::uint64_t> sum(codec.encoded_size());
  const auto words = codec.Encode(contribution).value();
  for (std::uint32_t k = 0; k < kClients; ++k) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += words[i];
  }
  const DecodedSum decoded = codec.Decode(sum, kClients).value();
  EXPECT_EQ(decoded.mean[0], static_cast<double>(below));
  EXPECT_EQ(decoded.mean[1], -static_cast<double>(below));
}

TEST_F(CodecTest, RefusesEntriesThatAreNotFiniteAndNamesTheTensor) {
  const ContributionCodec codec = Make();
  for (const double value : {kNan, kInfinity, -kInfinity}) {
    EXPECT_EQ(Refusal(codec, [&](Contribution& c) { c.update[1] = static_cast<float>(value); }),
              "contribution: update of theta/fc.weight is not finite");
    EXPECT_EQ(Refusal(codec, [&](Contribution& c) { c.update[2] = static_cast<float>(value); }),
              "contribution: update of theta/fc.bias is not finite");
  }
}

TEST_F(CodecTest, RefusesEntriesThatAreTooLargeAndNamesTensorAndBound) {
  const std::string said =
      Refusal(Make(), [](Contribution& c) { c.update[2] = -3e6F; });  // x 3 > 2^25 / 10
  EXPECT_THAT(said, HasSubstr("weight x update of theta/fc.bias must be at most 3355443."));
  EXPECT_THAT(
      Refusal(Make(), [](Contribution& c) { c.update[0] = std::numeric_limits<float>::max(); }),
      HasSubstr("theta/fc.weight"));
}

TEST_F(CodecTest, RefusesAWeightOutOfBounds) {
  for (const double weight : {0.0, -1.0, 100.5, 1e-7, 1e300, kInfinity, kNan}) {
    EXPECT_THAT(Refusal(Make(), [&](Contribution& c) { c.weight = weight; }),
                HasSubstr("contribution: weight must be "))
        << weight;
  }
  EXPECT_EQ(Refusal(Make(), [](Contribution& c) { c.weight = 100; }), "accepted");
}

TEST_F(CodecTest, RefusesMetricsThatAreNotFiniteOrTooLarge) {
  const ContributionCodec codec = Make(10, 100, 2);
  for (const double value : {kNan, kInfinity, -kInfinity, 1e13, -1e13}) {  // 2^43 / 10 = 8.8e11
    const std::string said = Refusal(codec, [&](Contribution& c) {
      c.metrics.push_back(Metrics());
      c.metrics[1].query_loss = value;
    });
    EXPECT_THAT(
        said,
        HasSubstr(
            "contribution: query_loss of metric cell 1 must be finite and at most 8796093022"));
  }
}

TEST_F(CodecTest, RefusesCountsThatCannotBe) {
  EXPECT_EQ(Refusal(Make(), [](Contribution& c) { c.metrics[0].examples = -1; }),
            "contribution: examples of metric cell 0 must be >= 0");
  EXPECT_EQ(Refusal(Make(), [](Contribution& c) { c.metrics[0].diverged_tasks = -1; }),
            "contribution: diverged_tasks of metric cell 0 must be >= 0");
  EXPECT_EQ(Refusal(Make(), [](Contribution& c) { c.metrics[0].clients = 2; }),
            "contribution: clients of metric cell 0 must be 0 or 1");
  EXPECT_EQ(Refusal(Make(), [](Contribution& c) { c.metrics[0].query_loss = -1; }), "accepted");
}

TEST_F(CodecTest, AnErrorDoesNotRepeatAClientsFigure) {
  const std::string said =
      Refusal(Make(), [](Contribution& c) { c.metrics[0].examples = -123456; });
  EXPECT_THAT(said, ::testing::Not(HasSubstr("123456")));
}

TEST_F(CodecTest, RefusesContributionsOfAnotherShape) {
  const ContributionCodec codec = Make();
  Contribution contribution = Good();
  contribution.update.pop_back();
  EXPECT_EQ(codec.ToWire(contribution).error().message(),
            "contribution: coordinates of the update must be 3, got 2");
  EXPECT_FALSE(codec.Encode(contribution).ok());
  contribution = Good();
  contribution.metrics.clear();
  EXPECT_EQ(codec.ToWire(contribution).error().message(),
            "contribution: metric cells must be 1, got 0");
}

TEST_F(CodecTest, RefusesPayloadsOfAnotherSize) {
  const ContributionCodec codec = Make();
  const Bytes wire = codec.ToWire(Good()).value();
  std::vector<std::uint64_t> encoded;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, wire.size() - 1, wire.size() + 1}) {
    Bytes other = wire;
    other.resize(size);
    const std::string expected = "contribution: bytes of the payload must be " +
                                 std::to_string(wire.size()) + ", got " + std::to_string(size);
    EXPECT_EQ(codec.EncodeWire(other, encoded).error().message(), expected);
    EXPECT_EQ(codec.FromWire(other).error().message(), expected);
  }
}

TEST_F(CodecTest, RefusesToDecodeWhatIsNoSum) {
  const ContributionCodec codec = Make();
  const auto words = codec.Encode(Good()).value();
  EXPECT_EQ(codec.Decode(std::span(words).first(5), 1).error().message(),
            "contribution: words of the sum must be " + std::to_string(words.size()) + ", got 5");
  EXPECT_THAT(codec.Decode(words, 0).error().message(),
              HasSubstr("contributors must be 1 to 10, got 0"));
  EXPECT_THAT(codec.Decode(words, 11).error().message(),
              HasSubstr("contributors must be 1 to 10, got 11"));
  const std::vector<std::uint64_t> zeros(words.size());
  EXPECT_THAT(codec.Decode(zeros, 1).error().message(),
              HasSubstr("summed weight must be > 0, got 0"));
}

TEST_F(CodecTest, RefusesOptionsThatCannotWork) {
  const auto refusal = [&](ContributionCodec::Options options) {
    options.layout = &layout_;
    const auto codec = ContributionCodec::Create(options);
    return codec.ok() ? "accepted" : codec.error().message();
  };
  EXPECT_EQ(refusal({}), "accepted");
  EXPECT_THAT(refusal({.metric_cells = 0}), HasSubstr("metric_cells must be 1 to 4096, got 0"));
  EXPECT_THAT(refusal({.metric_cells = 4097}), HasSubstr("got 4097"));
  EXPECT_THAT(refusal({.maximum_contributors = 0}), HasSubstr("maximum_contributors must be > 0"));
  for (const double weight : {0.0, -1.0, kNan, kInfinity, 1e13}) {
    EXPECT_THAT(refusal({.maximum_weight = weight}), HasSubstr("maximum_weight must be")) << weight;
  }
  EXPECT_THAT(refusal({.maximum_weight = 1e4, .maximum_contributors = 4'000'000'000U}),
              HasSubstr("for 4000000000 contributors, got 10000"));
}

/// Uploads of few bits a coordinate.
class FewBitsTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kCoordinates = 101;
  ContributionCodec Make(std::uint32_t bits) const {
    return ContributionCodec::Create({.layout = &layout_,
                                      .maximum_weight = 100,
                                      .maximum_contributors = 10,
                                      .bits = bits})
        .value();
  }
  static Contribution Sent() {
    Rng rng({.seed = 1, .purpose = "test"});
    Contribution contribution{
        .update = std::vector<float>(kCoordinates), .weight = 2, .metrics = {{}}};
    for (float& value : contribution.update) value = static_cast<float>(rng.Normal());
    return contribution;
  }
  const StateLayout layout_ = Layout(kCoordinates - 1);
};

TEST_F(FewBitsTest, CostTheirBitsAndAreWithinAStep) {
  const Contribution sent = Sent();
  float largest = 0;
  for (const float value : sent.update) largest = std::max(largest, std::fabs(value));
  Rng rounding({.seed = 2, .purpose = "test"});
  for (std::uint32_t bits = 2; bits <= 32; ++bits) {
    const ContributionCodec codec = Make(bits);
    const Bytes wire = codec.ToWire(sent, &rounding).value();
    const std::size_t update = bits == 32 ? kCoordinates * 4 : 4 + (kCoordinates * bits + 7) / 8;
    EXPECT_EQ(PlainUpdateBytes(kCoordinates, bits), update);
    EXPECT_EQ(wire.size(), update + 8 * (1 + MetricSums::kSize));
    const Contribution back = codec.FromWire(wire).value();
    const double step = static_cast<double>(largest) / (std::exp2(bits - 1) - 1) +
                        1e-6 * static_cast<double>(largest);
    for (std::size_t i = 0; i < kCoordinates; ++i)
      EXPECT_NEAR(static_cast<double>(back.update[i]), static_cast<double>(sent.update[i]), step);
    std::vector<std::uint64_t> encoded;
    ASSERT_TRUE(codec.EncodeWire(wire, encoded).ok());
    EXPECT_EQ(encoded, codec.Encode(back).value());
  }
}

TEST_F(FewBitsTest, AreRightOnAverage) {
  const Contribution sent = Sent();
  const ContributionCodec codec = Make(3);
  Rng rounding({.seed = 3, .purpose = "test"});
  constexpr int kDraws = 4000;
  std::vector<double> mean(kCoordinates);
  float largest = 0;
  for (const float value : sent.update) largest = std::max(largest, std::fabs(value));
  for (int draw = 0; draw < kDraws; ++draw) {
    const Contribution back = codec.FromWire(codec.ToWire(sent, &rounding).value()).value();
    for (std::size_t i = 0; i < kCoordinates; ++i)
      mean[i] += static_cast<double>(back.update[i]) / kDraws;
  }
  const double deviation = static_cast<double>(largest) / 3 / 2 / std::sqrt(kDraws);
  for (std::size_t i = 0; i < kCoordinates; ++i)
    EXPECT_NEAR(mean[i], static_cast<double>(sent.update[i]), 5 * deviation);
}

TEST_F(FewBitsTest, ZerosStayZeros) {
  Contribution zeros = Sent();
  zeros.update.assign(kCoordinates, 0);
  Rng rounding({.seed = 4, .purpose = "test"});
  const ContributionCodec codec = Make(4);
  EXPECT_EQ(codec.FromWire(codec.ToWire(zeros, &rounding).value())->update, zeros.update);
}

TEST_F(FewBitsTest, WhatNoClientSendsIsRefused) {
  Rng rounding({.seed = 5, .purpose = "test"});
  const ContributionCodec codec = Make(5);
  const Bytes good = codec.ToWire(Sent(), &rounding).value();
  ASSERT_TRUE(codec.FromWire(good).ok());
  const auto refusal = [&](const std::function<void(Bytes&)>& change) {
    Bytes bad = good;
    change(bad);
    std::vector<std::uint64_t> encoded;
    const Status refused = codec.EncodeWire(bad, encoded);
    const auto parsed = codec.FromWire(bad);
    EXPECT_FALSE(parsed.ok());
    EXPECT_EQ(refused.ok() ? "" : refused.error().message(), parsed.error().message());
    return refused.ok() ? "accepted" : refused.error().message();
  };
  const auto set_step = [](float step) {
    return [step](Bytes& bytes) { std::memcpy(bytes.data(), &step, sizeof(step)); };
  };
  const std::string step = "its step must be finite and >= 0";
  EXPECT_THAT(refusal(set_step(-1)), HasSubstr(step));
  EXPECT_THAT(refusal(set_step(static_cast<float>(kNan))), HasSubstr(step));
  EXPECT_THAT(refusal(set_step(static_cast<float>(kInfinity))), HasSubstr(step));
  EXPECT_THAT(refusal(set_step(1e30F)), HasSubstr("must be at most"));
  // 10000: -16, where -15 is the least.
  EXPECT_THAT(refusal([](Bytes& bytes) { bytes[4] = std::byte{0x10}; }),
              HasSubstr("must be at most 15 in absolute value"));
  // 101 x 5 = 505 bits: the last of 64 bytes has one.
  EXPECT_THAT(refusal([](Bytes& bytes) { bytes[4 + 63] |= std::byte{0x80}; }),
              HasSubstr("must be zero"));
  EXPECT_THAT(refusal([](Bytes& bytes) { bytes.pop_back(); }), HasSubstr("bytes of the payload"));
  EXPECT_THAT(refusal([](Bytes& bytes) { bytes.push_back({}); }),
              HasSubstr("bytes of the payload"));
  EXPECT_FALSE(codec.ToWire(Sent()).ok());  // no stream
  for (const std::uint32_t bits : {0U, 1U, 33U})
    EXPECT_FALSE(ContributionCodec::Create({.layout = &layout_, .bits = bits}).ok());
}

}  // namespace
}  // namespace fedmeta

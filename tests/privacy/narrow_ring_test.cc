#include <cmath>
#include <cstdint>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/hex.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/privacy/mask_stream.h"
#include "fedmeta/privacy/packed_words.h"
#include "fedmeta/privacy/ring_codec.h"
#include "fedmeta/privacy/secret_rng.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

StateLayout LayoutOf(std::int64_t coordinates) {
  return StateLayout::Create({{.name = "theta", .tensors = {{"w", {coordinates}}}}}).value();
}

std::vector<std::uint32_t> RandomWords(std::size_t count, Rng& rng) {
  std::vector<std::uint32_t> words(count);
  for (std::uint32_t& word : words) word = rng.Next();
  return words;
}

TEST(PackedWordsTest, EveryWidthComesBack) {
  Rng rng({.seed = 1, .purpose = "test"});
  for (unsigned bits = 1; bits <= 32; ++bits) {
    for (const std::size_t count : {0U, 1U, 7U, 8U, 9U, 1000U}) {
      const std::vector<std::uint32_t> words = RandomWords(count, rng);
      Bytes packed(PackedBytes(count, bits));
      EXPECT_EQ(packed.size(), (count * bits + 7) / 8);
      PackWords(words, bits, packed);
      EXPECT_TRUE(packed.empty() || HasCleanEnd(packed, count, bits));
      std::vector<std::uint32_t> back(count);
      UnpackWords(packed, bits, back);
      for (std::size_t i = 0; i < count; ++i)
        ASSERT_EQ(back[i], words[i] & (0xffffffffU >> (32 - bits))) << bits << " " << i;
    }
  }
}

// 1, 2, 3 as twelve bits each: 001 002 003, lowest digit first.
TEST(PackedWordsTest, TheLowestBitComesFirst) {
  Bytes packed(PackedBytes(3, 12));
  PackWords(std::vector<std::uint32_t>{1, 2, 3}, 12, packed);
  EXPECT_EQ(ToHex(AsText(packed)), "0120000300");
  EXPECT_TRUE(HasCleanEnd(packed, 3, 12));
  packed.back() = std::byte{0x10};
  EXPECT_FALSE(HasCleanEnd(packed, 3, 12));
}

TEST(PackedWordsTest, SignsExtend) {
  EXPECT_EQ(SignExtended(0xfff, 12), -1);
  EXPECT_EQ(SignExtended(0x800, 12), -2048);
  EXPECT_EQ(SignExtended(0x7ff, 12), 2047);
  EXPECT_EQ(SignExtended(0xffff'f7ff, 12), 2047);
  EXPECT_EQ(SignExtended(0xffff'ffff, 32), -1);
}

/// Adds up integers that fit and reads their sums, through the wire form and below masks.
TEST(NarrowRingTest, SumsAreExactAtEveryWidth) {
  constexpr std::size_t kSize = 1030, kWide = 5;
  constexpr int kClients = 7;
  Rng rng({.seed = 2, .purpose = "test"});
  for (std::uint32_t width = 8; width <= 64; width = width == 32 ? 64 : width + 1) {
    const RingBits bits = RingBitsOf(width).value();
    RingVector sum(bits, kSize, kWide);
    std::vector<std::int64_t> expected(kSize);
    const SecretBytes mask = SecretRng().Draw(32);
    for (int client = 0; client < kClients; ++client) {
      RingVector vector(bits, kSize, kWide);
      for (std::size_t i = 0; i < kSize; ++i) {
        const std::uint32_t digits = i < kSize - kWide || width == 64 ? width : 32;
        const double most = std::floor((std::exp2(digits - 1) - 1) / kClients);
        const auto value = static_cast<std::int64_t>(rng.Uniform(-1, 1) * most);
        vector.AddSigned(i, value);
        expected[i] += value;
      }
      // Masks of opposite signs cancel in the sum.
      if (client < 2) ApplyMask(mask, client == 0 ? MaskSign::kAdd : MaskSign::kSubtract, vector);
      const Bytes wire = vector.ToBytes();
      EXPECT_EQ(wire.size(), vector.wire_size());
      ASSERT_TRUE(sum.AddBytes(wire).ok());
    }
    for (std::size_t i = 0; i < kSize; ++i) ASSERT_EQ(sum.Signed(i), expected[i]) << width;
  }
}

TEST(NarrowRingTest, CostsItsBitsOnTheWire) {
  EXPECT_EQ(RingVector(RingBitsOf(12).value(), 1000).wire_size(), 1500U);
  EXPECT_EQ(RingVector(RingBitsOf(12).value(), 1011, 10).wire_size(), 1502U + 40);
  EXPECT_EQ(RingVector(RingBits::k32, 1010, 10).wire_size(), 4040U);
}

TEST(NarrowRingTest, RefusesPackedBytesOutOfRange) {
  RingVector vector(RingBitsOf(12).value(), 4, 1);  // 36 bits, 4 of padding, a wide word
  Bytes wire = vector.ToBytes();
  ASSERT_EQ(wire.size(), 9U);
  EXPECT_FALSE(vector.AddBytes(std::span(wire).first(8)).ok());
  wire.push_back(std::byte{});
  EXPECT_FALSE(vector.AddBytes(wire).ok());
  wire.pop_back();
  ASSERT_TRUE(vector.AddBytes(wire).ok());
  wire[4] = std::byte{0x10};
  const Status refused = vector.AddBytes(wire);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("must be zero"));
}

TEST(NarrowRingTest, OtherFormsAreNotAdded) {
  RingVector vector(RingBitsOf(12).value(), 4, 1);
  EXPECT_FALSE(vector.Add(RingVector(RingBitsOf(13).value(), 4, 1)).ok());
  EXPECT_FALSE(vector.Add(RingVector(RingBitsOf(12).value(), 4, 2)).ok());
  EXPECT_FALSE(vector.Add(RingVector(RingBitsOf(12).value(), 5, 1)).ok());
  // What was carried beyond the twelve bits is no difference.
  RingVector carried(RingBitsOf(12).value(), 4, 1);
  carried.AddSigned(0, 4096);
  EXPECT_TRUE(carried == vector);
  carried.AddSigned(3, 4096);
  EXPECT_FALSE(carried == vector);
}

class NarrowCodecTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kCoordinates = 64;
  RingCodec::Options Options(std::uint32_t bits) const {
    return {.layout = &layout_,
            .bits = RingBitsOf(bits).value(),
            .cohort = 10,
            .clip = 8,
            .metric_bounds = BoundsOfMetrics(1000, 100)};
  }
  static Contribution Sent(Rng& rng, double norm) {
    MetricSums metrics;
    metrics.clients = 1;
    metrics.mean_loss = 0.685;
    Contribution contribution{
        .update = std::vector<float>(kCoordinates), .weight = 1, .metrics = {metrics}};
    double squares = 0;
    for (float& value : contribution.update) {
      value = static_cast<float>(rng.Normal());
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    for (float& value : contribution.update) value *= static_cast<float>(norm / std::sqrt(squares));
    return contribution;
  }
  const StateLayout layout_ = LayoutOf(kCoordinates);
};

TEST_F(NarrowCodecTest, RoundingIsRightOnAverageAndMetricsAreFine) {
  Rng rng({.seed = 3, .purpose = "test"}), rounding({.seed = 4, .purpose = "test"});
  const RingCodec codec = RingCodec::Create(Options(12)).value();
  EXPECT_NEAR(codec.update_scale(), 204.0 / 8, 1e-9);  // floor(2047 / 10) units for 8
  const Contribution sent = Sent(rng, 2);
  constexpr int kDraws = 4000;
  std::vector<double> mean(kCoordinates);
  for (int draw = 0; draw < kDraws; ++draw) {
    const RingVector vector = codec.Encode(sent, &rounding).value();
    const RingCodec::Sum decoded = codec.Decode(vector, 1).value();
    for (std::size_t i = 0; i < kCoordinates; ++i) {
      const double step = 8.0 / 204;
      EXPECT_LT(std::fabs(decoded.sum.mean[i] - static_cast<double>(sent.update[i])), step);
      mean[i] += decoded.sum.mean[i] / kDraws;
    }
    ASSERT_NEAR(decoded.sum.metrics[0].mean_loss, 0.685, 1e-4);  // a wide word
  }
  // A coordinate's error has a standard deviation of at most half a step: five of the mean's.
  for (std::size_t i = 0; i < kCoordinates; ++i) {
    EXPECT_NEAR(mean[i], static_cast<double>(sent.update[i]),
                5 * 0.5 * (8.0 / 204) / std::sqrt(kDraws));
  }
}

TEST_F(NarrowCodecTest, ACohortOfLargestUpdatesFits) {
  Rng rounding({.seed = 5, .purpose = "test"});
  for (std::uint32_t bits = 8; bits < 32; ++bits) {
    const RingCodec codec = RingCodec::Create(Options(bits)).value();
    Contribution largest = Sent(rounding, 1);
    largest.update.assign(kCoordinates, 0);
    largest.update[0] = 1e6F;
    largest.update[1] = -1e-3F;
    RingVector sum = codec.Zero();
    for (int client = 0; client < 10; ++client)
      ASSERT_TRUE(sum.Add(codec.Encode(largest, &rounding).value()).ok());
    const auto decoded = codec.Decode(sum, 10);
    ASSERT_TRUE(decoded.ok()) << decoded.error().message();
    EXPECT_NEAR(decoded->sum.mean[0], 8, 8 / std::exp2(bits - 5.0)) << bits;
  }
}

TEST_F(NarrowCodecTest, CoordinatesAreCutToTheirBoundWhichBuysResolution) {
  Rng rounding({.seed = 6, .purpose = "test"});
  auto options = Options(12);
  options.coordinate_bound = 1;
  const RingCodec codec = RingCodec::Create(options).value();
  EXPECT_NEAR(codec.update_scale(), 204, 1e-9);
  Contribution sent = Sent(rounding, 1);
  sent.update.assign(kCoordinates, 0);
  sent.update[0] = 5;  // below the clip of 8
  const RingVector vector = codec.Encode(sent, &rounding).value();
  EXPECT_EQ(vector.Signed(0), 204);
  options.coordinate_bound = 9;
  EXPECT_THAT(RingCodec::Create(options).error().message(), HasSubstr("coordinate_bound"));
}

TEST_F(NarrowCodecTest, SensitivityCountsAWholeStepForRoundingAtRandom) {
  Rng rng({.seed = 7, .purpose = "test"}), rounding({.seed = 8, .purpose = "test"});
  const RingCodec codec = RingCodec::Create(Options(10)).value();
  const double tail = static_cast<double>(codec.words() - kCoordinates);
  double squares = std::pow(8 * codec.update_scale(), 2);
  for (int draw = 0; draw < 200; ++draw) {
    const RingVector vector = codec.Encode(Sent(rng, 8), &rounding).value();
    double norm = 0;
    for (std::size_t i = 0; i < kCoordinates; ++i)
      norm += std::pow(static_cast<double>(vector.Signed(i)), 2);
    EXPECT_LE(std::sqrt(norm), std::sqrt(squares) + std::sqrt(kCoordinates));
  }
  EXPECT_GE(codec.sensitivity(),
            std::sqrt(squares) + std::hypot(std::sqrt(kCoordinates), std::sqrt(tail) / 2));
}

TEST_F(NarrowCodecTest, RefusesAGroupThatDoesNotFitWithWhatWould) {
  auto options = Options(8);
  options.cohort = 128;  // 127 units for 128 clients
  const auto refused = RingCodec::Create(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("must be < 2^7 = 128"));
  EXPECT_THAT(refused.error().message(), HasSubstr("cohort <= 127"));
  EXPECT_THAT(refused.error().message(), HasSubstr("a ring of 9 bits"));
  Rng rng({.seed = 9, .purpose = "test"});
  EXPECT_FALSE(RingCodec::Create(Options(8)).value().Encode(Sent(rng, 1)).ok());  // no stream
}

}  // namespace
}  // namespace fedmeta

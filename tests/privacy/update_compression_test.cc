#include "fedmeta/privacy/update_compression.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/rng.h"
#include "fedmeta/privacy/coordinate_sample.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

v1::CompressionTerms Terms(double fraction, bool error_feedback = false, bool rotation = false) {
  v1::CompressionTerms terms;
  terms.set_fraction(fraction);
  terms.set_error_feedback(error_feedback);
  terms.set_rotation(rotation);
  terms.set_bits(32);
  return terms;
}

/// 70 + 30 optimised coordinates around 20 of a control variate, and 10 averaged ones.
StateLayout Layout() {
  return StateLayout::Create(
             {{.name = "theta", .tensors = {{"w", {70}}}},
              {.name = "control", .rule = ServerRule::kAccumulate, .tensors = {{"c", {20}}}},
              {.name = "alpha", .tensors = {{"a", {30}}}},
              {.name = "buffers", .rule = ServerRule::kMean, .tensors = {{"m", {10}}}}})
      .value();
}

UpdateCompression Make(const v1::CompressionTerms& terms, const StateLayout& layout,
                       std::uint64_t round = 1, std::uint64_t seed = 7) {
  auto made =
      UpdateCompression::Create({.terms = terms, .layout = &layout, .seed = seed, .round = round});
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
  return std::move(made).value();
}

std::vector<float> Normal(std::size_t size, std::uint64_t seed) {
  Rng rng({.seed = seed, .purpose = "test"});
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(rng.Normal());
  return values;
}

/// Small integers, whose float sums are exact.
std::vector<float> Integers(std::size_t size, std::uint64_t seed) {
  Rng rng({.seed = seed, .purpose = "test"});
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(rng.Below(2001)) - 1000;
  return values;
}

std::vector<double> Doubles(std::span<const float> values) {
  return {values.begin(), values.end()};
}

TEST(CoordinateSampleTest, IsAscendingWithoutRepetitionAndOfTheSizeAsked) {
  Rng rng({.seed = 1, .purpose = "test"});
  for (const std::size_t count : {0U, 1U, 10U, 50U, 51U, 99U, 100U}) {
    const std::vector<std::size_t> sample = SampleCoordinates(100, count, rng);
    ASSERT_EQ(sample.size(), count);
    EXPECT_TRUE(std::is_sorted(sample.begin(), sample.end()));
    EXPECT_EQ(std::set(sample.begin(), sample.end()).size(), count);
    EXPECT_TRUE(sample.empty() || sample.back() < 100);
  }
}

// Each coordinate is in count / size of the samples; each pair in count (count - 1) / (size (size -
// 1)). Within five standard deviations.
TEST(CoordinateSampleTest, ChoosesAlike) {
  constexpr std::size_t kSize = 12;
  constexpr int kDraws = 20000;
  for (const std::size_t count : {3U, 9U}) {
    Rng rng({.seed = count, .purpose = "test"});
    std::vector<int> times(kSize), pairs(kSize);
    for (int draw = 0; draw < kDraws; ++draw) {
      const auto sample = SampleCoordinates(kSize, count, rng);
      for (const std::size_t i : sample) {
        ++times[i];
        if (sample.front() == 0 && i != 0) ++pairs[i];
      }
    }
    const double share = static_cast<double>(count) / kSize;
    const double pair = share * static_cast<double>(count - 1) / (kSize - 1);
    for (std::size_t i = 0; i < kSize; ++i) {
      EXPECT_NEAR(times[i], kDraws * share, 5 * std::sqrt(kDraws * share * (1 - share)));
      if (i > 0) {
        EXPECT_NEAR(pairs[i], kDraws * pair, 5 * std::sqrt(kDraws * pair * (1 - pair)));
      }
    }
  }
}

TEST(RandomRotationTest, ItsInverseGivesTheVectorBack) {
  for (const std::size_t size : {1U, 2U, 3U, 64U, 100U, 1000U}) {
    Rng signs({.seed = size, .purpose = "test"});
    const RandomRotation rotation(size, signs);
    const std::vector<float> before = Normal(size, 2);
    std::vector<float> after = before;
    rotation.Apply(after);
    const auto norm = [](std::span<const float> values) {
      return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
    };
    EXPECT_NEAR(norm(after), norm(before), 1e-5 * norm(before));
    if (size > 3) {
      EXPECT_NE(after, before);
    }
    std::vector<double> back = Doubles(after);
    rotation.Invert(back);
    for (std::size_t i = 0; i < size; ++i)
      ASSERT_NEAR(back[i], static_cast<double>(before[i]), 2e-6) << size;
  }
}

// A vector with all its length in one coordinate is the worst case: it is spread over a block.
TEST(RandomRotationTest, SpreadsWhatOneCoordinateHolds) {
  for (const std::size_t size : {1024U, 1500U}) {
    const double bound = RotatedBound(size, 1);
    EXPECT_LT(bound, 0.2);
    int beyond = 0;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      Rng signs({.seed = seed, .purpose = "test"});
      const RandomRotation rotation(size, signs);
      std::vector<float> values(size);
      values[seed * 7 % size] = 1;
      if (seed % 2 == 1) values = Normal(size, seed);
      const double norm =
          std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
      rotation.Apply(values);
      for (const float value : values)
        beyond += std::fabs(static_cast<double>(value)) > bound * norm ? 1 : 0;
    }
    EXPECT_LE(beyond, 2);  // one of a thousand rotations
  }
  EXPECT_EQ(RotatedBound(4, 3), 3);  // never above the norm
}

TEST(UpdateCompressionTest, AllClientsOfARoundSendTheSameCoordinates) {
  const StateLayout layout = Layout();
  std::vector<float> numbers(layout.size());
  std::iota(numbers.begin(), numbers.end(), 1.0F);
  const auto sent = [&](std::uint64_t round, std::uint64_t seed) {
    return Make(Terms(0.25), layout, round, seed).Compress(numbers, {});
  };
  EXPECT_EQ(sent(3, 7), sent(3, 7));
  EXPECT_NE(sent(3, 7), sent(4, 7));
  EXPECT_NE(sent(3, 7), sent(3, 8));
}

TEST(UpdateCompressionTest, ControlVariatesAndAveragesAreNeverLeftOut) {
  const StateLayout layout = Layout();
  const v1::CompressionTerms terms = Terms(0.1);
  EXPECT_EQ(ExchangedCoordinates(terms, layout), 10U + 20 + 10);
  const UpdateCompression compression = Make(terms, layout);
  EXPECT_EQ(compression.exchanged().size(), 40U);
  const std::vector<float> update = Normal(layout.size(), 3);
  const std::vector<double> back = compression.Expand(Doubles(compression.Compress(update, {})));
  for (std::size_t i = 0; i < layout.size(); ++i) {
    const bool state = (i >= 70 && i < 90) || i >= 120;
    if (state) {
      EXPECT_EQ(back[i], static_cast<double>(update[i])) << i;
    } else {
      // Ten of a hundred, multiplied by ten.
      EXPECT_TRUE(back[i] == 0 || std::fabs(back[i] - 10 * static_cast<double>(update[i])) < 1e-5);
    }
  }
}

TEST(UpdateCompressionTest, WithoutFeedbackItIsRightOnAverage) {
  const StateLayout layout = Layout();
  const std::vector<float> update = Normal(layout.size(), 4);
  constexpr int kRounds = 4000;
  std::vector<double> mean(layout.size());
  for (int round = 1; round <= kRounds; ++round) {
    const UpdateCompression compression =
        Make(Terms(0.2), layout, static_cast<std::uint64_t>(round));
    const std::vector<double> back = compression.Expand(Doubles(compression.Compress(update, {})));
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += back[i] / kRounds;
  }
  // x / p with chance p: variance x^2 (1 - p) / p.
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double value = static_cast<double>(update[i]);
    EXPECT_NEAR(mean[i], value, 5 * std::fabs(value) * std::sqrt(0.8 / 0.2 / kRounds) + 1e-9);
  }
}

// Every coordinate is sent or kept: what was sent of all rounds and the residual are together the
// sum of the updates, exactly.
TEST(UpdateCompressionTest, FeedbackLosesNothing) {
  const StateLayout layout = Layout();
  std::vector<float> residual(layout.size());
  std::vector<double> sent(layout.size()), updates(layout.size());
  for (std::uint64_t round = 1; round <= 50; ++round) {
    const UpdateCompression compression = Make(Terms(0.1, true), layout, round);
    const std::vector<float> update = Integers(layout.size(), round);
    const std::vector<double> back =
        compression.Expand(Doubles(compression.Compress(update, residual)));
    for (std::size_t i = 0; i < sent.size(); ++i) {
      sent[i] += back[i];
      updates[i] += static_cast<double>(update[i]);
      ASSERT_EQ(sent[i] + static_cast<double>(residual[i]), updates[i]) << round << " " << i;
    }
  }
  // Nothing waits that is never left out.
  for (std::size_t i = 70; i < 90; ++i) EXPECT_EQ(residual[i], 0);
  EXPECT_GT(*std::max_element(residual.begin(), residual.end()), 0);
}

// The map is linear: the mean of what clients send gives the mean of their updates.
TEST(UpdateCompressionTest, TheInverseOfASumIsTheSum) {
  const StateLayout layout = Layout();
  const UpdateCompression compression = Make(Terms(1, false, true), layout);
  EXPECT_EQ(compression.exchanged().size(), layout.size());
  const std::vector<float> a = Normal(layout.size(), 5), b = Normal(layout.size(), 6);
  const std::vector<float> sent_a = compression.Compress(a, {}),
                           sent_b = compression.Compress(b, {});
  EXPECT_NE(sent_a, a);
  std::vector<double> mean(layout.size());
  for (std::size_t i = 0; i < mean.size(); ++i)
    mean[i] = (static_cast<double>(sent_a[i]) + static_cast<double>(sent_b[i])) / 2;
  mean = compression.Expand(std::move(mean));
  for (std::size_t i = 0; i < mean.size(); ++i)
    EXPECT_NEAR(mean[i], (static_cast<double>(a[i]) + static_cast<double>(b[i])) / 2, 2e-6);
}

TEST(UpdateCompressionTest, RefusesTermsOutOfRange) {
  const StateLayout layout = Layout();
  for (const double fraction : {0.0, -0.1, 1.1, std::nan("")}) {
    const auto refused = UpdateCompression::Create({.terms = Terms(fraction), .layout = &layout});
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message(), HasSubstr("fraction must be > 0 and <= 1"));
  }
  for (const std::uint32_t bits : {0U, 1U, 33U}) {
    v1::CompressionTerms terms = Terms(1);
    terms.set_bits(bits);
    EXPECT_FALSE(CheckTerms(terms).ok()) << bits;
  }
}

}  // namespace
}  // namespace fedmeta

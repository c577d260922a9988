#include "fedmeta/core/rng.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "fedmeta/core/philox.h"

namespace fedmeta {
namespace {

using Block = std::array<std::uint32_t, 4>;

// Known-answer vectors published with Random123 (Salmon et al. 2011): zeros, ones, digits of pi.
TEST(PhiloxTest, MatchesThePublishedVectors) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(Philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

std::vector<std::uint64_t> Draws(const StreamName& name, int count) {
  Rng rng(name);
  std::vector<std::uint64_t> draws;
  for (int i = 0; i < count; ++i) draws.push_back(rng.Next64());
  return draws;
}

TEST(RngTest, AStreamIsItsName) {
  const StreamName name{.seed = 7, .purpose = "tasks", .client = "site-1", .round = 3};
  EXPECT_EQ(Draws(name, 100), Draws(name, 100));
}

TEST(RngTest, EveryPartOfTheNameMatters) {
  const std::vector<StreamName> names = {
      {.seed = 7, .purpose = "tasks", .client = "site-1", .round = 3},
      {.seed = 8, .purpose = "tasks", .client = "site-1", .round = 3},
      {.seed = 7, .purpose = "cohort", .client = "site-1", .round = 3},
      {.seed = 7, .purpose = "tasks", .client = "site-2", .round = 3},
      {.seed = 7, .purpose = "tasks", .client = "site-1", .round = 4},
      {.seed = 7, .purpose = "taskss", .client = "ite-1", .round = 3},  // the same letters in a row
  };
  std::set<std::uint64_t> seen;
  for (const StreamName& name : names) {
    for (const std::uint64_t draw : Draws(name, 100)) seen.insert(draw);
  }
  EXPECT_EQ(seen.size(), 600U);
}

TEST(RngTest, StreamsDoNotDependOnTheOrderOfTheirUse) {
  const StreamName first_name{.seed = 1, .purpose = "tasks", .client = "a"};
  const StreamName second_name{.seed = 1, .purpose = "tasks", .client = "b"};
  Rng first(first_name);
  Rng second(second_name);
  std::vector<std::uint64_t> interleaved_first;
  std::vector<std::uint64_t> interleaved_second;
  for (int i = 0; i < 50; ++i) {
    interleaved_second.push_back(second.Next64());
    interleaved_first.push_back(first.Next64());
  }
  EXPECT_EQ(interleaved_first, Draws(first_name, 50));
  EXPECT_EQ(interleaved_second, Draws(second_name, 50));
}

TEST(RngTest, StreamsOfNeighbouringNamesAreUncorrelated) {
  constexpr int kDraws = 20000;
  Rng a({.seed = 1, .purpose = "tasks", .client = "site-1", .round = 1});
  Rng b({.seed = 1, .purpose = "tasks", .client = "site-1", .round = 2});
  double product = 0;
  for (int i = 0; i < kDraws; ++i) product += (a.Uniform() - 0.5) * (b.Uniform() - 0.5);
  // Correlation of independent streams has standard deviation 1 / sqrt(n); variance of a uniform: 1
  // / 12.
  EXPECT_LT(std::fabs(product / kDraws * 12), 4 / std::sqrt(kDraws));
}

// 99.9 % quantile of chi-square with 99 degrees of freedom: 148.2.
double ChiSquare(const std::vector<int>& counts) {
  const double expected =
      std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
  double sum = 0;
  for (const int count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

TEST(RngTest, UniformIsUniform) {
  Rng rng({.seed = 1, .purpose = "test"});
  std::vector<int> counts(100);
  for (int i = 0; i < 100000; ++i) {
    const double draw = rng.Uniform();
    ASSERT_TRUE(draw >= 0 && draw < 1);
    ++counts[static_cast<std::size_t>(draw * 100)];
  }
  EXPECT_LT(ChiSquare(counts), 148.2);
}

TEST(RngTest, UniformKeepsToItsInterval) {
  Rng rng({.seed = 1, .purpose = "test"});
  for (int i = 0; i < 1000; ++i) {
    const double draw = rng.Uniform(-5, 5);
    ASSERT_TRUE(draw >= -5 && draw < 5);
  }
}

TEST(RngTest, BelowIsUniform) {
  Rng rng({.seed = 2, .purpose = "test"});
  std::vector<int> counts(100);
  for (int i = 0; i < 100000; ++i) ++counts[rng.Below(100)];
  EXPECT_LT(ChiSquare(counts), 148.2);
}

// With bound 3 x 2^62 a plain modulo of 64 bits would draw the lowest third twice as often: 1/2,
// 1/4, 1/4.
TEST(RngTest, BelowIsUnbiasedForBoundsThatDoNotDivide) {
  Rng rng({.seed = 3, .purpose = "test"});
  std::vector<int> counts(3);
  for (int i = 0; i < 30000; ++i) ++counts[rng.Below(std::uint64_t{3} << 62) >> 62];
  EXPECT_LT(ChiSquare(counts), 13.8);  // 99.9 %, 2 degrees of freedom
}

TEST(RngTest, BelowOneIsZero) {
  Rng rng({.seed = 3, .purpose = "test"});
  EXPECT_EQ(rng.Below(1), 0U);
}

struct Moments {
  double mean, variance;
};
template <typename Draw>
Moments MomentsOf(int count, const Draw& draw) {
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < count; ++i) {
    const double value = draw();
    sum += value;
    squares += value * value;
  }
  const double mean = sum / count;
  return {mean, squares / count - mean * mean};
}

TEST(RngTest, NormalHasMeanZeroAndVarianceOne) {
  constexpr int kDraws = 100000;
  Rng rng({.seed = 4, .purpose = "test"});
  const Moments moments = MomentsOf(kDraws, [&] { return rng.Normal(); });
  EXPECT_LT(std::fabs(moments.mean), 4 / std::sqrt(kDraws));
  EXPECT_LT(std::fabs(moments.variance - 1),
            4 * std::sqrt(2.0 / kDraws));  // var of a squared normal is 2
}

TEST(RngTest, NormalFillsItsQuartersEvenly) {
  Rng rng({.seed = 5, .purpose = "test"});
  std::vector<int> counts(4);
  for (int i = 0; i < 40000; ++i) {
    const double draw = rng.Normal();
    constexpr double kQuartile = 0.6744897501960817;
    ++counts[draw < -kQuartile ? 0 : draw < 0 ? 1 : draw < kQuartile ? 2 : 3];
  }
  EXPECT_LT(ChiSquare(counts), 16.3);  // 99.9 %, 3 degrees of freedom
}

// Gamma(a, 1) has mean a, variance a and fourth central moment 3a^2 + 6a.
TEST(RngTest, GammaHasItsMoments) {
  constexpr int kDraws = 100000;
  for (const double shape : {0.1, 0.5, 1.0, 3.0, 20.0}) {
    Rng rng({.seed = 6, .purpose = "test"});
    const Moments moments = MomentsOf(kDraws, [&] { return rng.Gamma(shape); });
    EXPECT_LT(std::fabs(moments.mean - shape), 4 * std::sqrt(shape / kDraws)) << shape;
    const double spread = std::sqrt((2 * shape * shape + 6 * shape) / kDraws);
    EXPECT_LT(std::fabs(moments.variance - shape), 4 * spread) << shape;
  }
}

TEST(RngTest, ShuffleReachesEveryOrderEquallyOften) {
  Rng rng({.seed = 7, .purpose = "test"});
  std::vector<int> counts(24);
  for (int i = 0; i < 24000; ++i) {
    std::vector<int> items = {0, 1, 2, 3};
    rng.Shuffle(std::span(items));
    int order = 0;
    for (std::vector<int> next = {0, 1, 2, 3}; next != items;
         std::next_permutation(next.begin(), next.end()))
      ++order;
    ++counts[static_cast<std::size_t>(order)];
  }
  EXPECT_LT(ChiSquare(counts), 49.7);  // 99.9 %, 23 degrees of freedom
}

// What makes a run repeatable in years. Computed by hand (Python's hashlib and struct) from the
// definition: SHA-256 of "fedmeta stream 1", seed, length and text of purpose and client, round,
// numbers as 64-bit little-endian; bytes 0-7 are the key, bytes 8-15 the upper half of the counter.
TEST(RngTest, TheStreamOfANameNeverChanges) {
  Rng rng({.seed = 7, .purpose = "tasks", .client = "site-1", .round = 3});
  EXPECT_EQ(rng.Next(), 264952149U);
  EXPECT_EQ(rng.Next(), 2921565155U);
  EXPECT_EQ(rng.Next64(), 13453839140941629248U);
}

}  // namespace
}  // namespace fedmeta

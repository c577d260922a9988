// Each robust rule against cases worked out by hand and against its definition written plainly.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "robust_round.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Pointwise;
using Vector = std::vector<double>;

// The codec rounds at 2^-39.
constexpr double kRounding = 0x1p-38;

template <typename Settings>
v1::Plugin WithF(const std::string& name, std::uint32_t byzantine) {
  Settings settings;
  settings.set_byzantine(byzantine);
  return Choice(name, settings);
}

v1::Plugin MultiKrum(std::uint32_t byzantine, std::uint32_t keep) {
  v1::MultiKrumSettings settings;
  settings.set_byzantine(byzantine);
  settings.set_keep(keep);
  return Choice("multi_krum", settings);
}

v1::Plugin NormBound(double bound, double median_multiple) {
  v1::NormBoundSettings settings;
  settings.set_bound(bound);
  settings.set_median_multiple(median_multiple);
  return Choice("norm_bound", settings);
}

double Distance(const Update& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

Vector Column(const std::vector<Update>& updates, std::size_t i) {
  Vector column;
  for (const Update& update : updates) column.push_back(update[i]);
  std::ranges::sort(column);
  return column;
}

Vector MeanOf(const std::vector<Update>& updates) {
  Vector mean(updates.front().size());
  for (const Update& update : updates) {
    for (std::size_t i = 0; i < mean.size(); ++i)
      mean[i] += update[i] / static_cast<double>(updates.size());
  }
  return mean;
}

TEST(MedianRuleTest, TakesTheMiddleOfEachCoordinate) {
  EXPECT_THAT(Aggregate(WithF<v1::MedianSettings>("median", 1), {{1, -5}, {900, 0.5}, {2, 7}}),
              ElementsAre(2, 0.5));
}

TEST(MedianRuleTest, OfAnEvenNumberItIsTheMeanOfTheTwoInTheMiddle) {
  EXPECT_THAT(Aggregate(WithF<v1::MedianSettings>("median", 1), {{4}, {900}, {1}, {2}}),
              ElementsAre(3));  // (2 + 4) / 2
}

TEST(MedianRuleTest, IsThatOfTheSortedColumns) {
  for (const std::size_t clients : {9U, 10U}) {
    const std::vector<Update> updates = RandomUpdates(clients, 700);  // some blocks and a rest
    Vector expected;
    for (std::size_t i = 0; i < 700; ++i) {
      const Vector column = Column(updates, i);
      expected.push_back((column[(clients - 1) / 2] + column[clients / 2]) / 2);
    }
    EXPECT_THAT(Aggregate(WithF<v1::MedianSettings>("median", 4), updates),
                Pointwise(DoubleNear(kRounding), expected));
  }
}

TEST(TrimmedMeanRuleTest, LeavesOutBothEnds) {
  EXPECT_THAT(Aggregate(WithF<v1::TrimmedMeanSettings>("trimmed_mean", 1),
                        {{1, 8}, {-300, 2}, {2, 900}, {6, 5}}),
              ElementsAre(1.5, 6.5));  // (1 + 2) / 2, (5 + 8) / 2
}

TEST(TrimmedMeanRuleTest, IsThatOfTheSortedColumns) {
  const std::vector<Update> updates = RandomUpdates(11, 700);
  Vector expected;
  for (std::size_t i = 0; i < 700; ++i) {
    const Vector column = Column(updates, i);
    expected.push_back(std::accumulate(column.begin() + 3, column.end() - 3, 0.0) / 5);
  }
  EXPECT_THAT(Aggregate(WithF<v1::TrimmedMeanSettings>("trimmed_mean", 3), updates),
              Pointwise(DoubleNear(kRounding), expected));
}

// Five values and f = 1: a score is the sum of the squared distances to the two nearest others.
//   0: 1 + 4 = 5;  1: 1 + 1 = 2;  2: 1 + 0.25 = 1.25;  2.5: 0.25 + 2.25 = 2.5;  90: 87.5^2 + 88^2
const std::vector<Update> kOnALine = {{0}, {1}, {2}, {2.5F}, {90}};

TEST(KrumRuleTest, TakesTheUpdateWithTheBestScore) {
  EXPECT_THAT(Aggregate(WithF<v1::KrumSettings>("krum", 1), kOnALine), ElementsAre(2));
}

TEST(KrumRuleTest, OfEqualScoresTheFirstNameDecides) {
  // Both ends score 1 + 4, the three in the middle 1 + 1.
  EXPECT_THAT(Aggregate(WithF<v1::KrumSettings>("krum", 1), {{4}, {3}, {2}, {1}, {0}}),
              ElementsAre(3));
}

TEST(MultiKrumRuleTest, TakesTheMeanOfTheBestScores) {
  EXPECT_THAT(Aggregate(MultiKrum(1, 2), kOnALine), ElementsAre(1.5));  // of 2 and 1
  EXPECT_THAT(Aggregate(MultiKrum(1, 1), kOnALine), ElementsAre(2));
  EXPECT_THAT(Aggregate(MultiKrum(1, 0), kOnALine), ElementsAre(1.5));  // keeps 5 - 1 - 2
}

TEST(MultiKrumRuleTest, FollowsItsDefinition) {
  constexpr std::size_t kClients = 11, kByzantine = 3, kKeep = 5;
  std::vector<Update> updates = RandomUpdates(kClients, 2500);  // some blocks and a rest
  for (std::size_t k = 0; k < kClients; ++k) {                  // scores that differ clearly
    for (float& value : updates[k]) value *= static_cast<float>(1 << (k % 4));
  }
  std::vector<std::pair<double, std::size_t>> scores;
  for (std::size_t k = 0; k < kClients; ++k) {
    Vector distances;
    const Vector own(updates[k].begin(), updates[k].end());
    for (std::size_t j = 0; j < kClients; ++j) {
      if (j != k) distances.push_back(std::pow(Distance(updates[j], own), 2));
    }
    std::ranges::sort(distances);
    scores.emplace_back(
        std::accumulate(distances.begin(), distances.begin() + kClients - kByzantine - 2, 0.0), k);
  }
  std::ranges::sort(scores);
  std::vector<Update> best;
  for (std::size_t i = 0; i < kKeep; ++i) best.push_back(updates[scores[i].second]);
  EXPECT_THAT(Aggregate(MultiKrum(kByzantine, kKeep), updates),
              Pointwise(DoubleNear(kRounding), MeanOf(best)));
  const Update& first = updates[scores[0].second];
  EXPECT_THAT(Aggregate(WithF<v1::KrumSettings>("krum", kByzantine), updates),
              Pointwise(DoubleNear(kRounding), Vector(first.begin(), first.end())));
}

TEST(GeometricMedianRuleTest, OfFourCornersIsWhereTheDiagonalsCross) {
  // y = x and y = 3 - x / 2.
  const Vector point = Aggregate(WithF<v1::GeometricMedianSettings>("geometric_median", 1),
                                 {{0, 0}, {6, 0}, {4, 4}, {0, 3}});
  EXPECT_THAT(point, Pointwise(DoubleNear(1e-3), Vector{2, 2}));
}

TEST(GeometricMedianRuleTest, OnALineIsTheMedian) {
  EXPECT_THAT(Aggregate(WithF<v1::GeometricMedianSettings>("geometric_median", 2),
                        {{0}, {1}, {2}, {50}, {90}}),
              ElementsAre(DoubleNear(2, 1e-5)));
}

/// Where the sum of distances is least, its gradient, the sum of unit vectors, is 0.
TEST(GeometricMedianRuleTest, UnitVectorsToTheUpdatesCancel) {
  const std::vector<Update> updates = RandomUpdates(9, 300);
  const Vector point =
      Aggregate(WithF<v1::GeometricMedianSettings>("geometric_median", 4), updates);
  Vector sum(300);
  for (const Update& update : updates) {
    const double distance = Distance(update, point);
    for (std::size_t i = 0; i < 300; ++i) sum[i] += (update[i] - point[i]) / distance;
  }
  EXPECT_LT(std::sqrt(std::inner_product(sum.begin(), sum.end(), sum.begin(), 0.0)), 1e-3);
}

TEST(GeometricMedianRuleTest, AtAnUpdateItIsSmoothed) {
  EXPECT_THAT(Aggregate(WithF<v1::GeometricMedianSettings>("geometric_median", 1),
                        {{1, 1}, {1, 1}, {1, 1}, {70, 8}}),
              Pointwise(DoubleNear(1e-5), Vector{1, 1}));
}

TEST(NormBoundRuleTest, ScalesDownWhatIsLonger) {
  // (3, 4) has norm 5 and becomes (1.5, 2); (0, -2) stays.
  EXPECT_THAT(Aggregate(NormBound(2.5, 1), {{3, 4}, {0, -2}, {0, 0}}),
              Pointwise(DoubleNear(kRounding), Vector{0.5, 0}));
}

TEST(NormBoundRuleTest, WithoutABoundTheMedianNormCounts) {
  // Norms 1, 2, 100: times 1.5 the bound is 3.
  EXPECT_THAT(Aggregate(NormBound(0, 1.5), {{1, 0}, {0, 2}, {100, 0}}),
              Pointwise(DoubleNear(kRounding), Vector{4.0 / 3, 2.0 / 3}));
}

TEST(NormBoundRuleTest, WithinTheBoundItIsTheMean) {
  const std::vector<Update> updates = RandomUpdates(9, 300);
  EXPECT_THAT(Aggregate(NormBound(1e6, 1), updates),
              Pointwise(DoubleNear(kRounding), MeanOf(updates)));
}

}  // namespace
}  // namespace fedmeta

#include "fedmeta/client/data/table_report.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

TEST(CountDisclosureTest, CountsAreExactWhereNoneIsSmall) {
  const CountDisclosure shown(std::vector<std::uint64_t>{1234, 0, 10});
  EXPECT_EQ(shown.Show(1234), "1,234");
  EXPECT_EQ(shown.Show(0), "0");
  EXPECT_EQ(shown.ShowWithShare(617, 1234), "617 (50 %)");
}

TEST(CountDisclosureTest, OthersAreRoundedWhereOneIsSmall) {
  const CountDisclosure shown(std::vector<std::uint64_t>{1234, 3});
  EXPECT_EQ(shown.Show(1234), "about 1,230");
  EXPECT_EQ(shown.Show(1235), "about 1,240");
  EXPECT_EQ(shown.Show(3), "<10");
  EXPECT_EQ(shown.Show(0), "0");
  EXPECT_EQ(shown.ShowWithShare(12, 1237), "about 10 (1 %)");
  EXPECT_EQ(shown.ShowWithShare(3, 1237), "<10");
}

TEST(CountDisclosureTest, SumsAreThoseOfWhatIsShown) {
  const std::vector<std::uint64_t> parts = {44, 24, 9};
  const CountDisclosure shown(parts);
  EXPECT_EQ(shown.Sum(parts), 70U) << "40 + 20 + 5, in tens";
  EXPECT_EQ(shown.ShowSum(parts), "about 70");
  EXPECT_EQ(CountDisclosure(std::vector<std::uint64_t>{44, 24})
                .ShowSum(std::vector<std::uint64_t>{44, 24}),
            "68");
}

TEST(CountDisclosureTest, NoSumOrDifferenceGivesASmallCountAway) {
  Rng rng({.seed = 1, .purpose = "counts"});
  for (int i = 0; i < 200; ++i) {
    std::vector<std::uint64_t> parts = {1 + rng.Below(9)};
    for (std::uint64_t n = 1 + rng.Below(6); n > 0; --n) parts.push_back(rng.Below(80));
    const auto shows = [](const std::vector<std::uint64_t>& counts) {
      const CountDisclosure shown(counts);
      std::string text = shown.ShowSum(counts);
      for (const std::uint64_t count : counts)
        text += "; " + shown.ShowWithShare(count, shown.Sum(counts));
      return text;
    };
    const std::string first = shows(parts);
    for (std::uint64_t other = 1; other < 10; ++other) {
      parts[0] = other;
      EXPECT_EQ(shows(parts), first) << "nobody can tell " << other << " from the others";
    }
  }
}

}  // namespace
}  // namespace fedmeta

#include "fedmeta/core/clock.h"

#include <limits>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using std::chrono::seconds;

TEST(ClockTest, FormatsUtcAsRfc3339) {
  // date -u -d @1764009712
  EXPECT_EQ(FormatUtc(WallTime(seconds(1764009712))), "2025-11-24T18:41:52Z");
  EXPECT_EQ(FormatUtc(WallTime(seconds(0))), "1970-01-01T00:00:00Z");
}

TEST(ClockTest, FormatsUtcForFileNamesWithoutColons) {
  EXPECT_EQ(FormatUtcCompact(WallTime(seconds(1764009712))), "20251124T184152Z");
}

TEST(ClockTest, FormatsDurationsForPeople) {
  EXPECT_EQ(FormatDuration(1.5), "1.5 s");
  EXPECT_EQ(FormatDuration(9.94), "9.9 s");
  EXPECT_EQ(FormatDuration(9.97), "10 s");
  EXPECT_EQ(FormatDuration(190), "3 min 10 s");
  EXPECT_EQ(FormatDuration(7500), "2 h 5 min");
}

TEST(ClockTest, RoundsADurationUpIntoTheNextUnit) {
  EXPECT_EQ(FormatDuration(59.6), "1 min 0 s");
  EXPECT_EQ(FormatDuration(3599.7), "1 h 0 min");
}

TEST(ClockTest, SaysSoWhenADurationIsNotFinite) {
  EXPECT_EQ(FormatDuration(std::numeric_limits<double>::infinity()), "an unknown time");
  EXPECT_EQ(FormatDuration(std::numeric_limits<double>::quiet_NaN()), "an unknown time");
}

TEST(ClockTest, ManualClockStandsStillUntilAdvanced) {
  ManualClock clock;
  const TimePoint start = clock.Now();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(Duration(1500));
  EXPECT_EQ(clock.Now() - start, Duration(1500));
  EXPECT_EQ(clock.Wall(), WallTime(Duration(1500)));
}

TEST(ClockTest, SystemClockNeverGoesBack) {
  const SystemClock clock;
  const TimePoint first = clock.Now();
  EXPECT_GE(clock.Now(), first);
}

}  // namespace
}  // namespace fedmeta

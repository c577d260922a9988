#include "fedmeta/protocol/version.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

using ::testing::EndsWith;

v1::Version Speaks(std::uint32_t major, std::uint32_t minor) {
  v1::Version version;
  version.set_major(major);
  version.set_minor(minor);
  return version;
}

TEST(VersionTest, ThisProgramUnderstandsItself) {
  EXPECT_TRUE(CheckClientVersion(OwnVersion()).ok());
  EXPECT_TRUE(CheckCoordinatorVersion(OwnVersion()).ok());
  EXPECT_EQ(OwnVersion().program(), "fedmeta 0.1.0");
}

TEST(VersionTest, ACoordinatorServesTwoMinorVersionsBack) {
  for (const std::uint32_t minor : {3U, 4U, 5U})
    EXPECT_TRUE(CheckVersions(Speaks(1, 5), Speaks(1, minor)).ok()) << minor;
  for (const std::uint32_t minor : {0U, 1U})
    EXPECT_TRUE(CheckVersions(Speaks(1, 1), Speaks(1, minor)).ok()) << minor;
}

TEST(VersionTest, ASiteWhoseMetricCellsAreSmallerIsNotServed) {
  for (const std::uint32_t minor : {2U, 3U}) {
    EXPECT_FALSE(CheckVersions(Speaks(1, minor), Speaks(1, 1)).ok()) << minor;
    EXPECT_TRUE(CheckVersions(Speaks(1, minor), Speaks(1, 2)).ok()) << minor;
  }
}

TEST(VersionTest, AnOlderSiteIsToldFromWhichVersionItIsServed) {
  const Status status = CheckVersions(Speaks(1, 5), Speaks(1, 2));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(status.error().message(),
            "protocol: coordinator 1.5 serves clients from 1.3 to 1.5, this site speaks 1.2: "
            "upgrade fedmeta at this site");
}

TEST(VersionTest, ANewerSiteIsToldThatTheCoordinatorIsBehind) {
  for (const v1::Version& client : {Speaks(1, 6), Speaks(2, 0)}) {
    const Status status = CheckVersions(Speaks(1, 5), client);
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message(), EndsWith("upgrade fedmeta at the coordinator"));
  }
}

TEST(VersionTest, AnotherMajorVersionIsRefused) {
  for (const v1::Version& client : {Speaks(1, 0), Speaks(1, 99), v1::Version()}) {
    const Status status = CheckVersions(Speaks(2, 0), client);
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message(), EndsWith("upgrade fedmeta at this site"));
  }
}

TEST(VersionTest, EachSideChecksTheOtherAgainstItself) {
  EXPECT_TRUE(CheckCoordinatorVersion(Speaks(kProtocolMajor, kProtocolMinor + 2)).ok());
  EXPECT_FALSE(CheckCoordinatorVersion(Speaks(kProtocolMajor, kProtocolMinor + 3)).ok());
  EXPECT_FALSE(CheckCoordinatorVersion(Speaks(kProtocolMajor, kProtocolMinor - 1)).ok());
  EXPECT_FALSE(CheckClientVersion(Speaks(kProtocolMajor, kProtocolMinor + 1)).ok());
}

}  // namespace
}  // namespace fedmeta

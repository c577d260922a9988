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

TEST(VersionTest, ACoordinatorRefusesANewerClient) {
  for (const v1::Version& client :
       {Speaks(kProtocolMajor, kProtocolMinor + 1), Speaks(kProtocolMajor + 1, 0)}) {
    const Status status = CheckClientVersion(client);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), ErrorCode::kFailedPrecondition);
    EXPECT_THAT(status.error().message(), EndsWith("update the coordinator"));
  }
}

TEST(VersionTest, ACoordinatorRefusesAClientOfAnOlderMajorVersion) {
  for (const v1::Version& client :
       {Speaks(kProtocolMajor - 1, 0), Speaks(kProtocolMajor - 1, 99), v1::Version()}) {
    const Status status = CheckClientVersion(client);
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message(), EndsWith("update the client"));
  }
}

TEST(VersionTest, AClientWorksWithANewerMinorVersionOfItsCoordinator) {
  EXPECT_TRUE(CheckCoordinatorVersion(Speaks(kProtocolMajor, kProtocolMinor + 2)).ok());
}

TEST(VersionTest, AClientRefusesACoordinatorOfAnotherMajorVersion) {
  EXPECT_THAT(CheckCoordinatorVersion(Speaks(kProtocolMajor + 1, 0)).error().message(),
              EndsWith("update the client"));
  EXPECT_THAT(CheckCoordinatorVersion(Speaks(kProtocolMajor - 1, 0)).error().message(),
              EndsWith("update the coordinator"));
}

}  // namespace
}  // namespace fedmeta

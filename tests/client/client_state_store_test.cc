#include "fedmeta/client/client_state_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

RoundKey Key(std::uint64_t round, std::uint32_t attempt = 1) {
  return {.experiment = ExperimentId("demo/scaffold"),
          .purpose = Purpose::kTrain,
          .round = round,
          .attempt = attempt};
}
Bytes Text(std::string_view text) {
  const auto bytes = AsBytes(text);
  return {bytes.begin(), bytes.end()};
}

class ClientStateStoreTest : public ::testing::Test {
 protected:
  /// As a new process would read it.
  Result<Bytes> Current(const std::optional<RoundKey>& last_counted) {
    return ClientStateStore(folder_.path()).Current(Key(1).experiment, last_counted);
  }
  void Stage(const RoundKey& key, std::string_view text) {
    ASSERT_TRUE(ClientStateStore(folder_.path()).Stage(key, Text(text)).ok());
  }
  const TemporaryFolder folder_;
};

TEST_F(ClientStateStoreTest, IsEmptyAtFirst) { EXPECT_EQ(Current(std::nullopt).value(), Bytes()); }

TEST_F(ClientStateStoreTest, WhatACountedRoundStagedBecomesCurrent) {
  Stage(Key(1), "one");
  EXPECT_EQ(Current(Key(1)).value(), Text("one"));
  EXPECT_EQ(Current(Key(1)).value(), Text("one"));  // and stays it
  Stage(Key(2), "two");
  EXPECT_EQ(Current(Key(2)).value(), Text("two"));
}

TEST_F(ClientStateStoreTest, WhatWasNotCountedIsDropped) {
  Stage(Key(1), "one");
  EXPECT_EQ(Current(Key(1)).value(), Text("one"));
  Stage(Key(2), "two");
  EXPECT_EQ(Current(Key(1)).value(), Text("one"));  // round 2 was abandoned
  EXPECT_EQ(Current(Key(1)).value(), Text("one"));
  Stage(Key(2, 2), "two again");
  EXPECT_EQ(Current(Key(2, 2)).value(), Text("two again"));
}

TEST_F(ClientStateStoreTest, OneThatWasNeverCountedKeepsNothing) {
  Stage(Key(1), "one");
  EXPECT_EQ(Current(std::nullopt).value(), Bytes());
  EXPECT_EQ(Current(std::nullopt).value(), Bytes());
}

TEST_F(ClientStateStoreTest, AnOldFolderIsNoticed) {
  Stage(Key(1), "one");
  EXPECT_TRUE(Current(Key(1)).ok());
  const Result<Bytes> current = Current(Key(3));
  ASSERT_FALSE(current.ok());
  EXPECT_EQ(current.error().code(), ErrorCode::kDataLoss);
  EXPECT_THAT(current.error().message(), HasSubstr("demo/scaffold train 3.1"));
}

TEST_F(ClientStateStoreTest, LegsDoNotMix) {
  Stage(Key(1), "one");
  RoundKey other = Key(1);
  other.experiment = ExperimentId("demo/scaffold-2");
  Stage(other, "other");
  EXPECT_EQ(Current(Key(1)).value(), Text("one"));
  EXPECT_EQ(ClientStateStore(folder_.path()).Current(other.experiment, other).value(),
            Text("other"));
}

}  // namespace
}  // namespace fedmeta

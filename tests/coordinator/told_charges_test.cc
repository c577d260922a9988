#include "fedmeta/coordinator/told_charges.h"

#include <gtest/gtest.h>

#include "fedmeta/v1/charged.pb.h"

namespace fedmeta {
namespace {

class ToldChargesTest : public testing::Test {
 protected:
  void Say(const std::string& leg, std::uint64_t round, std::uint32_t attempt = 1,
           std::uint64_t epoch = 1) {
    v1::ChargedAttempt& said = *told_.add_attempts();
    said.set_experiment(leg);
    said.set_round(round);
    said.set_attempt(attempt);
    said.set_epoch(epoch);
  }
  std::vector<ToldCharge> Read() const {
    return ReadToldCharges(told_.SerializeAsString(), bounds_).value();
  }

  v1::ChargedReleases told_;
  const ToldBounds bounds_{.legs = {ExperimentId("heart/maml")}, .rounds = 5, .retries = 1};
};

TEST_F(ToldChargesTest, EachAttemptIsReadOnce) {
  Say("heart/maml", 3);
  Say("heart/maml", 3);
  Say("heart/maml", 3, 2);
  Say("heart/maml", 3, 1, 2);
  const std::vector<ToldCharge> told = Read();
  ASSERT_EQ(told.size(), 3U);
  EXPECT_EQ(told.front().first, 1U);
  EXPECT_EQ(told.front().second.ToString(), "heart/maml train 3.1");
}

TEST_F(ToldChargesTest, WhatCannotHaveBeenIsLeftOut) {
  Say("heart/fedavg", 1);
  Say("heart/maml", 0);
  Say("heart/maml", 6);
  Say("heart/maml", 1, 0);
  Say("heart/maml", 1, 1, 0);
  EXPECT_TRUE(Read().empty());
}

TEST_F(ToldChargesTest, ALiarIsBounded) {
  for (std::uint32_t attempt = 1; attempt < 10'000; ++attempt) Say("heart/maml", 1, attempt);
  EXPECT_EQ(Read().size(), 20U);
}

TEST_F(ToldChargesTest, OtherBytesAreRefused) {
  EXPECT_FALSE(ReadToldCharges("\xff", bounds_).ok());
  EXPECT_TRUE(ReadToldCharges("", bounds_).value().empty());
}

}  // namespace
}  // namespace fedmeta

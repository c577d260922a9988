#include "fedmeta/protocol/round_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/protocol/limits.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

RoundKey Key() {
  return {.experiment = ExperimentId("fashion/maml"),
          .purpose = Purpose::kTrain,
          .round = 12,
          .attempt = 1,
          .session = 0};
}

std::string Refusal(const v1::RoundKey& message) {
  const auto key = FromMessage(message);
  return key.ok() ? "accepted" : key.error().message();
}

TEST(RoundKeyTest, MessageRoundTrips) {
  RoundKey key = Key();
  key.purpose = Purpose::kEvaluate;
  key.session = 3;
  EXPECT_EQ(FromMessage(ToMessage(key)).value(), key);
}

TEST(RoundKeyTest, ReadsAsPeopleSayIt) {
  EXPECT_EQ(Key().ToString(), "fashion/maml train 12.1");
  RoundKey key = Key();
  key.purpose = Purpose::kEvaluate;
  key.session = 2;
  EXPECT_EQ(key.ToString(), "fashion/maml evaluate 12.1.2");
}

TEST(RoundKeyTest, RefusesAnUnknownPurpose) {
  v1::RoundKey message = ToMessage(Key());
  message.set_purpose(static_cast<v1::Purpose>(77));
  EXPECT_EQ(Refusal(message), "round key: unknown purpose 77");
  message.clear_purpose();
  EXPECT_EQ(Refusal(message), "round key: unknown purpose 0");
}

TEST(RoundKeyTest, RefusesAttemptZero) {
  v1::RoundKey message = ToMessage(Key());
  message.set_attempt(0);
  EXPECT_EQ(Refusal(message), "round key: attempt must be > 0, got 0");
}

TEST(RoundKeyTest, RefusesExperimentNamesThatAreEmptyLongOrNotPrintable) {
  for (const std::string& name :
       {std::string(), std::string(kMaximumNameBytes + 1, 'x'), std::string("a b"),
        std::string("a\nb"), std::string("a\x1B[2J"), std::string("\xC3\xA9")}) {
    v1::RoundKey message = ToMessage(Key());
    message.set_experiment(name);
    EXPECT_THAT(Refusal(message), HasSubstr("experiment must be 1 to 256 printable characters"))
        << name.size();
  }
  v1::RoundKey message = ToMessage(Key());
  message.set_experiment(std::string(kMaximumNameBytes, 'x'));
  EXPECT_EQ(Refusal(message), "accepted");
}

}  // namespace
}  // namespace fedmeta

#include "fedmeta/protocol/round_plan.h"

#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/protocol/limits.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

void SetKey(v1::RoundKey* key, v1::Purpose purpose, std::uint64_t round) {
  key->set_experiment("fashion/maml");
  key->set_purpose(purpose);
  key->set_round(round);
  key->set_attempt(1);
}

v1::RoundPlan TrainPlan() {
  v1::RoundPlan plan;
  SetKey(plan.mutable_key(), v1::PURPOSE_TRAIN, 12);
  SetKey(plan.mutable_parent(), v1::PURPOSE_TRAIN, 11);
  plan.set_assignment_hash(Digest::Of("assignment").bytes());
  plan.set_assignment_size(100);
  plan.set_state_hash(Digest::Of("state").bytes());
  plan.set_state_coordinates(28485);
  plan.set_maximum_weight(1);
  plan.set_report_deadline_ms(60000);
  plan.mutable_train();
  return plan;
}

v1::RoundPlan EvaluatePlan() {
  v1::RoundPlan plan = TrainPlan();
  SetKey(plan.mutable_key(), v1::PURPOSE_EVALUATE, 12);
  SetKey(plan.mutable_parent(), v1::PURPOSE_TRAIN, 12);
  v1::Evaluate* evaluate = plan.mutable_evaluate();
  evaluate->set_part(v1::PART_TEST);
  evaluate->add_shots(1);
  evaluate->add_shots(5);
  evaluate->add_learning_rates(0.1);
  for (const unsigned steps : {0U, 1U, 5U}) evaluate->add_steps(steps);
  evaluate->set_episodes(4);
  return plan;
}

using Change = std::function<void(v1::RoundPlan&)>;
std::string Refusal(v1::RoundPlan plan, const Change& change) {
  change(plan);
  const auto parsed = RoundPlan::Parse(plan.SerializeAsString());
  if (parsed.ok()) return "accepted";
  EXPECT_EQ(parsed.error().code(), ErrorCode::kInvalidArgument);
  return parsed.error().message();
}
std::string TrainRefusal(const Change& change) { return Refusal(TrainPlan(), change); }
std::string EvaluateRefusal(const Change& change) { return Refusal(EvaluatePlan(), change); }

TEST(RoundPlanTest, ReadsWhatItSays) {
  const RoundPlan plan = RoundPlan::Create(TrainPlan()).value();
  EXPECT_EQ(plan.key().ToString(), "fashion/maml train 12.1");
  ASSERT_TRUE(plan.parent().has_value());
  EXPECT_EQ(plan.parent()->round, 11U);
  EXPECT_EQ(plan.assignment_hash(), Digest::Of("assignment"));
  EXPECT_EQ(plan.state_hash(), Digest::Of("state"));
  EXPECT_EQ(plan.message().state_coordinates(), 28485U);
}

TEST(RoundPlanTest, TheFirstRoundHasNoParent) {
  v1::RoundPlan message = TrainPlan();
  message.clear_parent();
  EXPECT_FALSE(RoundPlan::Create(message).value().parent().has_value());
}

TEST(RoundPlanTest, HashIsOverTheBytesAsReceived) {
  // Two encodings of one message: protobuf lets a later field win, so an overwritten field in front
  // changes nothing but bytes.
  v1::RoundPlan overwritten;
  overwritten.set_state_coordinates(1);
  const std::string plain = TrainPlan().SerializeAsString();
  const std::string longer = overwritten.SerializeAsString() + plain;
  const RoundPlan first = RoundPlan::Parse(plain).value();
  const RoundPlan second = RoundPlan::Parse(longer).value();
  EXPECT_EQ(first.message().SerializeAsString(), second.message().SerializeAsString());
  EXPECT_EQ(first.hash(), Digest::Of(plain));
  EXPECT_EQ(second.hash(), Digest::Of(longer));
  EXPECT_EQ(second.bytes(), longer);
  EXPECT_NE(first.hash(), second.hash());
}

TEST(RoundPlanTest, FieldsOfANewerVersionAreKept) {
  std::string bytes = TrainPlan().SerializeAsString();
  bytes +=
      "\xFA\x06\x03new";  // field 111, length-delimited: (111 << 3 | 2) = 890 = 0x37A as a varint
  const RoundPlan plan = RoundPlan::Parse(bytes).value();
  EXPECT_EQ(plan.bytes(), bytes);
  EXPECT_EQ(plan.hash(), Digest::Of(bytes));
  EXPECT_THAT(plan.message().SerializeAsString(), HasSubstr("new"));
}

TEST(RoundPlanTest, CopiesShareTheirContent) {
  const RoundPlan plan = RoundPlan::Create(TrainPlan()).value();
  const RoundPlan copy = plan;  // NOLINT: the copy is the point
  EXPECT_EQ(copy.bytes().data(), plan.bytes().data());
}

TEST(RoundPlanTest, CountsMetricCells) {
  EXPECT_EQ(MetricCells(TrainPlan()), 1U);
  EXPECT_EQ(MetricCells(EvaluatePlan()), 6U);  // 2 shots x 1 rate x 3 steps
}

TEST(RoundPlanHostileTest, RefusesBytesThatAreNoMessage) {
  const auto plan = RoundPlan::Parse("\xFF\xFF\xFF");
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().message(), "round plan: not a protobuf message of its kind");
}

TEST(RoundPlanHostileTest, RefusesTooManyBytes) {
  const auto plan = RoundPlan::Parse(std::string(kMaximumPlanBytes + 1, '\0'));
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().message(), "round plan: at most 65536 bytes, got 65537");
}

TEST(RoundPlanHostileTest, RefusesAnEmptyMessage) { EXPECT_FALSE(RoundPlan::Parse("").ok()); }

TEST(RoundPlanHostileTest, RefusesABadKey) {
  EXPECT_THAT(TrainRefusal([](auto& plan) { plan.mutable_key()->set_attempt(0); }),
              HasSubstr("attempt must be > 0"));
}

TEST(RoundPlanHostileTest, RefusesTrainingRoundZero) {
  EXPECT_EQ(TrainRefusal([](auto& plan) {
              plan.mutable_key()->set_round(0);
              plan.clear_parent();
            }),
            "round plan: training rounds count from 1, got 0");
}

TEST(RoundPlanHostileTest, RefusesAParentOfAnotherExperiment) {
  EXPECT_EQ(TrainRefusal([](auto& plan) { plan.mutable_parent()->set_experiment("other/maml"); }),
            "round plan: parent belongs to another experiment");
}

TEST(RoundPlanHostileTest, RefusesAParentThatIsNotATrainingRound) {
  EXPECT_EQ(
      TrainRefusal([](auto& plan) { plan.mutable_parent()->set_purpose(v1::PURPOSE_EVALUATE); }),
      "round plan: parent must be a training round");
}

TEST(RoundPlanHostileTest, RefusesAParentThatDoesNotLieBefore) {
  EXPECT_EQ(TrainRefusal([](auto& plan) { plan.mutable_parent()->set_round(12); }),
            "round plan: parent round 12 does not lie before round 12");
  EXPECT_EQ(EvaluateRefusal([](auto& plan) { plan.mutable_parent()->set_round(12); }), "accepted");
  EXPECT_EQ(EvaluateRefusal([](auto& plan) { plan.mutable_parent()->set_round(13); }),
            "round plan: parent round 13 does not lie before round 12");
}

TEST(RoundPlanHostileTest, RefusesHashesOfAnotherLength) {
  EXPECT_EQ(TrainRefusal([](auto& plan) { plan.set_state_hash("short"); }),
            "a SHA-256 digest has 32 bytes, got 5");
  EXPECT_EQ(TrainRefusal([](auto& plan) { plan.clear_assignment_hash(); }),
            "a SHA-256 digest has 32 bytes, got 0");
}

TEST(RoundPlanHostileTest, RefusesAnAssignmentThatIsEmptyOrTooLarge) {
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{kMaximumAssignmentBytes} + 1}) {
    EXPECT_EQ(TrainRefusal([&](auto& plan) { plan.set_assignment_size(size); }),
              "round plan: assignment_size must be 1 to 262144");
  }
}

TEST(RoundPlanHostileTest, RefusesAStateThatIsEmptyOrTooLarge) {
  for (const std::uint64_t size : {std::uint64_t{0}, (std::uint64_t{1} << 40) + 1}) {
    EXPECT_EQ(TrainRefusal([&](auto& plan) { plan.set_state_coordinates(size); }),
              "round plan: state_coordinates must be 1 to 2^40");
  }
}

TEST(RoundPlanHostileTest, RefusesSizesBeyondThoseOfTheState) {
  EXPECT_THAT(
      TrainRefusal([](auto& plan) { plan.set_update_coordinates(plan.state_coordinates() + 1); }),
      StartsWith("round plan: update_coordinates must be <= state_coordinates"));
  EXPECT_EQ(TrainRefusal([](auto& plan) { plan.set_update_bits(33); }),
            "round plan: update_bits must be <= 32, got 33");
  EXPECT_THAT(
      TrainRefusal([](auto& plan) { plan.set_state_bytes(4 * plan.state_coordinates() + 1); }),
      StartsWith("round plan: state_bytes must be <= 4 x state_coordinates"));
}

TEST(RoundPlanHostileTest, RefusesAWeightBoundThatBoundsNothing) {
  for (const double weight : {0.0, -1.0, std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(TrainRefusal([&](auto& plan) { plan.set_maximum_weight(weight); }),
              "round plan: maximum_weight must be finite and > 0");
  }
}

TEST(RoundPlanHostileTest, RefusesADeadlineBeyondAYear) {
  EXPECT_THAT(TrainRefusal([](auto& plan) {
                plan.set_report_deadline_ms(std::numeric_limits<std::uint64_t>::max());
              }),
              StartsWith("round plan: report_deadline_ms must be <="));
}

TEST(RoundPlanHostileTest, RefusesWorkThatThisVersionDoesNotKnow) {
  EXPECT_EQ(TrainRefusal([](auto& plan) { plan.clear_work(); }),
            "round plan: no work that this version knows");
}

TEST(RoundPlanHostileTest, RefusesWorkOfAnotherPurpose) {
  EXPECT_EQ(TrainRefusal([](auto& plan) { plan.mutable_key()->set_purpose(v1::PURPOSE_EVALUATE); }),
            "round plan: work and purpose differ");
  EXPECT_EQ(EvaluateRefusal([](auto& plan) {
              plan.mutable_key()->set_purpose(v1::PURPOSE_TRAIN);
              plan.mutable_parent()->set_round(11);
            }),
            "round plan: work and purpose differ");
}

TEST(RoundPlanHostileTest, RefusesAnEvaluationOfAnUnknownPart) {
  EXPECT_EQ(EvaluateRefusal([](auto& plan) { plan.mutable_evaluate()->set_part(v1::PART_TRAIN); }),
            "round plan: unknown part");
  EXPECT_EQ(EvaluateRefusal(
                [](auto& plan) { plan.mutable_evaluate()->set_part(static_cast<v1::Part>(9)); }),
            "round plan: unknown part");
}

TEST(RoundPlanHostileTest, RefusesAnEvaluationOfNothing) {
  const std::string expected = "round plan: evaluation needs shots, learning_rates and steps";
  EXPECT_EQ(EvaluateRefusal([](auto& plan) { plan.mutable_evaluate()->clear_shots(); }), expected);
  EXPECT_EQ(EvaluateRefusal([](auto& plan) { plan.mutable_evaluate()->clear_learning_rates(); }),
            expected);
  EXPECT_EQ(EvaluateRefusal([](auto& plan) { plan.mutable_evaluate()->clear_steps(); }), expected);
}

TEST(RoundPlanHostileTest, RefusesTooManyCells) {
  EXPECT_EQ(EvaluateRefusal([](auto& plan) {
              for (unsigned i = 0; i < 700; ++i) plan.mutable_evaluate()->add_shots(i + 1);
              for (unsigned i = 0; i < 3; ++i) plan.mutable_evaluate()->add_steps(i + 6);
            }),
            "round plan: shots x learning_rates x steps must be <= 4096");  // 702 x 1 x 6 = 4212
}

TEST(RoundPlanTest, TakesShotsOfZeroForAsManyAsTheTasksHave) {
  v1::RoundPlan message = EvaluatePlan();
  message.mutable_evaluate()->set_shots(1, 0);
  EXPECT_TRUE(RoundPlan::Create(message).ok());
}

TEST(RoundPlanHostileTest, RefusesStepsThatDoNotAscendOrNeverEnd) {
  EXPECT_EQ(EvaluateRefusal([](auto& plan) { plan.mutable_evaluate()->set_steps(1, 0); }),
            "round plan: steps must ascend");
  EXPECT_EQ(
      EvaluateRefusal([](auto& plan) { plan.mutable_evaluate()->set_steps(2, 4'000'000'000U); }),
      "round plan: steps must be <= 100000");
}

TEST(RoundPlanHostileTest, RefusesLearningRatesThatAreNotPositive) {
  for (const double rate : {0.0, -0.1, std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(
        EvaluateRefusal([&](auto& plan) { plan.mutable_evaluate()->set_learning_rates(0, rate); }),
        "round plan: learning rates must be finite and > 0");
  }
}

TEST(RoundPlanHostileTest, RefusesNoEpisodesAndTooMany) {
  EXPECT_EQ(EvaluateRefusal([](auto& plan) { plan.mutable_evaluate()->set_episodes(0); }),
            "round plan: episodes must be 1 to 100000, got 0");
  EXPECT_EQ(EvaluateRefusal([](auto& plan) { plan.mutable_evaluate()->set_episodes(100'001); }),
            "round plan: episodes must be 1 to 100000, got 100001");
}

}  // namespace
}  // namespace fedmeta

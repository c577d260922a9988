#include "fedmeta/simulator/attack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;

/// Three classes, the same examples in each part.
class ThreeClasses final : public TaskGenerator {
 public:
  Status CanDraw(DataPart, std::int64_t) const override { return {}; }
  Result<TaskExamples> Draw(DataPart, std::int64_t, Rng&) override {
    return TaskExamples{.support = Examples({0, 1, 2}), .query = Examples({2, 1, 1, 0})};
  }
  Result<ExampleSet> TrainingExamples(Rng&) override { return Examples({0, 0, 2}); }
  TargetKind target_kind() const override { return TargetKind::kClass; }
  std::int64_t task_outputs() const override { return 3; }
  std::size_t examples() const override { return 7; }

 private:
  static ExampleSet Examples(std::vector<std::int64_t> labels) {
    ExampleSet examples;
    examples.example_shape = {1};
    examples.count = labels.size();
    examples.inputs.resize(labels.size());
    examples.labels = std::move(labels);
    return examples;
  }
};

/// "a" is held out, "b" and "c" train.
class ThreeSites final : public Partition {
 public:
  std::size_t clients() const override { return 3; }
  std::string name(std::size_t client) const override {
    return std::string(1, static_cast<char>('a' + client));
  }
  v1::Role role(std::size_t client) const override {
    return client == 0 ? v1::ROLE_HOLDOUT : v1::ROLE_TRAIN;
  }
  Result<DatasetView> view(std::size_t) const override {
    return Error(ErrorCode::kNotFound, "no data");
  }
  std::int64_t largest_label_set() const override { return 3; }
};

class AttackTest : public ::testing::Test {
 protected:
  static Attack Make(const std::string& kind) {
    v1::SimulatedAttack settings;
    settings.set_clients(1);
    settings.set_kind(kind);
    settings.set_factor(3);
    return Attack::Create(settings, ThreeSites()).value();
  }
};

TEST_F(AttackTest, TheFirstTrainingClientsPoison) {
  const Attack attack = Make("scale");
  EXPECT_FALSE(attack.Poisons("a"));
  EXPECT_TRUE(attack.Poisons("b"));
  EXPECT_FALSE(attack.Poisons("c"));
  EXPECT_FALSE(Attack().Poisons("b"));
}

TEST_F(AttackTest, LabelsAreMirroredWhereTheUpdateComesFrom) {
  const auto tasks = Make("label_flip").Poison(std::make_unique<ThreeClasses>());
  Rng rng({.seed = 1, .purpose = "test"});
  const TaskExamples train = tasks->Draw(DataPart::kTrain, 0, rng).value();
  EXPECT_THAT(train.query.labels, ElementsAre(0, 1, 1, 2));
  EXPECT_THAT(train.support.labels, ElementsAre(0, 1, 2));
  EXPECT_THAT(tasks->Draw(DataPart::kTest, 0, rng).value().query.labels, ElementsAre(2, 1, 1, 0));
  EXPECT_THAT(tasks->TrainingExamples(rng).value().labels, ElementsAre(2, 2, 0));
}

TEST_F(AttackTest, OtherKindsLeaveTheDataAlone) {
  const auto tasks = Make("scale").Poison(std::make_unique<ThreeClasses>());
  Rng rng({.seed = 1, .purpose = "test"});
  EXPECT_THAT(tasks->TrainingExamples(rng).value().labels, ElementsAre(0, 0, 2));
}

}  // namespace
}  // namespace fedmeta

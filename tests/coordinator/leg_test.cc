#include "fedmeta/coordinator/leg.h"

#include <filesystem>
#include <unistd.h>

#include "fake_run.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/checkpoint.h"
#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/records/safetensors.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

class LegFileTest : public ::testing::Test {
 protected:
  LegFileTest() {
    std::filesystem::create_directories(dir_);
    legs_ = {TinyLeg("maml"), TinyLeg("fedavg-2")};
    legs_[0].initial_state = {1, -2, 3, 0.5F};
    legs_[1].main = false;
    legs_[1].maximum_weight = 1e6;
    legs_[1].adaptation_rate = 0.25;
  }
  ~LegFileTest() override { std::filesystem::remove_all(dir_); }

  /// Writes the legs, lets `change` spoil the file's content, and reads it.
  Result<std::vector<Leg>> ReadChanged(const std::function<void(SafeTensors&)>& change) {
    EXPECT_TRUE(WriteLegs(path_, legs_, experiment_).ok());
    SafeTensors content = ReadSafeTensors(path_).value();
    change(content);
    EXPECT_TRUE(WriteSafeTensors(path_, content).ok());
    return ReadLegs(path_, experiment_);
  }

  const std::filesystem::path dir_ =
      std::filesystem::temp_directory_path() / ("fedmeta-leg-" + std::to_string(::getpid()));
  const std::filesystem::path path_ = dir_ / "initial.safetensors";
  const Digest experiment_ = Digest::Of("experiment");
  std::vector<Leg> legs_;
};

TEST_F(LegFileTest, ReadsBackWhatWasWritten) {
  ASSERT_TRUE(WriteLegs(path_, legs_, experiment_).ok());
  const Result<std::vector<Leg>> read = ReadLegs(path_, experiment_);
  ASSERT_TRUE(read.ok()) << read.error().message();
  ASSERT_EQ(read->size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const Leg& leg = (*read)[i];
    EXPECT_EQ(leg.name, legs_[i].name);
    EXPECT_EQ(leg.method, legs_[i].method);
    EXPECT_EQ(leg.main, legs_[i].main);
    EXPECT_EQ(leg.trains, legs_[i].trains);
    EXPECT_EQ(leg.assignment, legs_[i].assignment);
    EXPECT_EQ(leg.layout.text(), legs_[i].layout.text());
    EXPECT_EQ(leg.initial_state, legs_[i].initial_state);
    EXPECT_EQ(leg.maximum_weight, legs_[i].maximum_weight);
    EXPECT_EQ(leg.adaptation_rate, legs_[i].adaptation_rate);
    EXPECT_EQ(leg.aggregation.name(), "weighted_mean");
    EXPECT_EQ(leg.optimizer.name(), "sgd");
    EXPECT_EQ(FactsOf(leg).state_hash, FactsOf(legs_[i]).state_hash);
  }
}

TEST_F(LegFileTest, NamesTensorsByLegSegmentAndTensor) {
  ASSERT_TRUE(WriteLegs(path_, legs_, experiment_).ok());
  EXPECT_NE(ReadSafeTensors(path_)->Find("fedavg-2/theta/w"), nullptr);
}

TEST_F(LegFileTest, RefusesAnotherExperiment) {
  ASSERT_TRUE(WriteLegs(path_, legs_, experiment_).ok());
  const auto read = ReadLegs(path_, Digest::Of("another"));
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message(), HasSubstr("another experiment file"));
  EXPECT_THAT(read.error().message(), HasSubstr("run `fedmeta init` again"));
}

TEST_F(LegFileTest, RefusesAFileOfAnotherKind) {
  const auto read = ReadChanged([](SafeTensors& content) { content.metadata.erase("format"); });
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message(), HasSubstr("run `fedmeta init` again"));
}

TEST_F(LegFileTest, RefusesAMissingTensor) {
  const auto read = ReadChanged([](SafeTensors& content) { content.tensors.pop_back(); });
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message(), HasSubstr("fedavg-2/theta/w is missing"));
}

TEST_F(LegFileTest, RefusesATensorOfAnotherShape) {
  const auto read = ReadChanged([](SafeTensors& content) { content.tensors[0].shape = {2, 2}; });
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message(), HasSubstr("another shape"));
}

TEST_F(LegFileTest, RefusesALayoutThatItsAssignmentDoesNotName) {
  v1::Assignment assignment;
  assignment.set_layout_fingerprint(Digest::Of("another layout").bytes());
  legs_[0].assignment = assignment.SerializeAsString();
  const auto read = ReadChanged([](SafeTensors&) {});
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message(), HasSubstr("layout is not the one its assignment names"));
}

TEST_F(LegFileTest, RefusesSpoiltDescriptions) {
  for (const char* legs : {"", "{}", "[]", "[{}]", "[1]", R"([{"name": 5}])"}) {
    const auto read = ReadChanged([&](SafeTensors& content) { content.metadata["legs"] = legs; });
    ASSERT_FALSE(read.ok()) << legs;
    EXPECT_EQ(read.error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST_F(LegFileTest, CheckpointMetadataRebuildsTheModel) {
  const auto metadata = CheckpointMetadata(legs_[0], {{"round", "3"}});
  EXPECT_EQ(metadata.at("round"), "3");
  EXPECT_EQ(StateLayout::Parse(metadata.at("layout"))->fingerprint(),
            legs_[0].layout.fingerprint());
  EXPECT_THAT(metadata.at("assignment"), HasSubstr("numbers"));
}

}  // namespace
}  // namespace fedmeta

// Checkpoints come from elsewhere: LoadTrainedModel refuses whatever fedmeta did not write.
#include "client_fixtures.h"
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "fedmeta/client/adapt.h"
#include "fedmeta/core/file.h"
#include "fedmeta/records/safetensors.h"

namespace fedmeta {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class TrainedModelTest : public testing::Test {
 protected:
  TrainedModelTest() : leg_(MakeAssignment(Maml(), EpisodicTasks(3, 1, 2), 3), Clouds(5, 8)) {
    content_.metadata["method"] = "maml";
    content_.metadata["layout"] = leg_.runtime->layout.text();
    content_.metadata["tuned"] =
        R"({"1": {"learning_rate": 0.3, "steps": 5, "by_steps": {"0": 0.1, "5": 0.3}}})";
    EXPECT_TRUE(google::protobuf::util::MessageToJsonString(leg_.runtime->assignment,
                                                            &content_.metadata["assignment"])
                    .ok());
    std::size_t at = 0;
    for (const TensorSpec& tensor : leg_.runtime->model->tensors()) {
      const std::size_t count = *ElementCount(tensor.shape);
      const auto first = leg_.state.begin() + static_cast<std::ptrdiff_t>(at);
      content_.tensors.push_back({.name = tensor.name,
                                  .shape = tensor.shape,
                                  .values = {first, first + static_cast<std::ptrdiff_t>(count)}});
      at += count;
    }
  }

  Result<TrainedModel> Load() {
    EXPECT_TRUE(WriteSafeTensors(file_, content_).ok());
    return LoadTrainedModel(file_);
  }

  // The refusal, which names the file.
  std::string Refusal() {
    const Result<TrainedModel> model = Load();
    if (model.ok()) return "accepted";
    EXPECT_EQ(model.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(model.error().message(), HasSubstr("model.safetensors"));
    return model.error().message();
  }
  std::string RefusalOfTuned(const std::string& tuned) {
    content_.metadata["tuned"] = tuned;
    return Refusal();
  }

  TestLeg leg_;
  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "model.safetensors";
  SafeTensors content_;
};

TEST_F(TrainedModelTest, ReadsWhatTheCoordinatorWrites) {
  const Result<TrainedModel> model = Load();
  ASSERT_TRUE(model.ok()) << model.error().message();
  EXPECT_EQ(model->method, "maml");
  EXPECT_EQ(model->state, leg_.state);
  EXPECT_EQ(model->assignment.data(), "clouds");
  const TunedAdaptation& tuned = model->tuned.at(1);
  EXPECT_EQ(tuned.learning_rate, 0.3);
  EXPECT_EQ(tuned.steps, 5U);
  EXPECT_THAT(tuned.rate_of_steps, ElementsAre(Pair(0, 0.1), Pair(5, 0.3)));
}

TEST_F(TrainedModelTest, ReadsACheckpointWithoutTunedSettings) {
  content_.metadata.erase("tuned");
  const Result<TrainedModel> model = Load();
  ASSERT_TRUE(model.ok()) << model.error().message();
  EXPECT_TRUE(model->tuned.empty());
}

TEST_F(TrainedModelTest, MissingFileIsNamed) {
  const Result<TrainedModel> model = LoadTrainedModel(folder_.path() / "none.safetensors");
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.error().message(), HasSubstr("none.safetensors"));
}

TEST_F(TrainedModelTest, FileOfAnotherFormatIsRefused) {
  ASSERT_TRUE(WriteFileAtomically(file_, std::string_view("not a checkpoint")).ok());
  const Result<TrainedModel> model = LoadTrainedModel(file_);
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.error().message(), HasSubstr("model.safetensors"));
}

TEST_F(TrainedModelTest, MissingAssignmentIsRefused) {
  content_.metadata.erase("assignment");
  EXPECT_THAT(Refusal(), HasSubstr("'assignment'"));
}

TEST_F(TrainedModelTest, AssignmentThatIsNotJsonIsRefused) {
  content_.metadata["assignment"] = "{";
  EXPECT_THAT(Refusal(), HasSubstr("'assignment'"));
}

TEST_F(TrainedModelTest, AssignmentWithSettingsOfAnUnknownTypeIsRefused) {
  content_.metadata["assignment"] =
      R"({"model": {"name": "x", "settings": {"@type": "type.googleapis.com/no.Such"}}})";
  EXPECT_THAT(Refusal(), HasSubstr("'assignment'"));
}

TEST_F(TrainedModelTest, MissingLayoutIsRefused) {
  content_.metadata.erase("layout");
  EXPECT_THAT(Refusal(), HasSubstr("layout"));
}

TEST_F(TrainedModelTest, LayoutThatIsNoneIsRefused) {
  content_.metadata["layout"] = "fedmeta layout 1\nsegment theta optimize 1\ntensor a body -4\n";
  EXPECT_THAT(Refusal(), HasSubstr("layout"));
}

TEST_F(TrainedModelTest, MissingTensorIsRefused) {
  content_.tensors.pop_back();
  EXPECT_THAT(Refusal(), HasSubstr("'layers.1.bias'"));
}

TEST_F(TrainedModelTest, TensorOfAnotherShapeIsRefused) {
  content_.tensors.front().shape = {4, 8};
  EXPECT_THAT(Refusal(), HasSubstr("'layers.0.weight'"));
}

TEST_F(TrainedModelTest, TunedThatIsNotJsonIsRefused) {
  EXPECT_THAT(RefusalOfTuned("{"), HasSubstr("'tuned'"));
}

TEST_F(TrainedModelTest, TunedThatIsNoObjectIsRefused) {
  EXPECT_THAT(RefusalOfTuned("[1]"), HasSubstr("'tuned'"));
}

TEST_F(TrainedModelTest, TunedEntryThatIsNoObjectIsRefused) {
  EXPECT_THAT(RefusalOfTuned(R"({"1": 3})"), HasSubstr("'tuned'"));
}

TEST_F(TrainedModelTest, TunedShotsThatAreNoCountAreRefused) {
  for (const char* shots : {"many", "-1", "1.5", "nan", "1e300", ""}) {
    EXPECT_THAT(
        RefusalOfTuned("{\"" + std::string(shots) + R"(": {"learning_rate": 0.1, "steps": 1}})"),
        HasSubstr("'tuned'"))
        << shots;
  }
}

TEST_F(TrainedModelTest, TunedRateThatIsNoneIsRefused) {
  for (const char* rate : {"\"fast\"", "0", "-0.1", "null", "[]"}) {
    EXPECT_THAT(
        RefusalOfTuned(R"({"1": {"learning_rate": )" + std::string(rate) + R"(, "steps": 1}})"),
        HasSubstr("'tuned'"))
        << rate;
  }
}

TEST_F(TrainedModelTest, TunedStepsThatAreNoCountAreRefused) {
  for (const char* steps : {"\"few\"", "-1", "1.5", "1000000000", "null"}) {
    EXPECT_THAT(
        RefusalOfTuned(R"({"1": {"learning_rate": 0.1, "steps": )" + std::string(steps) + "}}"),
        HasSubstr("'tuned'"))
        << steps;
  }
}

TEST_F(TrainedModelTest, RatesByStepsThatAreNoneAreRefused) {
  for (const char* by_steps : {"3", "[0.1]", R"({"1": "fast"})", R"({"1": 0})", R"({"x": 0.1})",
                               R"({"-1": 0.1})", R"({"1000000000": 0.1})"}) {
    EXPECT_THAT(RefusalOfTuned(R"({"1": {"learning_rate": 0.1, "steps": 1, "by_steps": )" +
                               std::string(by_steps) + "}}"),
                HasSubstr("'tuned'"))
        << by_steps;
  }
}

}  // namespace
}  // namespace fedmeta

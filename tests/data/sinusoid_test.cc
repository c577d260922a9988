#include <cmath>

#include "data_testing.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

v1::SinusoidSettings Finn() {
  v1::SinusoidSettings settings;
  settings.set_amplitude_minimum(0.1);
  settings.set_amplitude_maximum(5);
  settings.set_phase_maximum(3.141592653589793);
  settings.set_range(5);
  return settings;
}

std::unique_ptr<TaskGenerator> Tasks(const v1::SinusoidSettings& source, unsigned queries = 0,
                                     const std::string& client = "site-1") {
  v1::RegressionSettings settings;
  settings.set_shots(10);
  settings.set_queries(queries);
  const DataRegistry registry = BuiltinData();
  auto opened = OpenSource(registry, PluginOf("sinusoid", source));
  EXPECT_TRUE(opened.ok());
  auto made =
      MakeTaskGenerator(registry, PluginOf("regression", settings), *opened, nullptr, client, 5);
  EXPECT_TRUE(made.ok()) << made.error().message();
  return std::move(made).value();
}

TaskExamples MustDraw(TaskGenerator& tasks, std::int64_t shots, std::uint64_t round) {
  Rng rng = TestRng(round);
  return std::move(tasks.Draw(DataPart::kTrain, shots, rng)).value();
}

// Amplitude and phase of a sine from its values: y = a sin x - b cos x by least squares.
std::pair<double, double> FitWave(const ExampleSet& points) {
  double ss = 0, sc = 0, cc = 0, sy = 0, cy = 0;
  for (std::size_t i = 0; i < points.count; ++i) {
    const double s = std::sin(static_cast<double>(points.inputs[i]));
    const double c = std::cos(static_cast<double>(points.inputs[i]));
    const double y = static_cast<double>(points.targets[i]);
    ss += s * s;
    sc += s * c;
    cc += c * c;
    sy += s * y;
    cy += c * y;
  }
  const double determinant = ss * cc - sc * sc;
  const double a = (cc * sy - sc * cy) / determinant;   // amplitude cos(phase)
  const double b = -(ss * cy - sc * sy) / determinant;  // amplitude sin(phase)
  return {std::hypot(a, b), std::atan2(b, a)};
}

TEST(SinusoidTest, PointsOfATaskLieOnOneSineWithinTheBounds) {
  const auto tasks = Tasks(Finn());
  double smallest = 10;
  double largest = 0;
  for (std::uint64_t round = 0; round < 300; ++round) {
    const TaskExamples task = MustDraw(*tasks, 0, round);
    ASSERT_EQ(task.support.count, 10U);
    ASSERT_EQ(task.query.count, 10U);
    const auto [amplitude, phase] = FitWave(task.support);
    smallest = std::min(smallest, amplitude);
    largest = std::max(largest, amplitude);
    ASSERT_GE(phase, -1e-3);
    ASSERT_LE(phase, 3.1416 + 1e-3);
    for (std::size_t i = 0; i < task.query.count; ++i) {
      ASSERT_LE(std::abs(task.query.inputs[i]), 5.0F);
      ASSERT_NEAR(task.query.targets[i],
                  amplitude * std::sin(static_cast<double>(task.query.inputs[i]) - phase), 1e-4);
    }
  }
  EXPECT_GE(smallest, 0.1 - 1e-3);
  EXPECT_LT(smallest, 0.3);
  EXPECT_LE(largest, 5 + 1e-3);
  EXPECT_GT(largest, 4.8);
}

TEST(SinusoidTest, PerClientEveryTaskIsTheSameSine) {
  v1::SinusoidSettings source = Finn();
  source.set_per_client(true);
  const auto tasks = Tasks(source);
  const auto [amplitude, phase] = FitWave(MustDraw(*tasks, 0, 0).support);
  const auto [again, phase_again] = FitWave(MustDraw(*tasks, 0, 1).support);
  EXPECT_NEAR(amplitude, again, 1e-4);
  EXPECT_NEAR(phase, phase_again, 1e-4);
  const auto [other, phase_other] = FitWave(MustDraw(*Tasks(source, 0, "site-2"), 0, 0).support);
  EXPECT_GT(std::abs(amplitude - other), 1e-3);
}

TEST(SinusoidTest, MoreShotsKeepTheQueriesAndAddToTheSupport) {
  const auto tasks = Tasks(Finn(), 7);
  const TaskExamples few = MustDraw(*tasks, 5, 2);
  const TaskExamples more = MustDraw(*tasks, 20, 2);
  EXPECT_EQ(few.query.count, 7U);
  EXPECT_EQ(few.query.inputs, more.query.inputs);
  EXPECT_EQ(few.query.targets, more.query.targets);
  ASSERT_EQ(more.support.count, 20U);
  EXPECT_TRUE(std::equal(few.support.inputs.begin(), few.support.inputs.end(),
                         more.support.inputs.begin()));
}

TEST(SinusoidTest, TrainingExamplesAreThePointsOfOneTask) {
  const auto tasks = Tasks(Finn(), 7);
  Rng rng = TestRng();
  const Result<ExampleSet> points = tasks->TrainingExamples(rng);
  ASSERT_TRUE(points.ok());
  EXPECT_EQ(points->count, 17U);
  EXPECT_EQ(points->inputs.size(), 17U);
  EXPECT_EQ(points->targets.size(), 17U);
  EXPECT_EQ(tasks->examples(), 0U);
  EXPECT_EQ(tasks->task_outputs(), 1);
  EXPECT_EQ(tasks->target_kind(), TargetKind::kReal);
}

TEST(SinusoidTest, RefusesShotsBeyondTheBound) {
  EXPECT_FALSE(Tasks(Finn())->CanDraw(DataPart::kTest, 1'000'001).ok());
}

TEST(SinusoidTest, RefusesAmplitudesInTheWrongOrder) {
  v1::SinusoidSettings settings = Finn();
  settings.set_amplitude_minimum(6);
  const auto opened = OpenSource(BuiltinData(), PluginOf("sinusoid", settings));
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message(), HasSubstr("amplitude_minimum 6"));
}

}  // namespace
}  // namespace fedmeta

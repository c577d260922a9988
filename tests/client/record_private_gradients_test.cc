#include "fedmeta/client/record_private_gradients.h"

#include <cmath>
#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "fedmeta/algorithms/models/model_registry.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/v1/models.pb.h"

namespace fedmeta {
namespace {

std::unique_ptr<Model> SmallMlp() {
  v1::MlpSettings settings;
  settings.add_hidden(8);
  settings.set_activation("relu");
  v1::Plugin plugin;
  plugin.set_name("mlp");
  plugin.mutable_settings()->PackFrom(settings);
  return MakeModel(BuiltinModels(), plugin, {.input_shape = {4}, .outputs = 3}).value();
}

class RecordPrivateGradientsTest : public testing::Test {
 protected:
  RecordPrivateGradientsTest() : model_(SmallMlp()), objective_(ObjectiveKind::kCrossEntropy) {
    Rng rng({.seed = 4, .purpose = "test"});
    const std::vector<float> initial = model_->InitialParameters(rng);
    theta_ = at::empty({static_cast<std::int64_t>(initial.size())}, at::kFloat);
    std::copy(initial.begin(), initial.end(), theta_.data_ptr<float>());
    set_.inputs = at::empty({kRecords, 4}, at::kFloat);
    set_.targets = at::empty({kRecords}, at::kLong);
    for (std::int64_t i = 0; i < kRecords * 4; ++i)
      set_.inputs.data_ptr<float>()[i] = static_cast<float>(3 * rng.Normal());
    for (std::int64_t i = 0; i < kRecords; ++i) set_.targets.data_ptr<std::int64_t>()[i] = i % 3;
  }

  std::unique_ptr<TaskGradients> Plain() const { return MakeMlpGradients(*model_, objective_); }
  std::unique_ptr<TaskGradients> Private(double clip, double noise) const {
    v1::PrivacyTerms terms;
    terms.set_mode("local");
    terms.set_clip(clip);
    terms.set_noise_multiplier(noise);
    return MakeRecordPrivateGradients(Plain(), terms);
  }
  at::Tensor Gradient(const TaskGradients& gradients, const TaskSet& set) const {
    return gradients.Compute(theta_, set, false).gradient.to(at::kDouble);
  }
  TaskSet Records(std::int64_t first, std::int64_t count) const {
    return {set_.inputs.narrow(0, first, count), set_.targets.narrow(0, first, count)};
  }

  static constexpr std::int64_t kRecords = 12;
  static constexpr double kQuiet = 1e-9;  // less noise than one unit of the grid
  std::unique_ptr<Model> model_;
  Objective objective_;
  at::Tensor theta_;
  TaskSet set_;
};

TEST_F(RecordPrivateGradientsTest, IsTheMeanOfEachRecordsGradientWithinTheClip) {
  at::Tensor expected = at::zeros({theta_.numel()}, at::kDouble);
  double longest = 0;
  for (std::int64_t i = 0; i < kRecords; ++i) {
    const at::Tensor own = Gradient(*Plain(), Records(i, 1));
    const double norm = own.norm().item<double>();
    longest = std::max(longest, norm);
    expected += own * std::min(1.0, 0.5 / norm) / kRecords;
  }
  ASSERT_GT(longest, 0.5) << "the clip has to do something";
  const at::Tensor got = Gradient(*Private(0.5, kQuiet), set_);
  EXPECT_LT((got - expected).norm().item<double>(), 1e-5);
}

TEST_F(RecordPrivateGradientsTest, IsThePlainGradientWhereTheClipIsWide) {
  EXPECT_LT(
      (Gradient(*Private(1e3, kQuiet), set_) - Gradient(*Plain(), set_)).norm().item<double>(),
      1e-3);
}

TEST_F(RecordPrivateGradientsTest, OneRecordMovesTheSumByTheClipAtMost) {
  // A record far out, whose own gradient is enormous.
  TaskSet with = Records(0, kRecords);
  with.inputs = set_.inputs.clone();
  with.inputs.select(0, 3).mul_(1e6);
  with.targets = set_.targets.clone();
  const auto plain_norm = [&](std::int64_t label) {
    with.targets.data_ptr<std::int64_t>()[3] = label;
    return Gradient(*Plain(), with).norm().item<double>();
  };
  // Under at least one of two labels it is far from right.
  if (plain_norm(2) < plain_norm(1)) plain_norm(1);
  ASSERT_GT(Gradient(*Plain(), with).norm().item<double>(), 100);
  const at::Tensor all = Gradient(*Private(0.5, kQuiet), with) * static_cast<double>(kRecords);
  const TaskSet others{at::cat({with.inputs.narrow(0, 0, 3), with.inputs.narrow(0, 4, 8)}),
                       at::cat({with.targets.narrow(0, 0, 3), with.targets.narrow(0, 4, 8)})};
  const at::Tensor without = Gradient(*Private(0.5, kQuiet), others) * (kRecords - 1.0);
  EXPECT_LE((all - without).norm().item<double>(), 0.5 * (1 + 1e-5));
}

TEST_F(RecordPrivateGradientsTest, ARecordWithoutAFiniteGradientAddsNothing) {
  TaskSet broken = Records(0, kRecords);
  broken.inputs = set_.inputs.clone();
  broken.inputs.select(0, 3).fill_(NAN);
  EXPECT_TRUE(at::isfinite(Gradient(*Private(0.5, 1), broken)).all().item<bool>());
}

TEST_F(RecordPrivateGradientsTest, NoiseHasThePromisedWidth) {
  const auto gradients = Private(0.5, 2);
  const at::Tensor expected = Gradient(*Private(0.5, kQuiet), set_);
  double squares = 0;
  constexpr int kDraws = 400;
  for (int i = 0; i < kDraws; ++i)
    squares += (Gradient(*gradients, set_) - expected).pow(2).sum().item<double>();
  const double count = kDraws * static_cast<double>(theta_.numel());
  const double deviation = std::sqrt(squares / count) * kRecords;
  // Noise multiplier x clip on the sum; 6 standard errors.
  EXPECT_NEAR(deviation, 2 * 0.5, 6 / std::sqrt(2 * count));
}

TEST_F(RecordPrivateGradientsTest, NothingElseIsTold) {
  const auto gradients = Private(0.5, 1);
  const LossGradient told = gradients->Compute(theta_, set_, false);
  EXPECT_EQ(told.loss, 0);
  for (const MetricSums& sums : {told.sums, gradients->Measure(theta_, set_)}) {
    MetricSums count;
    count.examples = kRecords;
    EXPECT_EQ(sums.ToArray(), count.ToArray());
  }
  EXPECT_THROW(gradients->Compute(theta_, set_, true), std::invalid_argument);
  EXPECT_THROW(gradients->Statistics(theta_, set_), std::invalid_argument);
}

}  // namespace
}  // namespace fedmeta

#include <cmath>

#include "learning_fixtures.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Names(const Model& model) {
  std::vector<std::string> names;
  for (const TensorSpec& tensor : model.tensors()) names.push_back(tensor.name);
  return names;
}

v1::Conv4Settings FinnOmniglot() {
  v1::Conv4Settings settings;
  settings.set_downsample("stride");
  settings.set_readout("mean");
  settings.set_gamma(false);
  return settings;
}

TEST(MlpTest, NamesTensorsAsPyTorchDoes) {
  const auto model = MakeMlp({40, 40}, "relu", 1, 1);
  EXPECT_THAT(Names(*model), ElementsAre("layers.0.weight", "layers.0.bias", "layers.1.weight",
                                         "layers.1.bias", "layers.2.weight", "layers.2.bias"));
  EXPECT_EQ(ParameterCount(*model), 1761U);  // 40 + 40 + 1600 + 40 + 40 + 1
  EXPECT_EQ(model->tensors()[0].shape, (std::vector<std::int64_t>{40, 1}));
  EXPECT_EQ(model->tensors()[4].kind, TensorKind::kHead);
  EXPECT_EQ(model->tensors()[2].kind, TensorKind::kBody);
}

TEST(MlpTest, NoHiddenLayersIsALinearModel) {
  EXPECT_THAT(Names(*MakeMlp({}, "relu", 5, 2)), ElementsAre("layers.0.weight", "layers.0.bias"));
}

TEST(MlpTest, AbsentSettingsMeanTwoLayersOfForty) {
  v1::Plugin plugin;
  plugin.set_name("mlp");
  const auto model = MakeModel(BuiltinModels(), plugin, {.input_shape = {1}, .outputs = 1}).value();
  EXPECT_EQ(ParameterCount(*model), 1761U);
}

TEST(MlpTest, StartsAsPyTorchsLinearLayers) {
  // U(-1/sqrt(fan_in), 1/sqrt(fan_in)): variance 1 / (3 fan_in), for weights and biases.
  const auto model = MakeMlp({400}, "relu", 100, 3);
  Rng rng = TestRng();
  const at::Tensor values = at::tensor(model->InitialParameters(rng));
  const std::vector<at::Tensor> parts = SplitParameters(*model, values);
  EXPECT_LE(parts[0].abs().max().item<double>(), 0.1);
  EXPECT_NEAR(parts[0].var().item<double>(), 1.0 / 300, 1e-4);
  EXPECT_NEAR(parts[1].var().item<double>(), 1.0 / 300, 6e-4);
  EXPECT_LE(parts[3].abs().max().item<double>(), 0.05);
}

TEST(Conv4Test, NamesTensorsBlockByBlock) {
  v1::Conv4Settings settings;
  settings.set_filters(8);
  const auto model = MakeConv4(settings, {1, 28, 28}, 5);
  EXPECT_THAT(Names(*model),
              ElementsAre("blocks.0.conv.weight", "blocks.0.norm.weight", "blocks.0.norm.bias",
                          "blocks.1.conv.weight", "blocks.1.norm.weight", "blocks.1.norm.bias",
                          "blocks.2.conv.weight", "blocks.2.norm.weight", "blocks.2.norm.bias",
                          "blocks.3.conv.weight", "blocks.3.norm.weight", "blocks.3.norm.bias",
                          "head.weight", "head.bias"));
  EXPECT_EQ(model->tensors()[1].kind, TensorKind::kNormalisation);
  EXPECT_EQ(model->tensors()[12].kind, TensorKind::kHead);
  Rng rng = TestRng();
  const std::vector<at::Tensor> parts =
      SplitParameters(*model, at::tensor(model->InitialParameters(rng)));
  EXPECT_TRUE(at::equal(parts[1], at::ones({8})));
  EXPECT_TRUE(at::equal(parts[2], at::zeros({8})));
  EXPECT_LE(parts[3].abs().max().item<double>(), 1 / std::sqrt(72.0));
}

TEST(Conv4Test, FinnsOmniglotNetHasNoScale) {
  // 64 filters, 20 ways: 576 + 3 x 36864 convolution, 4 x 64 shifts, 64 x 20 + 20 head.
  const auto model = MakeConv4(FinnOmniglot(), {1, 28, 28}, 20);
  EXPECT_EQ(ParameterCount(*model), 576U + 3 * 36864 + 256 + 1300);
  EXPECT_EQ(model
                ->Forward(SplitParameters(*model, InitialTensor(*model, at::kFloat)),
                          {at::zeros({2, 1, 28, 28})})
                .sizes(),
            (std::vector<std::int64_t>{2, 20}));
}

TEST(Conv4Test, BatchStatisticsAreThoseOfTheBatchAtHand) {
  const auto model = MakeConv4(SmallConv4(true), {1, 16, 16}, 3);
  const auto parameters = SplitParameters(*model, InitialTensor(*model, at::kDouble));
  Rng rng = TestRng();
  const at::Tensor images = RandomNormal({6, 1, 16, 16}, rng);
  EXPECT_GT(RelativeError(model->Forward(parameters, {images.narrow(0, 0, 3)}),
                          model->Forward(parameters, {images}).narrow(0, 0, 3)),
            1e-3);
}

TEST(Conv4Test, GroupStatisticsAreThoseOfEachExample) {
  v1::Conv4Settings settings = SmallConv4(true);
  settings.set_normalization("group");
  const auto model = MakeConv4(settings, {1, 16, 16}, 3);
  const auto parameters = SplitParameters(*model, InitialTensor(*model, at::kDouble));
  Rng rng = TestRng();
  const at::Tensor images = RandomNormal({6, 1, 16, 16}, rng);
  EXPECT_LT(RelativeError(model->Forward(parameters, {images.narrow(0, 0, 3)}),
                          model->Forward(parameters, {images}).narrow(0, 0, 3)),
            1e-12);
}

TEST(CharLstmTest, NamesTensorsAsPyTorchDoes) {
  const auto model = MakeModel(BuiltinModels(), PluginOf("char_lstm", v1::CharLstmSettings()),
                               {.input_shape = {80}, .outputs = 97})
                         .value();
  EXPECT_THAT(
      Names(*model),
      ElementsAre("embedding.weight", "lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0",
                  "lstm.bias_hh_l0", "lstm.weight_ih_l1", "lstm.weight_hh_l1", "lstm.bias_ih_l1",
                  "lstm.bias_hh_l1", "head.weight", "head.bias"));
  // 97 x 8; 1024 x (8 + 256) + 2048; 1024 x 512 + 2048; 97 x 257.
  EXPECT_EQ(ParameterCount(*model), 776U + 272384 + 526336 + 24929);
}

std::string ModelError(const v1::Plugin& plugin, std::vector<std::int64_t> shape) {
  return MakeModel(BuiltinModels(), plugin, {.input_shape = std::move(shape), .outputs = 3})
      .error()
      .message();
}

TEST(ModelRegistryTest, RefusesAnUnknownName) {
  v1::Plugin plugin;
  plugin.set_name("resnet");
  EXPECT_EQ(ModelError(plugin, {1}),
            "model.name must be one of char_lstm, conv4, mlp, got 'resnet'");
}

TEST(ModelRegistryTest, RefusesImagesThatPoolingUsesUp) {
  EXPECT_THAT(ModelError(PluginOf("conv4", v1::Conv4Settings()), {1, 8, 8}),
              HasSubstr("at least 16 x 16 with downsample pool, got 8 x 8"));
}

TEST(ModelRegistryTest, RefusesExamplesThatAreNotImages) {
  EXPECT_THAT(ModelError(PluginOf("conv4", v1::Conv4Settings()), {13}), HasSubstr("images"));
}

TEST(ModelRegistryTest, RefusesSettingsOfAnotherModel) {
  EXPECT_THAT(ModelError(PluginOf("mlp", v1::Conv4Settings()), {1}),
              HasSubstr("fedmeta.v1.MlpSettings"));
}

TEST(PluginSettingsTest, RefusesAValueBelowItsBound) {
  v1::MamlSettings settings;
  settings.set_inner_learning_rate(-0.1);
  const auto learner = MakeMetaLearner(BuiltinMetaLearners(), PluginOf("maml", settings));
  EXPECT_EQ(learner.error().message(), "algorithm maml: inner_learning_rate must be > 0, got -0.1");
}

TEST(PluginSettingsTest, RefusesNotANumber) {
  v1::MamlSettings settings;
  settings.set_inner_learning_rate(std::nan(""));
  EXPECT_FALSE(MakeMetaLearner(BuiltinMetaLearners(), PluginOf("maml", settings)).ok());
}

TEST(PluginSettingsTest, RefusesAWordThatIsNoChoice) {
  v1::ReptileSettings settings;
  settings.set_inner_optimizer("lbfgs");
  EXPECT_EQ(MakeMetaLearner(BuiltinMetaLearners(), PluginOf("reptile", settings)).error().message(),
            "algorithm reptile: inner_optimizer must be one of sgd, adam, got 'lbfgs'");
}

TEST(PluginSettingsTest, AbsentFieldsTakeTheSchemasDefaults) {
  v1::Plugin plugin;
  plugin.set_name("reptile");
  EXPECT_EQ(MakeMetaLearner(BuiltinMetaLearners(), plugin).value()->default_adaptation_rate(),
            0.01);
}

TEST(ObjectiveTest, BinaryCrossEntropyCountsTheSignOfTheLogit) {
  const Objective objective(ObjectiveKind::kBinaryCrossEntropy);
  const at::Tensor logits = at::tensor({2.0, -1.0, 0.5}).view({3, 1});
  const at::Tensor targets = at::tensor({1.0, 0.0, 0.0}).view({3, 1});
  const MetricSums sums = objective.Measure(logits, targets);
  EXPECT_EQ(sums.correct, 2);
  // log(1 + e^-2) + log(1 + e^-1) + log(1 + e^.5)
  EXPECT_NEAR(sums.query_loss,
              std::log1p(std::exp(-2)) + std::log1p(std::exp(-1)) + std::log1p(std::exp(0.5)),
              1e-6);
}

TEST(ObjectiveTest, SquaredErrorIsSummedOverExamples) {
  const MetricSums sums =
      Objective(ObjectiveKind::kMeanSquaredError)
          .Measure(at::tensor({1.0, 2.0}).view({2, 1}), at::tensor({0.0, 4.0}).view({2, 1}));
  EXPECT_NEAR(sums.query_loss, 1 + 4, 1e-6);
  EXPECT_EQ(sums.correct, 0);
}

}  // namespace
}  // namespace fedmeta

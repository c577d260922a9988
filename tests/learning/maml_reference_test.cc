// MAML against an independent program in PyTorch (maml_reference.py) on the same weights and data.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <stdlib.h>

#include "learning_fixtures.h"
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPython = "/usr/bin/python3";

struct ReferenceCase {
  std::string name;
  std::unique_ptr<Model> model;
  Objective objective{ObjectiveKind::kCrossEntropy};
  Task task = {};
  std::uint32_t steps = 1;
  double rate = 0.1;
};

/// Windows of codes below the alphabet's size, and the code that follows each.
ReferenceCase CharLstmCase(std::uint32_t steps, Rng& rng) {
  constexpr std::int64_t kAlphabet = 7;
  constexpr std::int64_t kWindow = 6;
  v1::CharLstmSettings settings;
  settings.set_embedding(4);
  settings.set_hidden(8);
  ReferenceCase lstm{.name = "char_lstm",
                     .model = MakeModel(BuiltinModels(), PluginOf("char_lstm", settings),
                                        {.input_shape = {kWindow}, .outputs = kAlphabet})
                                  .value()};
  const auto codes = [&](std::vector<std::int64_t> shape) {
    const at::Tensor drawn = at::empty(shape, at::kLong);
    for (std::int64_t i = 0; i < drawn.numel(); ++i) {
      drawn.data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(rng.Below(kAlphabet));
    }
    return drawn;
  };
  lstm.task = {{codes({12, kWindow}).to(at::kFloat), codes({12})},
               {codes({20, kWindow}).to(at::kFloat), codes({20})}};
  lstm.steps = steps;
  return lstm;
}

std::vector<ReferenceCase> Cases() {
  std::vector<ReferenceCase> cases;
  Rng rng = TestRng(31);
  for (const std::uint32_t steps : {1U, 3U, 5U}) {
    ReferenceCase mlp{.name = "mlp", .model = MakeMlp({40, 40}, "relu", 1, 1)};
    mlp.objective = Objective(ObjectiveKind::kMeanSquaredError);
    mlp.task = {RandomValues(1, 1, 10, rng, at::kFloat), RandomValues(1, 1, 10, rng, at::kFloat)};
    mlp.steps = steps;
    cases.push_back(std::move(mlp));
    v1::Conv4Settings settings;
    settings.set_filters(8);
    ReferenceCase conv4{.name = "conv4", .model = MakeConv4(settings, {1, 28, 28}, 5)};
    conv4.task = {RandomClasses({1, 28, 28}, 5, 5, rng, at::kFloat),
                  RandomClasses({1, 28, 28}, 5, 10, rng, at::kFloat)};
    conv4.steps = steps;
    cases.push_back(std::move(conv4));
    cases.push_back(CharLstmCase(steps, rng));
  }
  return cases;
}

void WriteArray(std::ostream& out, const std::string& name, const at::Tensor& values) {
  out << "array " << name;
  for (const std::int64_t extent : values.sizes()) out << ' ' << extent;
  out << '\n' << std::setprecision(9);
  const at::Tensor flat = values.to(at::kFloat).contiguous();
  for (std::int64_t i = 0; i < flat.numel(); ++i) out << flat.data_ptr<float>()[i] << ' ';
  out << '\n';
}

void WriteCase(const fs::path& path, const ReferenceCase& each, const at::Tensor& theta) {
  std::ofstream out(path);
  out << "model " << each.name << "\nsteps " << each.steps << "\nrate " << each.rate << '\n';
  const std::vector<at::Tensor> parts = SplitParameters(*each.model, theta);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    WriteArray(out, each.model->tensors()[i].name, parts[i]);
  }
  WriteArray(out, "support_inputs", each.task.support.inputs);
  WriteArray(out, "support_targets", each.task.support.targets);
  WriteArray(out, "query_inputs", each.task.query.inputs);
  WriteArray(out, "query_targets", each.task.query.targets);
}

at::Tensor ReadUpdate(const fs::path& path) {
  std::ifstream in(path);
  std::vector<float> values;
  for (float value = 0; in >> value;) values.push_back(value);
  return at::tensor(values);
}

at::Tensor OurUpdate(const ReferenceCase& each, const TaskGradients& gradients,
                     const at::Tensor& theta) {
  v1::MamlSettings settings;
  settings.set_inner_learning_rate(each.rate);
  settings.set_adaptation_steps(each.steps);
  Rng rng = TestRng();
  return TaskPart(*MakeLearner("maml", settings))
      .LearnTask(gradients, theta, each.task, rng)
      .value()
      .update;
}

TEST(MamlReferenceTest, AgreesWithAnIndependentProgramInPyTorch) {
  const std::string probe = std::string(kPython) + " -c 'import torch' 2>/dev/null";
  if (std::system(probe.c_str()) != 0) {
    GTEST_SKIP() << kPython << " has no torch: install python3-torch";
  }
  std::string folder = testing::TempDir() + "fedmeta-maml-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::vector<ReferenceCase> cases = Cases();
  std::string command =
      std::string(kPython) + " " + FEDMETA_SOURCE_DIR + "/tests/learning/maml_reference.py";
  std::vector<at::Tensor> thetas;
  const auto file = [&](std::size_t i, const char* end) {
    return fs::path(folder) / (std::to_string(i) + end);
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    thetas.push_back(InitialTensor(*cases[i].model, at::kFloat));
    WriteCase(file(i, ".in"), cases[i], thetas[i]);
    command += " " + file(i, ".in").string() + " " + file(i, ".out").string();
  }
  EXPECT_EQ(std::system(command.c_str()), 0);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const ReferenceCase& each = cases[i];
    const at::Tensor expected = ReadUpdate(file(i, ".out"));
    ASSERT_EQ(expected.numel(), thetas[i].numel());
    const std::string name = each.name + ", steps " + std::to_string(each.steps);
    const auto autograd = MakeAutogradGradients(*each.model, each.objective);
    EXPECT_LT(RelativeError(OurUpdate(each, *autograd, thetas[i]), expected), 1e-5) << name;
    const auto fastest = MakeTaskGradients(*each.model, each.objective, at::kCPU);
    EXPECT_LT(RelativeError(OurUpdate(each, *fastest, thetas[i]), expected), 1e-5) << name;
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace fedmeta

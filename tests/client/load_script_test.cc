// load.py in stock PyTorch gives the outputs of the models it describes.
#include "fedmeta/records/load_script.h"

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "client_fixtures.h"
#include <ATen/ATen.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "fedmeta/records/safetensors.h"

namespace fedmeta {
namespace {

constexpr const char* kPython = "/usr/bin/python3";

// For every PREFIX given: model PREFIX.safetensors, inputs and expected outputs in PREFIX.data; one
// line a model: its largest difference, and that after two steps of adaptation.
constexpr const char* kCompare = R"(
import sys, torch
from load import adapt, build, load, read
for prefix in sys.argv[1:]:
    model = build(prefix + ".safetensors")
    state = load(prefix + ".safetensors")
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    data, _ = read(prefix + ".data")
    with torch.no_grad():
        difference = (model(data["inputs"]) - data["outputs"]).abs().max().item()
    adapted = adapt(model, data["support"], data["labels"].long(), steps=2, learning_rate=0.05)
    with torch.no_grad():
        print(difference, (adapted(data["inputs"]) - data["adapted"]).abs().max().item())
)";

struct ModelCase {
  std::string name;
  v1::Plugin model;
  std::vector<std::int64_t> input_shape;
  bool transductive = false;
  bool running = false;  ///< the file holds running statistics
};

v1::Plugin Mlp(const std::string& activation, std::vector<std::uint32_t> hidden) {
  v1::MlpSettings settings;
  for (const std::uint32_t width : hidden) settings.add_hidden(width);
  settings.set_activation(activation);
  return PluginOf("mlp", settings);
}

v1::Conv4Settings SmallConv4() {
  v1::Conv4Settings settings;
  settings.set_filters(8);
  return settings;
}

std::vector<ModelCase> Cases() {
  std::vector<ModelCase> cases = {{"mlp_relu", Mlp("relu", {7, 5}), {6}},
                                  {"mlp_tanh", Mlp("tanh", {7}), {2, 3}}};
  v1::Conv4Settings settings = SmallConv4();  // pool, flatten, batch, gamma
  cases.push_back({"conv4_pool", PluginOf("conv4", settings), {1, 28, 28}, true});
  cases.push_back({"conv4_by_support", PluginOf("conv4", settings), {1, 28, 28}});
  cases.push_back(
      {"conv4_adapted_by_support", PluginOf("conv4", settings), {1, 28, 28}, false, true});
  for (const char* normalization : {"averaged", "local", "frozen"}) {
    settings.set_normalization(normalization);
    const bool running = settings.normalization() != "local";
    cases.push_back({std::string("conv4_") + normalization,
                     PluginOf("conv4", settings),
                     {1, 28, 28},
                     false,
                     running});
  }
  settings.set_normalization("local");
  cases.push_back({"conv4_adapted_local", PluginOf("conv4", settings), {1, 28, 28}, false, true});
  settings = SmallConv4();
  settings.set_downsample("stride");
  settings.set_readout("mean");
  settings.set_gamma(false);
  cases.push_back({"conv4_stride", PluginOf("conv4", settings), {1, 28, 28}, true});
  settings = SmallConv4();
  settings.set_normalization("group");
  cases.push_back({"conv4_group", PluginOf("conv4", settings), {3, 20, 20}});
  settings = SmallConv4();
  settings.set_filters(6);  // not a multiple of four: one group
  settings.set_normalization("group");
  settings.set_pooling("mean");
  settings.set_activation("softplus");
  cases.push_back({"conv4_one_group", PluginOf("conv4", settings), {1, 16, 16}});
  settings = SmallConv4();
  settings.set_normalization("none");
  cases.push_back({"conv4_none", PluginOf("conv4", settings), {1, 28, 28}});
  return cases;
}

std::vector<float> Normals(std::size_t count, const std::string& purpose) {
  Rng rng({.seed = 4, .purpose = purpose});
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(0.3 * rng.Normal());
  return values;
}

std::vector<float> ValuesOf(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

NamedTensor Named(const std::string& name, const at::Tensor& tensor) {
  return {.name = name,
          .shape = {tensor.sizes().begin(), tensor.sizes().end()},
          .values = ValuesOf(tensor.to(at::kFloat))};
}

/// A file with a model, and what this program makes of it: outputs in evaluation mode, and after
/// adaptation.
class CaseWriter {
 public:
  explicit CaseWriter(const ModelCase& each)
      : case_(each),
        model_(MakeModel(BuiltinModels(), each.model,
                         {.input_shape = each.input_shape, .outputs = kClasses})
                   .value()),
        // Random beyond initialisation: biases and scales as well.
        theta_(at::tensor(Normals(ParameterCount(*model_), each.name))),
        inputs_(Images("inputs", kExamples)),
        support_{Images("support", 6), at::arange(6, at::kLong).remainder(kClasses)} {
    if (each.running) {
      statistics_ = at::tensor(Normals(StatisticsCount(*model_), "statistics")).abs() + 0.1;
    }
  }

  // As `fedmeta adapt` writes it.
  void WriteModel(const std::filesystem::path& path) const {
    v1::Assignment assignment;
    *assignment.mutable_model() = case_.model;
    assignment.mutable_input_shape()->Add(case_.input_shape.begin(), case_.input_shape.end());
    assignment.set_outputs(kClasses);
    assignment.set_transductive(case_.transductive);
    SafeTensors content;
    ASSERT_TRUE(
        google::protobuf::util::MessageToJsonString(assignment, &content.metadata["assignment"])
            .ok());
    const auto append = [&](std::span<const TensorSpec> specs,
                            const std::vector<at::Tensor>& values) {
      for (std::size_t i = 0; i < specs.size(); ++i)
        content.tensors.push_back(Named(specs[i].name, values[i]));
    };
    append(model_->tensors(), SplitParameters(*model_, theta_));
    if (case_.running) append(model_->statistics(), SplitStatistics(*model_, statistics_));
    ASSERT_TRUE(WriteSafeTensors(path, content).ok());
  }

  void WriteOutputs(const std::filesystem::path& path) const {
    const auto kind = model_->normalization();
    const auto gradients = MakeAutogradGradients(
        *model_, Objective(ObjectiveKind::kCrossEntropy),
        kind == NormalizationStatistics::kFrozen ? statistics_ : at::Tensor());
    at::Tensor adapted = theta_;
    for (int step = 0; step < 2; ++step)
      adapted = adapted - gradients->Compute(adapted, support_, false).gradient * 0.05;
    const bool own = kind == NormalizationStatistics::kLocal ||
                     (kind == NormalizationStatistics::kBatch && !case_.transductive);
    SafeTensors data;
    data.tensors = {Named("inputs", inputs_), Named("outputs", Outputs(theta_, statistics_)),
                    Named("support", support_.inputs), Named("labels", support_.targets),
                    Named("adapted", Outputs(adapted, own ? gradients->Statistics(adapted, support_)
                                                          : statistics_))};
    ASSERT_TRUE(WriteSafeTensors(path, data).ok());
  }

 private:
  static constexpr std::int64_t kClasses = 3, kExamples = 5;

  at::Tensor Images(const std::string& purpose, std::int64_t count) const {
    std::vector<std::int64_t> shape = case_.input_shape;
    shape.insert(shape.begin(), count);
    return at::tensor(Normals(*ElementCount(shape), purpose)).reshape(shape);
  }
  at::Tensor Outputs(const at::Tensor& theta, const at::Tensor& statistics) const {
    const std::vector<at::Tensor> given =
        statistics.defined() ? SplitStatistics(*model_, statistics) : std::vector<at::Tensor>();
    return model_->Forward(SplitParameters(*model_, theta),
                           {.inputs = inputs_, .statistics = given});
  }

  const ModelCase& case_;
  const std::unique_ptr<Model> model_;
  const at::Tensor theta_, inputs_;
  const TaskSet support_;
  at::Tensor statistics_;
};

TEST(LoadScriptTest, GivesTheOutputsOfEveryModelInPyTorch) {
  const std::string probe = std::string(kPython) + " -c 'import torch' 2>/dev/null";
  if (std::system(probe.c_str()) != 0) {
    GTEST_SKIP() << kPython << " has no torch: install python3-torch";
  }
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "load.py") << LoadScript();
  std::ofstream(folder.path() / "compare.py") << kCompare;
  const std::vector<ModelCase> cases = Cases();
  std::string command =
      "cd " + folder.path().string() + " && OMP_NUM_THREADS=1 " + kPython + " -B compare.py";
  for (const ModelCase& each : cases) {
    const CaseWriter writer(each);
    writer.WriteModel(folder.path() / (each.name + ".safetensors"));
    writer.WriteOutputs(folder.path() / (each.name + ".data"));
    command += " " + each.name;
  }
  ASSERT_EQ(std::system((command + " > differences").c_str()), 0);
  std::ifstream differences(folder.path() / "differences");
  for (const ModelCase& each : cases) {
    double difference = std::nan("");
    double adapted = std::nan("");
    differences >> difference >> adapted;
    EXPECT_LT(difference, 1e-5) << each.name;
    EXPECT_LT(adapted, 1e-4) << each.name;
  }
}

}  // namespace
}  // namespace fedmeta

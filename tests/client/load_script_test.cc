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
// line a model, its largest difference.
constexpr const char* kCompare = R"(
import sys, torch
from load import build, load, read
for prefix in sys.argv[1:]:
    model = build(prefix + ".safetensors")
    state = load(prefix + ".safetensors")
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    data, _ = read(prefix + ".data")
    with torch.no_grad():
        print((model(data["inputs"]) - data["outputs"]).abs().max().item())
)";

struct ModelCase {
  std::string name;
  v1::Plugin model;
  std::vector<std::int64_t> input_shape;
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
  cases.push_back({"conv4_pool", PluginOf("conv4", settings), {1, 28, 28}});
  settings = SmallConv4();
  settings.set_downsample("stride");
  settings.set_readout("mean");
  settings.set_gamma(false);
  cases.push_back({"conv4_stride", PluginOf("conv4", settings), {1, 28, 28}});
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

// The checkpoint as `fedmeta adapt` writes it, and inputs with this program's outputs.
void WriteCase(const std::filesystem::path& folder, const ModelCase& each) {
  constexpr std::int64_t kExamples = 5;
  const auto model =
      MakeModel(BuiltinModels(), each.model, {.input_shape = each.input_shape, .outputs = 3})
          .value();
  v1::Assignment assignment;
  *assignment.mutable_model() = each.model;
  assignment.mutable_input_shape()->Add(each.input_shape.begin(), each.input_shape.end());
  assignment.set_outputs(3);
  SafeTensors content;
  ASSERT_TRUE(
      google::protobuf::util::MessageToJsonString(assignment, &content.metadata["assignment"])
          .ok());
  // Random beyond initialisation: biases and scales as well.
  const at::Tensor flat = at::tensor(Normals(ParameterCount(*model), each.name));
  const std::vector<at::Tensor> parameters = SplitParameters(*model, flat);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    content.tensors.push_back({.name = model->tensors()[i].name,
                               .shape = model->tensors()[i].shape,
                               .values = ValuesOf(parameters[i])});
  }
  ASSERT_TRUE(WriteSafeTensors(folder / (each.name + ".safetensors"), content).ok());
  std::vector<std::int64_t> shape = each.input_shape;
  shape.insert(shape.begin(), kExamples);
  const std::vector<float> inputs = Normals(*ElementCount(shape), "inputs");
  const at::Tensor outputs = model->Forward(parameters, at::tensor(inputs).reshape(shape));
  SafeTensors data;
  data.tensors = {{.name = "inputs", .shape = shape, .values = inputs},
                  {.name = "outputs", .shape = {kExamples, 3}, .values = ValuesOf(outputs)}};
  ASSERT_TRUE(WriteSafeTensors(folder / (each.name + ".data"), data).ok());
}

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
    WriteCase(folder.path(), each);
    command += " " + each.name;
  }
  ASSERT_EQ(std::system((command + " > differences").c_str()), 0);
  std::ifstream differences(folder.path() / "differences");
  for (const ModelCase& each : cases) {
    double difference = std::nan("");
    differences >> difference;
    EXPECT_LT(difference, 1e-5) << each.name;
  }
}

}  // namespace
}  // namespace fedmeta

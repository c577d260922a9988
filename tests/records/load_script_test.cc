#include "fedmeta/records/load_script.h"

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <sys/wait.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/file.h"
#include "fedmeta/records/safetensors.h"
#include "fedmeta/tests/records/sample_run.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Debian's, which python3-torch installs into; another python3 may come first in PATH.
constexpr char kPython[] = "/usr/bin/python3";

struct Ran {
  int code = 0;
  std::string output;
};
Ran RunShell(const std::string& command) {
  Ran ran;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (std::size_t got; (got = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
    ran.output.append(buffer, got);
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

class LoadScriptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (RunShell(std::string(kPython) + " -c 'import torch'").code != 0)
      GTEST_SKIP() << "no " << kPython << " with torch (Debian package python3-torch)";
    ASSERT_TRUE(WriteFileAtomically(dir_ / "load.py", LoadScript()).ok());
  }
  Ran Python(const std::string& program) {
    EXPECT_TRUE(WriteFileAtomically(dir_ / "use.py", program).ok());
    return RunShell("cd " + dir_.string() + " && " + kPython + " use.py");
  }

  const TemporaryFolder folder_;
  const std::filesystem::path& dir_ = folder_.path();
};

TEST_F(LoadScriptTest, LoadsBuildsAndAdaptsAnMlp) {
  ASSERT_TRUE(WriteSafeTensors(dir_ / "model.safetensors",
                               {SampleMetadata(),
                                {{"layers.0.weight", {2, 3}, {1, 2, 3, 4, 5, 6}},
                                 {"layers.0.bias", {2}, {7, 8}},
                                 {"alpha/layers.0.bias", {2}, {9, 9}}}})
                  .ok());
  const Ran ran = Python(R"(
import torch
from load import load, build, adapt
state = load("model.safetensors")
assert list(state) == ["layers.0.weight", "layers.0.bias"], list(state)
assert state["layers.0.weight"].tolist() == [[1, 2, 3], [4, 5, 6]]
model = build("model.safetensors")
assert model(torch.ones(1, 3)).tolist() == [[13, 23]]  # 1+2+3+7, 4+5+6+8
# At x = (1, 0, 0) the outputs are (8, 12). The mean of their squares has the gradient (8, 12).
x = torch.tensor([[1.0, 0, 0]])
adapted = adapt(model, x, torch.zeros(1, 2), steps=1, learning_rate=0.1, loss=torch.nn.functional.mse_loss)
torch.testing.assert_close(adapted.layers[0].bias.data, torch.tensor([6.2, 6.8]))
torch.testing.assert_close(adapted.layers[0].weight.data, torch.tensor([[0.2, 2, 3], [2.8, 5, 6]]))
assert model.layers[0].bias.tolist() == [7, 8]
)");
  EXPECT_EQ(ran.code, 0) << ran.output;
  const Ran script = RunShell(std::string(kPython) + " " + (dir_ / "load.py").string());
  EXPECT_EQ(script.code, 0);
  EXPECT_THAT(script.output, AllOf(HasSubstr("layers.0.weight              [2, 3]"),
                                   HasSubstr("mlp: forward on zeros [2, 3] gives [2, 2]")));
}

TEST_F(LoadScriptTest, BuildsEveryShapeOfConv4) {
  // Tensors as algorithms/models/conv4.cc names them.
  const auto write = [&](const std::string& file, const std::string& settings, bool gamma,
                         bool normalised, std::int64_t features) {
    SafeTensors content{
        {{"assignment", R"({"model":{"name":"conv4","settings":{"filters":4,)" + settings +
                            R"(}},"inputShape":["1","28","28"],"outputs":5})"}},
        {}};
    const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
      const std::int64_t count =
          std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
      std::vector<float> values(static_cast<std::size_t>(count));
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = 0.1F * static_cast<float>(i % 7) - 0.2F;
      content.tensors.push_back({name, std::move(shape), std::move(values)});
    };
    for (int b = 0; b < 4; ++b) {
      const std::string block = "blocks." + std::to_string(b);
      add(block + ".conv.weight", {4, b == 0 ? 1 : 4, 3, 3});
      if (!normalised) add(block + ".conv.bias", {4});
      if (normalised && gamma) add(block + ".norm.weight", {4});
      if (normalised) add(block + ".norm.bias", {4});
    }
    add("head.weight", {5, features});
    add("head.bias", {5});
    ASSERT_TRUE(WriteSafeTensors(dir_ / file, content).ok());
  };
  write("pool.safetensors", R"("readout":"flatten")", true, true, 4);  // 28 -> 14 -> 7 -> 3 -> 1
  write("stride.safetensors", R"("downsample":"stride","readout":"mean","gamma":false)", false,
        true, 4);
  write("group.safetensors", R"("downsample":"stride","normalization":"group")", true, true,
        16);  // 28 -> 14 -> 7 -> 4 -> 2
  write("none.safetensors", R"("normalization":"none","activation":"softplus","pooling":"mean")",
        true, false, 4);
  const Ran ran = Python(R"(
import torch
from load import build
x = torch.arange(3 * 28 * 28, dtype=torch.float32).reshape(3, 1, 28, 28).remainder(11)
for name in ("pool", "stride", "group", "none"):
    model = build(name + ".safetensors")
    out = model(x)
    assert out.shape == (3, 5) and out.isfinite().all(), name
    assert model.eval()(x).equal(out), name  # no running averages
    single = model(x[:1])
    # A batch's statistics depend on the batch; a group's do not.
    assert torch.allclose(single, out[:1], atol=1e-5) == (name in ("group", "none")), name
)");
  EXPECT_EQ(ran.code, 0) << ran.output;
}

}  // namespace
}  // namespace fedmeta

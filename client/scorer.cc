// The only file that includes LibTorch's TorchScript headers (4 s of processor time more than
// ATen's). The network is traced, so that any model can be exported, with the operations that it
// was trained with; what stands around it is TorchScript source.
#include "fedmeta/client/scorer.h"

#include <algorithm>
#include <limits>
#include <sstream>

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/serialization/import.h>

#include "fedmeta/algorithms/meta/theta_learner.h"
#include "fedmeta/protocol/dictionary.h"

namespace fedmeta {
namespace {

namespace jit = torch::jit;

constexpr const char* kDescription = "fedmeta.json";

constexpr const char* kEncodeTable = R"(
def known(self, rows: Tensor, i: int) -> Tensor:
    value = torch.to(torch.select(rows, 1, i), 6)
    inside = torch.logical_and(torch.ge(value, self.low[i]), torch.le(value, self.high[i]))
    if self.level_counts[i] > 0:
        return torch.logical_and(inside, torch.eq(value, torch.floor(value)))
    return inside

def encode(self, rows: Tensor) -> Tensor:
    inputs: List[Tensor] = []
    for i in range(len(self.columns)):
        known = self.known(rows, i)
        value = torch.to(torch.to(torch.select(rows, 1, i), 6), 7)
        if self.level_counts[i] > 0:
            for level in range(self.level_counts[i]):
                inputs.append(torch.to(torch.logical_and(known, torch.eq(value, level)), 6))
        else:
            value = torch.where(known, value, self.fill[i])
            inputs.append(torch.to(torch.div(torch.sub(value, self.center[i]), self.spread[i]), 6))
        if self.flags[i]:
            inputs.append(torch.to(torch.logical_not(known), 6))
    return torch.stack(inputs, 1)

def usable(self, rows: Tensor) -> Tensor:
    usable = torch.ones([rows.size(0)], dtype=11)
    for i in range(len(self.columns)):
        if self.needed[i]:
            usable = torch.logical_and(usable, self.known(rows, i))
    return torch.unsqueeze(usable, 1)
)";

constexpr const char* kEncodeOther = R"(
def encode(self, rows: Tensor) -> Tensor:
    return torch.reshape(torch.to(rows, 6), self.example_shape)

def usable(self, rows: Tensor) -> Tensor:
    return torch.ones([rows.size(0), 1], dtype=11)
)";

constexpr const char* kForward = R"(
def logits(self, rows: Tensor) -> Tensor:
    return torch.add(torch.div(self.network.forward(self.encode(rows)), self.temperature), self.intercepts)

def forward(self, rows: Tensor) -> Tensor:
    outputs = self.logits(rows)
    if self.classifies:
        outputs = torch.softmax(outputs, 1)
    return torch.where(self.usable(rows), outputs, self.nothing)
)";

c10::List<std::string> TextList(const std::vector<std::string>& texts) {
  c10::List<std::string> list;
  for (const std::string& text : texts) list.push_back(text);
  return list;
}

/// Modules within modules, as the tensors' names have it: "layers.0.weight".
jit::Module Submodule(jit::Module& parent, const std::string& name, const std::string& path) {
  if (parent.hasattr(name)) return parent.attr(name).toModule();
  std::string type = path;
  std::replace(type.begin(), type.end(), '.', '_');
  jit::Module child(c10::QualifiedName("__torch__.fedmeta.network_" + type));
  parent.register_module(name, child);
  return child;
}

void Register(jit::Module& network, const TensorSpec& tensor, const at::Tensor& values) {
  jit::Module parent = network;
  std::size_t from = 0;
  for (std::size_t dot; (dot = tensor.name.find('.', from)) != std::string::npos; from = dot + 1) {
    parent = Submodule(parent, tensor.name.substr(from, dot - from), tensor.name.substr(0, dot));
  }
  parent.register_parameter(tensor.name.substr(from), values,
                            /*is_buffer=*/tensor.kind == TensorKind::kBuffer);
}

/// The network alone, with its tensors under their names and a traced forward().
jit::Module MakeNetwork(const ScorerParts& parts) {
  jit::Module network(c10::QualifiedName("__torch__.fedmeta.Network"));
  const at::Tensor flat = at::tensor(at::ArrayRef<float>(parts.values.data(), parts.values.size()),
                                     at::TensorOptions(at::kFloat));
  std::vector<at::Tensor> tensors;
  std::int64_t from = 0;
  for (const TensorSpec& tensor : parts.tensors) {
    std::int64_t count = 1;
    for (const std::int64_t extent : tensor.shape) count *= extent;
    tensors.push_back(flat.narrow(0, from, count).view(tensor.shape).clone());
    Register(network, tensor, tensors.back());
    from += count;
  }
  const std::size_t learned = parts.model.tensors().size();
  const Parameters parameters = std::span(tensors).first(learned);
  const Parameters statistics = std::span(tensors).subspan(learned);
  std::vector<std::int64_t> shape = {2};
  shape.insert(shape.end(), parts.example_shape.begin(), parts.example_shape.end());
  const auto traced = jit::tracer::trace(
      {at::zeros(shape)},
      [&](const jit::Stack& inputs) -> jit::Stack {
        return {parts.model.Forward(
            parameters, {.inputs = inputs.front().toTensor(), .statistics = statistics})};
      },
      [](const at::Tensor&) { return std::string(); }, /*strict=*/true, /*force_outplace=*/false,
      &network);
  network.type()->addMethod(network._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*network.type()->name(), "forward"), traced.first->graph));
  return network;
}

void DescribeTable(jit::Module& scorer, const ScorerParts& parts) {
  std::vector<std::string> columns;
  std::vector<float> low, high;
  std::vector<double> fill, center, spread;
  c10::List<std::int64_t> level_counts;
  c10::List<bool> flags, needed;
  c10::List<c10::List<std::string>> levels;
  for (int i = 0; i < parts.dictionary.features_size(); ++i) {
    const v1::Feature& feature = parts.dictionary.features(i);
    const NumberEncoding& encoding = parts.encodings[static_cast<std::size_t>(i)];
    const bool category = !feature.levels().empty();
    columns.push_back(feature.name());
    levels.push_back(TextList({feature.levels().begin(), feature.levels().end()}));
    level_counts.push_back(feature.levels_size());
    const bool ranged = feature.range_size() == 2;
    constexpr float kLargest = std::numeric_limits<float>::max();
    low.push_back(category ? 0 : ranged ? static_cast<float>(feature.range(0)) : -kLargest);
    high.push_back(category ? static_cast<float>(feature.levels_size() - 1)
                   : ranged ? static_cast<float>(feature.range(1))
                            : kLargest);
    fill.push_back(encoding.fill);
    center.push_back(encoding.center);
    spread.push_back(encoding.spread);
    flags.push_back(HasFlag(feature));
    // A site that has no such column imputes it, in every record.
    const bool replaceable = feature.missing() != "drop_row" && feature.missing() != "refuse";
    needed.push_back(!replaceable && (category || encoding.known));
  }
  const auto texts = c10::ListType::ofStrings();
  scorer.register_attribute("columns", texts, TextList(columns));
  scorer.register_attribute("levels", c10::ListType::create(texts), levels);
  scorer.register_attribute("level_counts", c10::ListType::ofInts(), level_counts);
  scorer.register_attribute("flags", c10::ListType::ofBools(), flags);
  scorer.register_attribute("needed", c10::ListType::ofBools(), needed);
  scorer.register_buffer("low", at::tensor(low));
  scorer.register_buffer("high", at::tensor(high));
  const auto doubles = [](const std::vector<double>& values) {
    return at::tensor(values, at::TensorOptions(at::kDouble));
  };
  scorer.register_buffer("fill", doubles(fill));
  scorer.register_buffer("center", doubles(center));
  scorer.register_buffer("spread", doubles(spread));
}

jit::Module MakeModule(const ScorerParts& parts) {
  const c10::NoGradGuard no_graph;
  jit::Module scorer(c10::QualifiedName("__torch__.fedmeta.Scorer"));
  scorer.register_module("network", MakeNetwork(parts));
  const auto outputs =
      static_cast<std::int64_t>(std::max<std::size_t>(1, parts.calibration.intercepts.size()));
  at::Tensor intercepts = at::zeros({outputs});
  for (std::size_t i = 0; i < parts.calibration.intercepts.size(); ++i) {
    intercepts[static_cast<std::int64_t>(i)] = parts.calibration.intercepts[i];
  }
  scorer.register_buffer("temperature", at::full({}, parts.calibration.temperature));
  scorer.register_buffer("intercepts", intercepts);
  scorer.register_buffer("nothing", at::full({}, std::numeric_limits<float>::quiet_NaN()));
  scorer.register_attribute("classifies", c10::BoolType::get(), parts.classifies);
  scorer.register_attribute("labels", c10::ListType::ofStrings(), TextList(parts.labels));
  if (parts.dictionary.features().empty()) {
    c10::List<std::int64_t> shape;
    shape.push_back(-1);
    for (const std::int64_t extent : parts.example_shape) shape.push_back(extent);
    scorer.register_attribute("example_shape", c10::ListType::ofInts(), shape);
    scorer.define(kEncodeOther);
  } else {
    DescribeTable(scorer, parts);
    scorer.define(kEncodeTable);
  }
  scorer.define(kForward);
  scorer.eval();
  return scorer;
}

}  // namespace

Result<std::string> MakeScorer(const ScorerParts& parts) {
  try {
    std::ostringstream bytes;
    MakeModule(parts).save(bytes, {{kDescription, parts.description}});
    return std::move(bytes).str();
  } catch (...) {
    return CurrentExceptionError().WithContext("exporting the model");
  }
}

class Scorer::Implementation {
 public:
  Implementation(jit::Module module, std::string description)
      : module_(std::move(module)), description_(std::move(description)) {
    const at::IValue labels = module_.attr("labels");
    for (const at::IValue& label : labels.toListRef()) labels_.push_back(label.toStringRef());
    if (module_.hasattr("columns")) {
      shape_ = {static_cast<std::int64_t>(module_.attr("columns").toListRef().size())};
    } else {
      for (const std::int64_t extent : module_.attr("example_shape").toIntVector())
        if (extent >= 0) shape_.push_back(extent);
    }
  }

  std::vector<float> Score(std::span<const float> rows, std::size_t count) {
    const c10::NoGradGuard no_graph;
    std::vector<std::int64_t> shape = {static_cast<std::int64_t>(count)};
    shape.insert(shape.end(), shape_.begin(), shape_.end());
    // Never written to: forward() reads its argument.
    const at::Tensor input = at::from_blob(const_cast<float*>(rows.data()), shape, at::kFloat);
    const at::Tensor outputs = module_.forward({input}).toTensor().to(at::kFloat).contiguous();
    return {outputs.data_ptr<float>(), outputs.data_ptr<float>() + outputs.numel()};
  }

  const std::string& description() const { return description_; }
  const std::vector<std::string>& labels() const { return labels_; }

 private:
  jit::Module module_;
  std::string description_;
  std::vector<std::string> labels_;
  std::vector<std::int64_t> shape_;
};

Scorer::Scorer(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
Scorer::Scorer(Scorer&&) noexcept = default;
Scorer& Scorer::operator=(Scorer&&) noexcept = default;
Scorer::~Scorer() = default;

Result<Scorer> Scorer::Load(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) {
    return Error(ErrorCode::kNotFound,
                 "there is no " + file.string() + "; give a folder that `fedmeta adapt` wrote");
  }
  try {
    jit::ExtraFilesMap extra = {{kDescription, ""}};
    jit::Module module = jit::load(file.string(), at::kCPU, extra);
    return Scorer(std::make_unique<Implementation>(std::move(module), extra[kDescription]));
  } catch (...) {
    return CurrentExceptionError().WithContext(file.string() +
                                               " is no model that `fedmeta adapt` wrote");
  }
}

const std::string& Scorer::description() const { return implementation_->description(); }
const std::vector<std::string>& Scorer::labels() const { return implementation_->labels(); }

Result<std::vector<float>> Scorer::Score(std::span<const float> rows, std::size_t count) {
  try {
    return implementation_->Score(rows, count);
  } catch (...) {
    return CurrentExceptionError().WithContext("scoring");
  }
}

}  // namespace fedmeta

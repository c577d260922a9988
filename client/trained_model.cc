#include "fedmeta/client/trained_model.h"

#include <cmath>
#include <optional>

#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/limits.h"
#include "fedmeta/records/safetensors.h"

namespace fedmeta {
namespace {

std::optional<std::uint32_t> ParseCount(const std::string& text, std::uint32_t maximum) {
  const auto number = ParseNumber(text);
  if (!number || !(*number >= 0) || *number > maximum || *number != std::floor(*number))
    return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

std::optional<double> ParseRate(const nlohmann::json& value) {
  if (!value.is_number()) return std::nullopt;
  const double rate = value.get<double>();
  if (!std::isfinite(rate) || rate <= 0) return std::nullopt;
  return rate;
}

// What the coordinator writes; nothing for any other text.
std::optional<std::map<std::uint32_t, TunedAdaptation>> ParseTuned(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  std::map<std::uint32_t, TunedAdaptation> tuned;
  for (const auto& [shots, entry] : json.items()) {
    const auto count = ParseCount(shots, UINT32_MAX);
    if (!count || !entry.is_object()) return std::nullopt;
    const auto rate = ParseRate(entry.value("learning_rate", nlohmann::json()));
    const auto steps =
        ParseCount(entry.value("steps", nlohmann::json()).dump(), kMaximumEvaluationSteps);
    const nlohmann::json by_steps = entry.value("by_steps", nlohmann::json::object());
    if (!rate || !steps || !by_steps.is_object()) return std::nullopt;
    TunedAdaptation& adaptation = tuned[*count];
    adaptation.learning_rate = *rate;
    adaptation.steps = *steps;
    for (const auto& [step, value] : by_steps.items()) {
      const auto step_count = ParseCount(step, kMaximumEvaluationSteps);
      const auto step_rate = ParseRate(value);
      if (!step_count || !step_rate) return std::nullopt;
      adaptation.rate_of_steps[*step_count] = *step_rate;
    }
  }
  return tuned;
}

}  // namespace

Result<TrainedModel> LoadTrainedModel(const std::filesystem::path& file) {
  FEDMETA_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(file));
  const Result<SafeTensors> read = ParseSafeTensors(AsBytes(bytes));
  if (!read.ok()) return read.error().WithContext(file.string());
  const SafeTensors& stored = *read;
  const auto refused = [&](const std::string& what) {
    return Error(ErrorCode::kInvalidArgument,
                 file.string() + ": " + what + "; give a checkpoint that fedmeta wrote");
  };
  const auto text = [&](const char* key) {
    const auto found = stored.metadata.find(key);
    return found == stored.metadata.end() ? std::string() : found->second;
  };
  TrainedModel model;
  model.digest = Digest::Of(bytes);
  model.method = text("method");
  if (!google::protobuf::util::JsonStringToMessage(text("assignment"), &model.assignment).ok())
    return refused("metadata 'assignment' is missing or not valid");
  const Result<StateLayout> parsed = StateLayout::Parse(text("layout"));
  if (!parsed.ok()) return refused("metadata 'layout': " + parsed.error().message());
  const StateLayout& layout = *parsed;
  for (const Segment& segment : layout.segments()) {
    for (const TensorSpec& tensor : segment.tensors) {
      const NamedTensor* found = stored.Find(tensor.name);
      if (found == nullptr || found->shape != tensor.shape)
        return refused("tensor '" + tensor.name + "' is missing or of another shape");
      model.state.insert(model.state.end(), found->values.begin(), found->values.end());
    }
  }
  if (stored.metadata.contains("tuned")) {
    auto tuned = ParseTuned(text("tuned"));
    if (!tuned) return refused("metadata 'tuned' is not valid");
    model.tuned = *std::move(tuned);
  }
  return model;
}

const TunedAdaptation* FindTuned(const TrainedModel& model, std::uint32_t shots) {
  const TunedAdaptation* best = nullptr;
  std::uint32_t distance = UINT32_MAX;
  for (const auto& [known, tuned] : model.tuned) {
    const std::uint32_t difference = known > shots ? known - shots : shots - known;
    if (difference < distance) {
      distance = difference;
      best = &tuned;
    }
  }
  return best;
}

}  // namespace fedmeta

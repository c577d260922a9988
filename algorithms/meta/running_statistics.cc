#include "fedmeta/algorithms/meta/running_statistics.h"

#include <cstring>
#include <string>

#include "fedmeta/algorithms/meta/theta_learner.h"

namespace fedmeta {

bool StateHasStatistics(const Model& model) {
  return model.normalization() == NormalizationStatistics::kAveraged ||
         model.normalization() == NormalizationStatistics::kFrozen;
}

std::size_t StateSize(const Model& model) {
  return ParameterCount(model) + (StateHasStatistics(model) ? StatisticsCount(model) : 0);
}

at::Tensor StatisticsOfState(const Model& model, std::span<const float> state,
                             const at::Device& device) {
  if (!StateHasStatistics(model)) return {};
  return StateTensor(state.subspan(ParameterCount(model), StatisticsCount(model)), device);
}

Bytes PackStatistics(std::span<const float> statistics) {
  const auto bytes = AsBytes(statistics);
  return {bytes.begin(), bytes.end()};
}

Result<std::vector<float>> UnpackStatistics(const Model& model, std::span<const std::byte> bytes) {
  if (bytes.empty()) return std::vector<float>();
  std::vector<float> statistics(StatisticsCount(model));
  if (bytes.size() != statistics.size() * sizeof(float)) {
    return Error(ErrorCode::kInvalidArgument,
                 "the statistics that this client kept must have " +
                     std::to_string(statistics.size() * sizeof(float)) + " bytes, got " +
                     std::to_string(bytes.size()) + ": they belong to another model");
  }
  std::memcpy(statistics.data(), bytes.data(), bytes.size());
  return statistics;
}

std::vector<float> MoveStatistics(std::span<const float> running, std::span<const double> of_round,
                                  double momentum) {
  std::vector<float> moved(of_round.size());
  for (std::size_t i = 0; i < moved.size(); ++i) {
    moved[i] = static_cast<float>(
        running.empty() ? of_round[i] : running[i] + momentum * (of_round[i] - running[i]));
  }
  return moved;
}

}  // namespace fedmeta

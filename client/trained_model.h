#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// Steps and rate that validation at the training sites chose for one number of shots; they travel
/// with the model.
struct TunedAdaptation {
  double learning_rate = 0;
  std::uint32_t steps = 0;
  std::map<std::uint32_t, double> rate_of_steps;  ///< for each evaluated step count its best rate
};

/// A checkpoint with what it takes to adapt it. Immutable.
struct TrainedModel {
  v1::Assignment assignment;
  std::string method;
  std::vector<float> state;
  std::map<std::uint32_t, TunedAdaptation> tuned;  ///< by shots
  Digest digest = {};                              ///< of the file
};
/// Hostile file: everything is checked. kInvalidArgument names the file and what is wrong.
Result<TrainedModel> LoadTrainedModel(const std::filesystem::path& file);

/// The tuned entry for these shots, else for the nearest number of shots; null without any.
const TunedAdaptation* FindTuned(const TrainedModel& model, std::uint32_t shots);

}  // namespace fedmeta

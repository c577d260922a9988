#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/client/client_runner.h"
#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/worker_pool.h"
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
};
/// Hostile file: everything is checked. kInvalidArgument names the file and what is wrong.
Result<TrainedModel> LoadTrainedModel(const std::filesystem::path& file);

struct AdaptRequest {
  std::uint32_t shots = 0;             ///< support examples a class; 0: the experiment's
  std::optional<std::uint32_t> steps;  ///< instead of choosing
  std::uint32_t episodes = 100;        ///< drawn from the site's rows, where tasks are drawn
};

/// Means over episodes (or, where a site is a single task, over its query examples) with 95 %
/// bootstrap intervals.
struct AdaptFigure {
  std::uint32_t steps = 0;
  double learning_rate = 0;
  double accuracy = 0, accuracy_low = 0, accuracy_high = 0;
  double loss = 0, loss_low = 0, loss_high = 0;
  std::uint32_t diverged = 0;  ///< episodes left out
};

struct AdaptedSite {
  std::string method;
  std::uint32_t shots = 0, episodes = 0;
  bool classifies = true;
  std::vector<AdaptFigure> figures;  ///< ascending steps, 0 first
  AdaptFigure chosen;
  std::string choice;               ///< in words: how the steps and the rate were chosen
  std::int64_t outputs = 0;         ///< of the adapted model
  std::vector<TensorSpec> tensors;  ///< of the adapted model, statistics of normalisation last
  std::vector<float> parameters;    ///< after the chosen steps on the first support set
  std::vector<std::int64_t>
      codes;  ///< codes[output] of that support set; empty: the site's own labels
};

/// Adapts a trained model to one site's data and measures it on rows that adaptation did not see.
/// With validation rows (split tasks) steps and rate are chosen on them, step 0 kept when nothing
/// is better; without them, those that travel with the model. `site_name` names the random streams.
Result<AdaptedSite> AdaptToSite(const TrainedModel& model, const LearnRegistries& registries,
                                const SiteSource& site, const std::string& site_name,
                                const AdaptRequest& request, WorkerPool& pool);

}  // namespace fedmeta

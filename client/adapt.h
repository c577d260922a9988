#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/client/adapt_figures.h"
#include "fedmeta/client/calibration.h"
#include "fedmeta/client/data/source.h"
#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/client/trained_model.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/core/worker_pool.h"

namespace fedmeta {

struct AdaptRequest {
  std::uint32_t shots = 0;                  ///< support examples a class; 0: the experiment's
  std::optional<std::uint32_t> steps = {};  ///< instead of choosing
  std::uint32_t episodes = 100;             ///< drawn from the site's rows, where tasks are drawn
  bool calibrate = true;
};

/// How many rows had a part in what; counts of records, to be shown by CountDisclosure.
struct AdaptRows {
  std::uint64_t support = 0, validation = 0, query = 0;
  std::vector<std::pair<std::string, std::uint64_t>> support_labels = {};  ///< by output
};

struct AdaptedSite {
  std::string method;
  std::uint32_t shots = 0, episodes = 0;
  bool classifies = true;
  std::vector<AdaptFigure> figures;  ///< ascending steps, 0 first; not calibrated
  AdaptFigure chosen;                ///< of the model to take away, calibrated
  std::string choice;                ///< in words: how the steps and the rate were chosen
  Calibration calibration;
  std::string calibration_reason;  ///< in words
  AdaptRows rows;

  // The model to take away: after the chosen steps on the first support set.
  std::int64_t outputs = 0;
  std::vector<TensorSpec> tensors;  ///< statistics of normalisation last
  std::vector<float> parameters;
  /// codes[output] of that support set; empty: the site's own labels.
  std::vector<std::int64_t> codes;
  std::vector<std::string> labels;  ///< what each output is called
  std::string scorer;               ///< MakeScorer
};

/// Adapts a trained model to one site's data and measures it on rows that adaptation did not see.
/// Where the site is a single task, steps and rate are chosen on its validation rows or, with fewer
/// than 20 of them, by cross-validation on its support rows; step 0 stays unless another is better;
/// a classifier is calibrated on predictions for support rows by models that had not seen them.
/// Otherwise, and with a class of a single row or person, steps and rate are those that travel with
/// the model. `source`: of ReadTable; `site_name` names the random streams.
Result<AdaptedSite> AdaptToSite(const TrainedModel& model, const LearnRegistries& registries,
                                const OpenedSource& source, const std::string& site_name,
                                const AdaptRequest& request, WorkerPool& pool);

}  // namespace fedmeta

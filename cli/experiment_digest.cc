#include "fedmeta/cli/experiment_digest.h"

#include "fedmeta/configs/loader.h"

namespace fedmeta {

Digest InitialStateDigest(const v1::Experiment& experiment, const PluginTables& schema) {
  v1::Experiment part;
  part.set_name(experiment.name());
  part.set_seed(experiment.seed());
  *part.mutable_model() = experiment.model();
  part.mutable_model()->clear_initial();
  part.mutable_data()->set_name(experiment.data().name());
  *part.mutable_data()->mutable_tasks() = experiment.data().tasks();
  *part.mutable_algorithm() = experiment.algorithm();
  *part.mutable_server() = experiment.server();
  *part.mutable_evaluation()->mutable_baselines() = experiment.evaluation().baselines();
  if (experiment.evaluation().has_transductive())
    part.mutable_evaluation()->set_transductive(experiment.evaluation().transductive());
  if (experiment.privacy().has_differential_privacy()) {
    // What the assignments say of it: noise other than the accounted one would be a broken promise.
    v1::DifferentialPrivacy& keys = *part.mutable_privacy()->mutable_differential_privacy();
    keys = experiment.privacy().differential_privacy();
    keys.clear_epsilon();
    keys.clear_budget();
    keys.clear_sampling();
  }
  return Digest::Of(PrintYaml(part, schema));
}

}  // namespace fedmeta

#include "fedmeta/cli/experiment_digest.h"

#include "fedmeta/configs/loader.h"
#include "fedmeta/privacy/secure_terms.h"

namespace fedmeta {
namespace {

void KeepTerms(const v1::Experiment& experiment, v1::SecureAggregation& keys) {
  if (keys.mode() == "secure") {
    keys.set_group_size(SecureTermsOf(experiment).group_size());
    keys.clear_sessions();
    keys.clear_phase_deadline();
  } else {
    const std::string mode = keys.mode();
    keys.Clear();
    keys.set_mode(mode);
  }
}

}  // namespace

Digest InitialStateDigest(const v1::Experiment& experiment, const PluginTables& schema) {
  // Everything counts that is not taken out here, so that a key cannot be forgotten.
  v1::Experiment part = experiment;
  part.mutable_model()->clear_initial();
  part.mutable_data()->clear_source();
  part.mutable_data()->clear_partition();
  part.clear_federation();
  if (experiment.federation().has_compression()) {
    *part.mutable_federation()->mutable_compression() = experiment.federation().compression();
  }
  v1::Evaluation& evaluation = *part.mutable_evaluation();
  evaluation.clear_every();
  evaluation.clear_steps();
  evaluation.clear_shots();
  evaluation.clear_learning_rates();
  evaluation.clear_episodes();
  evaluation.clear_select();
  if (part.privacy().has_differential_privacy()) {
    v1::DifferentialPrivacy& keys = *part.mutable_privacy()->mutable_differential_privacy();
    keys.clear_epsilon();
    keys.clear_budget();
    keys.clear_sampling();
  }
  KeepTerms(experiment, *part.mutable_privacy()->mutable_secure_aggregation());
  part.clear_threads();
  return Digest::Of(PrintYaml(part, schema));
}

}  // namespace fedmeta

#include "fedmeta/cli/experiment_digest.h"

#include <string>

#include <gtest/gtest.h>

#include "fedmeta/configs/loader.h"

namespace fedmeta {
namespace {

constexpr char kExperiment[] = R"(
name: hearts
model: {name: mlp, hidden: [4]}
data:
  name: heart
  features: [{name: age}, {name: sex, kind: category, levels: [f, m]}]
  label: {name: disease, levels: [absent, present]}
  tasks: {name: split}
algorithm: {name: fomaml, inner_learning_rate: 0.1}
federation: {rounds: 5, cohort: 4}
)";

std::string HexWith(const std::string& override, Loader::RunKind kind = Loader::RunKind::kLive) {
  const std::vector<std::string> overrides = {override};
  const Loader loader(BuiltinPluginTables());
  const auto experiment = loader.ParseExperiment(kExperiment, "e.yaml", overrides, kind);
  EXPECT_TRUE(experiment.ok()) << experiment.error().message();
  return InitialStateDigest(**experiment, loader.tables()).hex();
}

TEST(ExperimentDigest, CountsWhatTheAssignmentsSay) {
  const std::string as_is = HexWith("seed=1");
  EXPECT_EQ(as_is, HexWith("seed=1"));
  for (const char* changed :
       {"seed=2", "data.class_weights=balanced", "data.standardize=local", "device=cuda",
        "data.features=[{name: age}]", "privacy.secure_aggregation.mode=plain",
        "privacy.secure_aggregation.ring_bits=64", "privacy.secure_aggregation.clip=10",
        // The largest group is no larger than what is asked.
        "federation.cohort=6",
        "privacy.differential_privacy={mode: local, clip: 1, noise_multiplier: 2}",
        "evaluation.baselines=[{name: local}]", "server.optimizer={name: adam}"}) {
    EXPECT_NE(HexWith(changed), as_is) << changed;
  }
  EXPECT_NE(HexWith("seed=1", Loader::RunKind::kSimulation), as_is);
}

TEST(ExperimentDigest, LeavesOutWhatMayDiffer) {
  const std::string as_is = HexWith("seed=1");
  for (const char* changed :
       {"federation.rounds=9", "federation.report_deadline=1h", "evaluation.every=3", "threads=2",
        "evaluation.steps=[0, 1]", "privacy.secure_aggregation.sessions=9",
        "privacy.secure_aggregation.phase_deadline=9s", "data.source={name: csv, path: t.csv}"}) {
    EXPECT_EQ(HexWith(changed), as_is) << changed;
  }
  EXPECT_EQ(HexWith("federation.cohort=6", Loader::RunKind::kSimulation),
            HexWith("seed=1", Loader::RunKind::kSimulation));
}

}  // namespace
}  // namespace fedmeta

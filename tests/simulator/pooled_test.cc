#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/configs/loader.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/records/progress.h"
#include "fedmeta/simulator/simulation.h"
#include "fedmeta/tests/support/temporary_folder.h"

// The baseline that brings all rows together, and sites that are left out.
namespace fedmeta {
namespace {

using ::testing::HasSubstr;

class PooledTest : public ::testing::Test {
 protected:
  PooledTest() {
    std::string all = "x,y\n";
    for (const std::string site : {"a", "b"}) {
      std::string table = "x,y\n";
      for (int i = 0; i < 20; ++i) {
        const std::string row =
            std::to_string(i + (site == "b" ? 7 : 0)) + (i % 3 == 0 ? ",no\n" : ",yes\n");
        table += row;
        all += row;
      }
      Add(site, table);
    }
    Add("all", all);
    Add("h", "x,y\n1,no\n5,yes\n9,no\n12,yes\n");
  }
  void Add(const std::string& name, const std::string& table) {
    folder_.Write(name + ".csv", table);
    folder_.Write(name + ".yaml", "data: {d: {source: {name: csv, path: " + name + ".csv}}}\n");
  }

  /// The state that a baseline ends with.
  Result<RunSummary> Run(const std::string& sites, const std::string& method, int cohort) const {
    FEDMETA_ASSIGN_OR_RETURN(const auto experiment,
                             Loader(BuiltinPluginTables())
                                 .ParseExperiment(R"(
name: test
model: {name: mlp, hidden: []}
data:
  name: d
  features: [{name: x, mean: 10, standard_deviation: 5}]
  label: {name: y, levels: [no, yes]}
  standardize: given
  tasks: {name: split, support_fraction: 0.5}
  partition: {scheme: sites, site_files: [)" + sites +
                                                      R"(], holdout_sites: [h]}
algorithm: {name: maml}
federation: {rounds: 3, cohort: )" + std::to_string(cohort) +
                                                      R"(}
evaluation: {steps: [0], baselines: [{name: )" + method +
                                                      ", learning_rate: 0.3, batch_size: 0}]}\n",
                                                  folder_.path() / "e.yaml"));
    const LearnRegistries registries = {
        .models = BuiltinModels(), .algorithms = BuiltinMetaLearners(), .data = BuiltinData()};
    FEDMETA_ASSIGN_OR_RETURN(
        const SimulationData data,
        OpenSimulationData(*experiment, registries.data, BuiltinPluginTables()));
    FEDMETA_ASSIGN_OR_RETURN(auto legs, PrepareLegs(*experiment, registries, &data));
    // All start alike, whatever a method is called.
    for (Leg& leg : legs) std::ranges::fill(leg.initial_state, 0.1F);
    const auto store = MakeMemoryStore();
    const auto observer = MakeObserverChain({});
    const SystemClock clock;
    FEDMETA_ASSIGN_OR_RETURN(OpenedRun run, OpenRun(*store, ExperimentId("test")));
    Simulation simulation({.experiment = *experiment,
                           .legs = std::move(legs),
                           .registries = registries,
                           .server = BuiltinServer()},
                          std::move(run), data, *store, *observer, clock);
    FEDMETA_RETURN_IF_ERROR(simulation.Check());
    return simulation.Run({});
  }
  double Loss(const std::string& sites, const std::string& method, int cohort) const {
    const auto summary = Run(sites, method, cohort);
    EXPECT_TRUE(summary.ok()) << summary.error().message();
    if (!summary.ok() || summary->baselines.empty()) return 0;
    return summary->baselines.front().cells.front().loss_mean;
  }

  const TemporaryFolder folder_;
};

TEST_F(PooledTest, IsTrainingWhereOneSiteHasTheRowsOfAll) {
  const double pooled = Loss("a.yaml, b.yaml, h.yaml", "pooled", 2);
  EXPECT_NEAR(pooled, Loss("all.yaml, h.yaml", "fedavg", 1), 1e-5);
  EXPECT_GT(std::abs(pooled - Loss("a.yaml, h.yaml", "fedavg", 1)), 1e-4);
  EXPECT_EQ(pooled, Loss("a.yaml, b.yaml, h.yaml", "pooled", 1)) << "whoever is in the cohort";
}

TEST_F(PooledTest, ASiteThatIsLeftOutIsNotAmongTheRows) {
  const auto run = Run("a.yaml, b.yaml, h.yaml", "pooled", 3);
  ASSERT_FALSE(run.ok());
  EXPECT_THAT(run.error().message(), HasSubstr("which are 2, got 3"));
  const auto unknown = Run("a.yaml, b.yaml", "pooled", 2);
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message(), HasSubstr("partition.holdout_sites: no site"));
}

}  // namespace
}  // namespace fedmeta

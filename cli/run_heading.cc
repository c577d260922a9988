#include "fedmeta/cli/run_heading.h"

#include <cstdio>

#include <nlohmann/json.hpp>

#include "fedmeta/configs/plugin_keys.h"
#include "fedmeta/core/text.h"
#include "fedmeta/records/words.h"

namespace fedmeta {
namespace {

nlohmann::json MethodJson(const MethodSummary& method) {
  nlohmann::json cells = nlohmann::json::array();
  for (const FinalCell& cell : method.cells) {
    cells.push_back({{"shots", cell.shots},
                     {"steps", cell.steps},
                     {"tuned", cell.tuned},
                     {"learning_rate", cell.learning_rate},
                     {"accuracy_mean", cell.accuracy_mean},
                     {"loss_mean", cell.loss_mean},
                     {"clients", cell.clients}});
  }
  return {{"method", method.method},
          {"leg", method.leg},
          {"best_round", method.best_round},
          {"cells", cells}};
}

std::string ShotsOf(const v1::Plugin& tasks) {
  if (tasks.name() == "regression") return "task";
  return PluginKeys(tasks.settings()).Text("shots") == "rows" ? "rows" : "class";
}

/// "10% of each update, fed back; rotated; 12-bit sums; state as float16"; empty: nothing is
/// compressed.
std::string DescribeCompression(const v1::Experiment& experiment) {
  const v1::Compression& keys = experiment.federation().compression();
  const v1::SecureAggregation& secure = experiment.privacy().secure_aggregation();
  std::vector<std::string> parts;
  if (keys.has_fraction() && keys.fraction() < 1) {
    parts.push_back(FormatNumber(100 * keys.fraction()) + "% of each update" +
                    (keys.error_feedback() ? ", the rest fed back" : ", unbiased"));
  }
  if (keys.rotation()) parts.emplace_back("rotated");
  if (keys.has_bits() && keys.bits() < 32)
    parts.push_back(std::to_string(keys.bits()) + "-bit updates");
  if (secure.mode() == "secure" && secure.ring_bits() < 32)
    parts.push_back(std::to_string(secure.ring_bits()) + "-bit sums");
  if (keys.download() == "float16") parts.emplace_back("state as float16");
  return Join(parts, "; ");
}

}  // namespace

std::string DescribeAlgorithm(const v1::Plugin& algorithm) {
  const auto steps = PluginKeys(algorithm.settings()).Whole("adaptation_steps");
  return steps ? algorithm.name() + ", " + Counted(*steps, "step", "steps") : algorithm.name();
}

std::string RobustAggregationOf(const v1::Experiment& experiment) {
  const bool robust = experiment.privacy().secure_aggregation().mode() == "plain_robust";
  return robust ? experiment.server().aggregation().name() : "";
}

std::string WhatIsVisible(const v1::Experiment& experiment) {
  if (experiment.privacy().secure_aggregation().mode() == "secure") return "sums of groups visible";
  const std::string rule = RobustAggregationOf(experiment);
  return "individual updates visible" + (rule.empty() ? "" : ", aggregated by " + rule);
}

RunHeading MakeHeading(const v1::Experiment& experiment, std::span<const Leg> legs,
                       const std::filesystem::path& out) {
  const v1::Partition& partition = experiment.data().partition();
  return {.experiment = experiment.name(),
          .model = experiment.model().name(),
          .algorithm = DescribeAlgorithm(experiment.algorithm()),
          .parameters = legs.front().layout.size(),
          .seed = experiment.seed(),
          .rounds = experiment.federation().rounds(),
          .clients = partition.clients(),
          .holdout_clients = partition.holdout_clients(),
          .cohort = experiment.federation().cohort(),
          .out = out.string(),
          .compression = DescribeCompression(experiment),
          .classification = experiment.data().tasks().name() != "regression",
          .shots_of = ShotsOf(experiment.data().tasks()),
          .robust_aggregation = RobustAggregationOf(experiment)};
}

int FinishRun(const RunSummary& summary, bool json) {
  if (json) {
    nlohmann::json baselines = nlohmann::json::array();
    for (const MethodSummary& baseline : summary.baselines)
      baselines.push_back(MethodJson(baseline));
    nlohmann::json object = {{"status", RunStatusName(summary.status)},
                             {"reason", summary.reason},
                             {"rounds", summary.rounds},
                             {"parameters", summary.parameters},
                             {"wall_s", summary.wall_s},
                             {"reports", summary.reports},
                             {"dropped", summary.dropped},
                             {"main", MethodJson(summary.main)},
                             {"baselines", baselines}};
    if (summary.privacy && summary.privacy->epsilon) {
      object["epsilon"] = *summary.privacy->epsilon;
    }
    std::printf("%s\n", object.dump().c_str());
  }
  if (summary.status == RunStatus::kCompleted) return 0;
  std::fprintf(stderr, "fedmeta: %s: %s\n", RunStatusName(summary.status).c_str(),
               summary.reason.c_str());
  if (summary.status == RunStatus::kBudgetSpent) return 3;
  const bool lacks_sites =
      summary.status == RunStatus::kFailed || summary.status == RunStatus::kPaused;
  return lacks_sites ? 4 : 130;
}

}  // namespace fedmeta

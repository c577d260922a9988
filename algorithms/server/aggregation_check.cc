#include "fedmeta/algorithms/server/aggregation_check.h"

#include <string>

namespace fedmeta {
namespace {

constexpr char kMode[] = "privacy.secure_aggregation.mode";

Error Refused(const std::string& what) { return {ErrorCode::kInvalidArgument, what}; }

}  // namespace

Status CheckAggregation(const ServerRegistry& registry, const v1::Experiment& experiment) {
  const v1::Plugin& choice = experiment.server().aggregation();
  // Any layout will do: it is asked what it needs, and adds nothing up.
  FEDMETA_ASSIGN_OR_RETURN(
      const StateLayout layout,
      StateLayout::Create({{.name = "update", .tensors = {{.name = "one", .shape = {1}}}}}));
  FEDMETA_ASSIGN_OR_RETURN(const auto aggregator,
                           MakeAggregator(registry, choice, {.layout = &layout}));
  const std::string& mode = experiment.privacy().secure_aggregation().mode();
  const bool individual = aggregator->NeedsIndividualUpdates();
  if (individual && mode != "plain_robust") {
    return Refused("server.aggregation.name " + choice.name() +
                   " looks at the update of each client, which sites have to allow: it needs " +
                   kMode + " plain_robust, got " + mode);
  }
  if (!individual && mode == "plain_robust") {
    return Refused(std::string(kMode) +
                   " plain_robust needs an aggregation that looks at each update, got " +
                   choice.name() + ": nearest is mode plain");
  }
  const v1::Federation& federation = experiment.federation();
  const std::size_t minimum =
      federation.has_minimum_cohort() ? federation.minimum_cohort() : federation.cohort();
  const std::size_t fewest = aggregator->fewest();
  if (minimum < fewest) {
    return Refused("federation.minimum_cohort must be >= " + std::to_string(fewest) +
                   ", the fewest updates for which server.aggregation " + choice.name() +
                   " with these settings holds, got " + std::to_string(minimum) + " < " +
                   std::to_string(fewest) + ": nearest is " +
                   (federation.cohort() < fewest ? "cohort and " : "") + "minimum_cohort " +
                   std::to_string(fewest));
  }
  return {};
}

}  // namespace fedmeta

#include "fedmeta/cli/run_description.h"

#include <nlohmann/json.hpp>

#include "fedmeta/configs/differences.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"

namespace fedmeta {
namespace {

bool HasSchedule(const std::string& experiment) {
  constexpr std::string_view kKey = "learning_rate_schedule: ";
  const std::size_t at = experiment.find(kKey);
  return at != std::string::npos && !experiment.substr(at + kKey.size()).starts_with("constant");
}

/// Why this difference is refused; nothing: it is not.
std::optional<std::string> WhyRefused(const KeyDifference& difference, bool has_schedule) {
  if (!difference.changeable) return "";
  if (difference.path != "federation.rounds") return std::nullopt;
  if (std::stoull(difference.after) < std::stoull(difference.before)) return " (only more)";
  if (has_schedule) return " (the learning-rate schedule is laid over all rounds)";
  return std::nullopt;
}

}  // namespace

std::string InitialStateHex(std::span<const Leg> legs) {
  DigestBuilder digest;
  for (const Leg& leg : legs) digest.Add(AsBytes(std::span<const float>(leg.initial_state)));
  return digest.Finish().hex();
}

Result<std::optional<RunDescription>> ReadDescription(RoundStore& store, const ExperimentId& run) {
  FEDMETA_ASSIGN_OR_RETURN(const std::optional<std::string> text, store.Description(run));
  if (!text) return std::optional<RunDescription>();
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return Error(ErrorCode::kDataLoss,
                 "store: the description of run " + run.value() + " is damaged: restore a backup");
  }
  return std::optional(RunDescription{.experiment = json.value("experiment", ""),
                                      .initial_state = json.value("initial_state", ""),
                                      .data = json.value("data", ""),
                                      .out = json.value("out", "")});
}

Status WriteDescription(RoundStore& store, const Lease& lease, const RunDescription& description) {
  const nlohmann::json json = {{"experiment", description.experiment},
                               {"initial_state", description.initial_state},
                               {"data", description.data},
                               {"out", description.out.string()}};
  return store.Describe(lease, json.dump());
}

Status CheckResumable(const RunDescription& before, const RunDescription& now,
                      const PluginTables& tables) {
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<KeyDifference> differences,
                           Differences(before.experiment, now.experiment, tables));
  const bool has_schedule = HasSchedule(before.experiment);
  std::string refused;
  for (const KeyDifference& difference : differences) {
    const std::optional<std::string> why = WhyRefused(difference, has_schedule);
    if (!why) continue;
    refused += "\n  " + difference.path + ": was " +
               (difference.before.empty() ? "absent" : difference.before) + ", now " +
               (difference.after.empty() ? "absent" : difference.after) + *why;
  }
  if (before.data != now.data) refused += "\n  the data: another fingerprint than before";
  if (before.initial_state != now.initial_state && refused.empty()) {
    refused += "\n  the initial state: model.initial or the initial_state file has changed";
  }
  if (refused.empty()) return {};
  return Error(ErrorCode::kInvalidArgument,
               "the run cannot go on with another experiment; changed since it began:" + refused +
                   "\nchange these back, or begin a new run in another folder");
}

}  // namespace fedmeta

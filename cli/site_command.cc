#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fedmeta/cli/commands.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/core/text.h"
#include "fedmeta/site/control_socket.h"

namespace fedmeta {
namespace {

using nlohmann::json;

struct SiteArguments {
  std::string client = "/etc/fedmeta/client.yaml";
  std::string experiment, note;
  bool json = false;
};

std::string Text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}
std::uint64_t Number(const json& object, const char* key) {
  return object.value(key, std::uint64_t{0});
}

/// "waiting: policy.approve, somebody at the site has to approve it".
std::string StatusText(const json& experiment) {
  std::string text = Text(experiment, "status");
  if (!Text(experiment, "rule").empty())
    text += ": " + Text(experiment, "rule") + ", " + Text(experiment, "reason");
  if (!experiment.value("offered_now", false)) text += " (not offered at present)";
  return text;
}

void PrintExperiment(const json& experiment) {
  std::printf("%.16s  %-24s %s\n", Text(experiment, "hash").c_str(),
              Text(experiment, "experiment").c_str(), StatusText(experiment).c_str());
}

void PrintPending(const json& answer) {
  if (answer.value("paused", false)) std::printf("this site pauses: `fedmeta site resume`\n");
  if (answer["experiments"].empty()) std::printf("nothing was offered to this site yet\n");
  for (const json& experiment : answer["experiments"]) PrintExperiment(experiment);
}

std::string PrivacyText(const json& privacy) {
  std::string text = privacy.value("secure_aggregation", false)
                         ? "secure aggregation: the coordinator sees sums of sites only"
                         : "none against the coordinator: it sees this site's updates";
  if (const std::string rule = Text(privacy, "robust_aggregation"); !rule.empty())
    text += ", and looks at each by " + rule;
  const json& noise = privacy["differential_privacy"];
  if (noise.is_object()) {
    text += "; differential privacy, " + Text(noise, "mode") + ", noise " +
            FormatNumber(noise.value("noise_multiplier", 0.0)) + " x clip " +
            FormatNumber(noise.value("clip", 0.0)) + ", delta " +
            FormatNumber(noise.value("delta", 0.0));
    if (noise.contains("assumed_colluders"))
      text += ", colluders assumed " + FormatNumber(noise.value("assumed_colluders", 0.0));
  } else {
    text += "; no differential privacy";
  }
  return text;
}

void PrintShown(const json& shown) {
  const auto line = [](const char* key, const std::string& value) {
    std::printf("%-12s %s\n", key, value.c_str());
  };
  line("experiment", Text(shown, "experiment"));
  line("hash", Text(shown, "hash"));
  line("status", StatusText(shown));
  line("signed by", shown.value("researcher", json()).is_string()
                        ? Text(shown, "researcher")
                        : "nobody who counts: " + Text(shown, "researcher_reason"));
  line("rounds", FormatCount(Number(shown, "rounds")) + " of each method, " +
                     FormatCount(Number(shown, "cohort")) + " sites asked, at least " +
                     FormatCount(Number(shown, "minimum_cohort")) + " in a round");
  std::vector<std::string> participants = shown["participants"];
  line("with", participants.empty() ? "whoever the coordinator lets in" : Join(participants, ", "));
  for (const json& leg : shown["legs"]) {
    std::printf("\n%s\n", Text(leg, "name").c_str());
    line("  algorithm", Text(leg, "algorithm") + "   " + Text(leg, "algorithm_settings"));
    line("  model", Text(leg, "model") + ", " + FormatCount(Number(leg, "numbers")) + " numbers, " +
                        FormatBytes(Number(leg, "bytes")) + "   " + Text(leg, "model_settings"));
    line("  data", Text(leg, "data") + ", as " + Text(leg, "role"));
    for (const json& leaves : leg["leaves"]) line("  leaves", leaves);
    line("  privacy", PrivacyText(leg["privacy"]));
  }
}

void PrintLedger(const json& ledger) {
  if (ledger["outbound"].empty()) std::printf("nothing has left this site\n");
  for (const json& sum : ledger["outbound"]) {
    std::printf("%-24s %-10s %8s %12s   %s to %s\n", Text(sum, "experiment").c_str(),
                Text(sum, "kind").c_str(), FormatCount(Number(sum, "count")).c_str(),
                FormatBytes(Number(sum, "bytes")).c_str(), Text(sum, "first").c_str(),
                Text(sum, "last").c_str());
  }
  std::printf("privacy charges: %zu\n", ledger["privacy"].size());
  for (const json& charge : ledger["privacy"]) std::printf("  %s\n", charge.dump().c_str());
}

Result<json> Ask(const PluginTables& schema, const SiteArguments& arguments,
                 const std::string& command) {
  FEDMETA_ASSIGN_OR_RETURN(const auto config, Loader(schema).LoadClient(arguments.client));
  const json request = {
      {"command", command}, {"experiment", arguments.experiment}, {"note", arguments.note}};
  FEDMETA_ASSIGN_OR_RETURN(const std::string line,
                           AskSite(ControlSocketPath(config->state_dir()),
                                   request.dump(-1, ' ', false, json::error_handler_t::replace)));
  json answer = json::parse(line, nullptr, false);
  if (!answer.is_object())
    return Error(ErrorCode::kInternal, "the client's answer is no JSON object");
  if (answer.contains("error")) {
    return Error(ErrorCodeFromName(Text(answer["error"], "code")),
                 Text(answer["error"], "message"));
  }
  return answer;
}

using Run = std::function<int()>;
using Print = void (*)(const json&);

/// What an action of `fedmeta site` is and how its answer is shown.
struct Action {
  const char* name;
  const char* description;
  bool names_experiment;
  Print print;
};
constexpr Action kActions[] = {
    {"pending", "Lists what was offered to this site and whether it runs here.", false,
     PrintPending},
    {"show", "Says what an experiment would do here: what runs, what leaves, how it is protected.",
     true, PrintShown},
    {"approve", "Lets an experiment run here, exactly as it is shown.", true, PrintExperiment},
    {"reject", "Keeps an experiment from running here.", true, PrintExperiment},
    {"pause", "Takes part in nothing, at once; what is computed is kept.", false, PrintPending},
    {"resume", "Takes part again.", false, PrintPending},
    {"leave", "Ends this site's part in an experiment for good; the client tells so and ends.",
     true, PrintExperiment},
    {"ledger", "Sums up what has left this site.", false, PrintLedger}};

Run SetUp(CLI::App& app, const PluginTables& schema, const Action& action) {
  CLI::App* sub = app.add_subcommand(action.name, action.description);
  sub->footer(std::string("Example:\n  fedmeta site ") + action.name +
              (action.names_experiment ? " heart" : "") + " --client /etc/fedmeta/client.yaml");
  const auto arguments = std::make_shared<SiteArguments>();
  if (action.names_experiment) {
    sub->add_option("experiment", arguments->experiment,
                    "Its name, or the beginning of its hash; default: the one offered now");
    if (action.print == PrintExperiment)
      sub->add_option("--note", arguments->note, "Kept with the decision");
  }
  sub->add_option("--client", arguments->client, "The client's file")->capture_default_str();
  sub->add_flag("--json", arguments->json, "As one JSON object");
  return [arguments, schema, action] {
    const Result<json> answer = Ask(schema, *arguments, action.name);
    if (!answer.ok()) return ReportError(answer.error(), arguments->json);
    if (arguments->json) {
      std::printf("%s\n", answer->dump().c_str());
    } else {
      action.print(*answer);
    }
    return 0;
  };
}

}  // namespace

Command SiteCommand(const PluginTables& schema) {
  return {
      .name = "site",
      .description = "A site's control over what it takes part in; needs no coordinator.",
      .example = "fedmeta site pending\n  fedmeta site show heart\n  fedmeta site approve heart",
      .setup = [schema](CLI::App& app) -> Run {
        app.require_subcommand(1);
        std::vector<std::pair<std::string, Run>> runs;
        for (const Action& action : kActions)
          runs.emplace_back(action.name, SetUp(app, schema, action));
        return [&app, runs] {
          for (const auto& [name, run] : runs) {
            if (app.got_subcommand(name)) return run();
          }
          return 2;
        };
      }};
}

}  // namespace fedmeta

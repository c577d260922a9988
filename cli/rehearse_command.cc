#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <vector>

#include "fedmeta/cli/check_table.h"
#include "fedmeta/cli/learn_commands.h"
#include "fedmeta/cli/machine_facts.h"
#include "fedmeta/client/data/table_builder.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/dictionary.h"
#include "fedmeta/simulator/rehearsal.h"

namespace fedmeta {
namespace {

using Json = Findings::Json;

struct RehearseArguments {
  std::string client, experiment, out;
  std::vector<std::string> overrides;
  std::uint64_t rounds = 1;
  bool json = false;
};

/// What this site has for the experiment.
struct SiteRows {
  OpenedSource source, read;
  std::string role;
  Json json;
  std::string text;
};

Result<SiteRows> ReadSite(const LearnProgram& program, const v1::ClientFile& client,
                          const std::string& file, const v1::Experiment& experiment) {
  const std::string& name = experiment.data().name();
  const auto data = client.data().find(name);
  if (data == client.data().end()) {
    return Error(ErrorCode::kInvalidArgument, file + ": the experiment learns from data '" + name +
                                                  "', which this file does not name: add data." +
                                                  name);
  }
  SiteRows site;
  site.role = data->second.role();
  FEDMETA_ASSIGN_OR_RETURN(site.source,
                           OpenSite(program.registries.data, data->second, client.resources()));
  const v1::Dictionary dictionary = DictionaryOf(experiment.data());
  if (!site.source.table) {
    FEDMETA_ASSIGN_OR_RETURN(site.read, ReadTable(site.source, dictionary));
    const std::size_t rows = site.read.dataset ? site.read.dataset->size() : 0;
    site.text = ShownCount(rows) + " rows";
    site.json = {{"rows", ShownCount(rows)}};
    return site;
  }
  FEDMETA_ASSIGN_OR_RETURN(BuiltTable built, BuildTable(*site.source.table, dictionary));
  if (!built.dataset) {
    return Error(ErrorCode::kInvalidArgument,
                 "data." + name + ": " + Join(built.report.problems, "; "));
  }
  site.text = TableText(built.report);
  site.json = TableJson(built.report);
  site.read = TableAsSource(std::move(built.dataset));
  return site;
}

std::uint64_t PeakMemory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  constexpr std::uint64_t kKibibyte = 1024;
  return static_cast<std::uint64_t>(usage.ru_maxrss) * kKibibyte;
}

Json AsJson(const RehearsalResult& result, const SiteRows& site, const v1::Experiment& experiment) {
  Json rounds = Json::array();
  for (const auto& [leg, seconds] : result.rounds)
    rounds.push_back({{"leg", leg}, {"wall_s", seconds}});
  Json fields = Json::array();
  for (const OutboundField& field : result.fields) {
    fields.push_back({{"kind", field.kind},
                      {"name", field.name},
                      {"bytes", field.bytes},
                      {"times", field.times}});
  }
  return {{"experiment", experiment.name()},
          {"role", site.role},
          {"cohort", "this site alone, as a training site; nobody else took part"},
          {"masked", false},
          {"data", site.json},
          {"wall_s", result.seconds},
          {"rounds", std::move(rounds)},
          {"peak_memory_bytes", PeakMemory()},
          {"bytes_up", result.bytes_up},
          {"bytes_down", result.bytes_down},
          {"fields", std::move(fields)}};
}

void Print(const RehearsalResult& result, const SiteRows& site, const v1::Experiment& experiment) {
  double round = 0;
  for (const auto& [leg, seconds] : result.rounds) round = std::max(round, seconds);
  std::printf(
      "rehearsal of %s with this site's data, on this machine alone\n"
      "  cohort   this site, as a training site; nobody else took part, nothing left, nothing was "
      "masked or noised\n"
      "  data     %s\n"
      "  time     %.1f s in all, a training round %.2f s at most\n"
      "  memory   %s at most\n"
      "  traffic  %s up, %s down, without framing\n",
      experiment.name().c_str(), site.text.c_str(), result.seconds, round,
      FormatBytes(PeakMemory()).c_str(), FormatBytes(result.bytes_up).c_str(),
      FormatBytes(result.bytes_down).c_str());
  if (site.role != "train") {
    std::printf("  role     %s: live, this site sends no update and no training figures\n",
                site.role.c_str());
  }
  std::printf("what would leave: every field of what the client sent\n  %-12s %-52s %10s %6s\n",
              "kind", "name", "bytes", "times");
  for (const OutboundField& field : result.fields) {
    std::printf("  %-12s %-52s %10llu %6llu\n", field.kind.c_str(), field.name.c_str(),
                static_cast<unsigned long long>(field.bytes),
                static_cast<unsigned long long>(field.times));
  }
}

Status RehearseSite(const LearnProgram& program, const RehearseArguments& arguments) {
  const Loader loader(program.schema);
  FEDMETA_ASSIGN_OR_RETURN(const auto client, loader.LoadClient(arguments.client));
  FEDMETA_ASSIGN_OR_RETURN(const auto experiment,
                           loader.LoadExperiment(arguments.experiment, arguments.overrides));
  WarnOfSlowBlas();
  FEDMETA_ASSIGN_OR_RETURN(SiteRows site,
                           ReadSite(program, *client, arguments.client, *experiment));
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(arguments.out));
  // The client's own figures hold exact counts: they are not kept.
  const std::filesystem::path state = std::filesystem::path(arguments.out) / "state";
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(state, 0700));
  const Result<RehearsalResult> result =
      Rehearse({.experiment = *experiment,
                .rounds = arguments.rounds,
                .registries = program.registries,
                .server = program.server,
                .site = std::filesystem::path(arguments.client).stem().string(),
                .source = site.source,
                .read = std::move(site.read),
                .threads = client->resources().threads(),
                .state_dir = state});
  std::error_code ignored;
  std::filesystem::remove_all(state, ignored);
  if (!result.ok()) return result.error().WithContext("data." + experiment->data().name());
  const Json json = AsJson(*result, site, *experiment);
  FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(
      std::filesystem::path(arguments.out) / "rehearsal.json", json.dump(2) + "\n"));
  if (arguments.json) {
    std::printf("%s\n", json.dump().c_str());
  } else {
    Print(*result, site, *experiment);
    std::printf("wrote %s/rehearsal.json\n", arguments.out.c_str());
  }
  return {};
}

}  // namespace

Command RehearseCommand(const LearnProgram& program) {
  return {.name = "rehearse",
          .description =
              "Run an experiment's rounds with this site's data against a coordinator in "
              "the same process: time, memory, and every field that would leave.",
          .example = "fedmeta rehearse client.yaml experiment.yaml --out rehearsal",
          .setup = [program](CLI::App& app) -> std::function<int()> {
            const auto arguments = std::make_shared<RehearseArguments>();
            app.add_option("client", arguments->client, "CLIENT.yaml")->required();
            app.add_option("experiment", arguments->experiment, "EXPERIMENT.yaml")->required();
            app.add_option("overrides", arguments->overrides, "key.path=value ...");
            app.add_option("--out", arguments->out, "Folder for rehearsal.json")->required();
            app.add_option("--rounds", arguments->rounds, "Training rounds of each method")
                ->capture_default_str()
                ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}));
            app.add_flag("--json", arguments->json, "Print rehearsal.json");
            return [program, arguments] {
              const Status status = RehearseSite(program, *arguments);
              return status.ok() ? 0 : ReportError(status.error(), arguments->json);
            };
          }};
}

}  // namespace fedmeta

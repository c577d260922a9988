#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include "fedmeta/cli/adapt_records.h"
#include "fedmeta/cli/learn_commands.h"
#include "fedmeta/cli/machine_facts.h"
#include "fedmeta/cli/model_card.h"
#include "fedmeta/client/adapt.h"
#include "fedmeta/client/data/table_builder.h"
#include "fedmeta/client/trainer.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/text.h"
#include "fedmeta/records/load_script.h"
#include "fedmeta/records/safetensors.h"

namespace fedmeta {
namespace {

struct AdaptArguments {
  std::string model, data, out;
  AdaptRequest request;
  std::uint32_t steps = 0;
  bool has_steps = false, no_calibration = false, json = false;
};

// The model to adapt first, then a run's baselines for comparison.
Result<std::vector<std::filesystem::path>> FindModels(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return std::vector{path};
  const std::filesystem::path checkpoints = path / "checkpoints";
  for (const char* name : {"best.safetensors", "final.safetensors"}) {
    if (!std::filesystem::exists(checkpoints / name)) continue;
    std::vector<std::filesystem::path> models = {checkpoints / name};
    std::vector<std::filesystem::path> baselines;
    for (const auto& entry : std::filesystem::directory_iterator(checkpoints)) {
      if (entry.path().filename().string().starts_with("baseline-"))
        baselines.push_back(entry.path());
    }
    std::sort(baselines.begin(), baselines.end());
    models.insert(models.end(), baselines.begin(), baselines.end());
    return models;
  }
  return Error(ErrorCode::kNotFound,
               path.string() +
                   " holds no checkpoints/best.safetensors: is it the folder of a finished run?");
}

// The assignment with the outputs of the adapted model, which may have a new head: load.py builds
// the network from it.
Result<std::string> AssignmentJson(v1::Assignment assignment, const AdaptedSite& site) {
  assignment.set_outputs(static_cast<std::uint32_t>(site.outputs));
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(assignment, &json).ok()) {
    return Error(ErrorCode::kInternal,
                 "the assignment has no JSON form: a plug-in's settings are not linked in");
  }
  return json;
}

Status WriteAdapted(const std::filesystem::path& out, const AdaptedSite& site,
                    const nlohmann::json& figures, const std::string& assignment_json,
                    const std::string& card) {
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(out));
  SafeTensors content;
  content.metadata = {{"method", site.method},
                      {"assignment", assignment_json},
                      {"adapted_steps", std::to_string(site.chosen.steps)},
                      {"adapted_learning_rate", FormatNumber(site.chosen.learning_rate)},
                      {"temperature", FormatNumber(site.calibration.temperature)},
                      {"intercepts", nlohmann::json(site.calibration.intercepts).dump()},
                      {"codes", nlohmann::json(site.codes).dump()}};
  std::size_t at = 0;
  for (const TensorSpec& tensor : site.tensors) {
    FEDMETA_ASSIGN_OR_RETURN(const std::size_t count, ElementCount(tensor.shape));
    content.tensors.push_back(
        {.name = tensor.name,
         .shape = tensor.shape,
         .values = {site.parameters.begin() + static_cast<std::ptrdiff_t>(at),
                    site.parameters.begin() + static_cast<std::ptrdiff_t>(at + count)}});
    at += count;
  }
  FEDMETA_RETURN_IF_ERROR(WriteSafeTensors(out / "state_dict.safetensors", content));
  FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(out / "model.pt", site.scorer));
  FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(out / "adapt.json", figures.dump(2) + "\n"));
  FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(out / "model_card.md", card));
  return WriteFileAtomically(out / "load.py", LoadScript(), 0755);
}

/// The site's data as models of one dictionary see it, read once.
struct SiteData {
  std::string dictionary;
  OpenedSource source;
  std::optional<TableReport> report;
};

Result<SiteData> ReadSite(const LearnProgram& program, const v1::ClientFile& client,
                          const std::string& file, const v1::Assignment& assignment) {
  const auto data = client.data().find(assignment.data());
  if (data == client.data().end()) {
    return Error(ErrorCode::kInvalidArgument,
                 file + ": the model learned from data '" + assignment.data() +
                     "', which this file does not name: add data." + assignment.data());
  }
  SiteData site{
      .dictionary = assignment.dictionary().SerializeAsString(), .source = {}, .report = {}};
  FEDMETA_ASSIGN_OR_RETURN(site.source,
                           OpenSite(program.registries.data, data->second, client.resources()));
  if (site.source.table && !assignment.dictionary().features().empty()) {
    FEDMETA_ASSIGN_OR_RETURN(BuiltTable built,
                             BuildTable(*site.source.table, assignment.dictionary()));
    if (!built.dataset) {
      return Error(ErrorCode::kInvalidArgument,
                   "data." + assignment.data() + ": " + Join(built.report.problems, "; "));
    }
    site.source = TableAsSource(std::move(built.dataset));
    site.report = std::move(built.report);
  } else {
    FEDMETA_ASSIGN_OR_RETURN(site.source,
                             ReadTable(std::move(site.source), assignment.dictionary()));
  }
  return site;
}

Status Adapt(const LearnProgram& program, AdaptArguments arguments) {
  if (arguments.has_steps) arguments.request.steps = arguments.steps;
  arguments.request.calibrate = !arguments.no_calibration;
  FEDMETA_ASSIGN_OR_RETURN(const auto config, Loader(program.schema).LoadClient(arguments.data));
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> files,
                           FindModels(arguments.model));
  WarnOfSlowBlas();
  const std::unique_ptr<WorkerPool> pool = MakeLearningPool(config->resources().threads());
  // Streams take the site's name: the folder of its file stands in where it has no certificate yet.
  const std::string site_name =
      std::filesystem::absolute(arguments.data).parent_path().filename().string();
  std::optional<SiteData> data;
  std::vector<AdaptedSite> sites;
  std::optional<TrainedModel> main;
  for (const std::filesystem::path& file : files) {
    FEDMETA_ASSIGN_OR_RETURN(TrainedModel model, LoadTrainedModel(file));
    if (!data || data->dictionary != model.assignment.dictionary().SerializeAsString()) {
      FEDMETA_ASSIGN_OR_RETURN(data, ReadSite(program, *config, arguments.data, model.assignment));
    }
    if (!arguments.json) std::fprintf(stderr, "adapting %s ...\n", file.filename().c_str());
    FEDMETA_ASSIGN_OR_RETURN(AdaptedSite site, AdaptToSite(model, program.registries, data->source,
                                                           site_name, arguments.request, *pool));
    sites.push_back(std::move(site));
    if (!main) main = std::move(model);
  }
  nlohmann::json figures = AdaptedJson(sites.front());
  figures["comparison"] = nlohmann::json::array();
  for (std::size_t i = 1; i < sites.size(); ++i)
    figures["comparison"].push_back(AdaptedJson(sites[i]));
  FEDMETA_ASSIGN_OR_RETURN(const std::string assignment,
                           AssignmentJson(main->assignment, sites.front()));
  const std::string card = ModelCard({.sites = sites,
                                      .model = *main,
                                      .report = data->report ? &*data->report : nullptr,
                                      .libtorch = LibTorchVersion()});
  FEDMETA_RETURN_IF_ERROR(WriteAdapted(arguments.out, sites.front(), figures, assignment, card));
  if (arguments.json) {
    std::printf("%s\n", figures.dump().c_str());
  } else {
    std::fputs(AdaptedText(sites).c_str(), stdout);
    std::printf("wrote %s (model.pt, state_dict.safetensors, load.py, model_card.md, adapt.json)\n",
                arguments.out.c_str());
  }
  return {};
}

}  // namespace

Command AdaptCommand(const LearnProgram& program) {
  return {.name = "adapt",
          .description =
              "Adapt a trained model to one site's data; says how much better that makes it, and "
              "writes it for PyTorch.",
          .example =
              "fedmeta adapt --model runs/first --data site-5/client.yaml --shots 1 --out adapted",
          .setup = [program](CLI::App& app) -> std::function<int()> {
            const auto arguments = std::make_shared<AdaptArguments>();
            app.add_option(
                   "--model", arguments->model,
                   "Run folder or checkpoint; of a folder also its baselines, for comparison")
                ->required();
            app.add_option("--data", arguments->data, "CLIENT.yaml")->required();
            app.add_option("--out", arguments->out, "Folder for the adapted model")->required();
            CLI::Option* steps = app.add_option("--steps", arguments->steps,
                                                "Adaptation steps (default: chosen on validation "
                                                "rows or by cross-validation, or as tuned "
                                                "with the model)");
            app.add_option("--shots", arguments->request.shots,
                           "Support examples a class (default: the experiment's)");
            app.add_option("--episodes", arguments->request.episodes,
                           "Tasks drawn from the site's rows for the figures")
                ->capture_default_str()
                ->check(CLI::Range(1U, 100000U));
            app.add_flag("--no-calibration", arguments->no_calibration,
                         "Leave a classifier's probabilities as they are");
            app.add_flag("--json", arguments->json, "Print the figures as JSON");
            return [program, arguments, steps] {
              arguments->has_steps = steps->count() > 0;
              const Status status = Adapt(program, *arguments);
              return status.ok() ? 0 : ReportError(status.error(), arguments->json);
            };
          }};
}

}  // namespace fedmeta

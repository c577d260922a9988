#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include "fedmeta/cli/learn_commands.h"
#include "fedmeta/cli/machine_facts.h"
#include "fedmeta/client/adapt.h"
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
  bool has_steps = false, json = false;
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

nlohmann::json FigureJson(const AdaptFigure& figure, bool classifies) {
  nlohmann::json object = {{"steps", figure.steps},         {"learning_rate", figure.learning_rate},
                           {"loss", figure.loss},           {"loss_low", figure.loss_low},
                           {"loss_high", figure.loss_high}, {"diverged", figure.diverged}};
  if (classifies) {
    object["accuracy"] = figure.accuracy;
    object["accuracy_low"] = figure.accuracy_low;
    object["accuracy_high"] = figure.accuracy_high;
  }
  return object;
}

nlohmann::json SiteJson(const AdaptedSite& site) {
  nlohmann::json figures = nlohmann::json::array();
  for (const AdaptFigure& figure : site.figures)
    figures.push_back(FigureJson(figure, site.classifies));
  return {{"method", site.method},
          {"shots", site.shots},
          {"episodes", site.episodes},
          {"figures", figures},
          {"chosen", FigureJson(site.chosen, site.classifies)},
          {"choice", site.choice}};
}

std::string Describe(const std::string& method) {
  if (method == "local") return "alone, from scratch";
  if (method == "fedavg") return "FedAvg, then adapted";
  return "fedmeta (" + method + ")";
}

std::string Number(double accuracy, double loss, bool classifies) {
  char text[32];
  std::snprintf(text, sizeof(text), classifies ? "%8.1f" : "%8.3f",
                classifies ? 100 * accuracy : loss);
  return text;
}

// Methods as rows, steps as columns, the chosen setting last with its interval.
void PrintTable(const std::vector<AdaptedSite>& sites) {
  const AdaptedSite& main = sites.front();
  std::printf("%-24s", main.classifies ? "accuracy after" : "loss after");
  for (const AdaptFigure& figure : main.figures) {
    const std::string heading =
        figure.steps == 1 ? "1 step"
                          : std::to_string(figure.steps) + (figure.steps == 0 ? " steps" : "");
    std::printf("%8s", heading.c_str());
  }
  std::printf("   tuned (95 %% interval)\n");
  for (std::size_t i = sites.size(); i-- > 0;) {
    const AdaptedSite& site = sites[i];
    std::printf("%-24s", Describe(site.method).c_str());
    for (const AdaptFigure& column : main.figures) {
      const auto found =
          std::find_if(site.figures.begin(), site.figures.end(),
                       [&](const AdaptFigure& f) { return f.steps == column.steps; });
      std::printf("%s", found == site.figures.end()
                            ? "       -"
                            : Number(found->accuracy, found->loss, site.classifies).c_str());
    }
    const AdaptFigure& c = site.chosen;
    std::printf("%s (%s to%s)\n", Number(c.accuracy, c.loss, site.classifies).c_str(),
                Number(c.accuracy_low, c.loss_low, site.classifies).c_str() + 3,
                Number(c.accuracy_high, c.loss_high, site.classifies).c_str() + 2);
  }
  std::printf("%s: %u %s at rate %s, %s\n", Describe(main.method).c_str(), main.chosen.steps,
              main.chosen.steps == 1 ? "step" : "steps",
              FormatNumber(main.chosen.learning_rate).c_str(), main.choice.c_str());
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
                    const nlohmann::json& figures, const std::string& assignment_json) {
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(out));
  SafeTensors content;
  content.metadata = {{"method", site.method},
                      {"assignment", assignment_json},
                      {"adapted_steps", std::to_string(site.chosen.steps)},
                      {"adapted_learning_rate", FormatNumber(site.chosen.learning_rate)},
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
  FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(out / "adapt.json", figures.dump(2) + "\n"));
  return WriteFileAtomically(out / "load.py", LoadScript(), 0755);
}

Status Adapt(const LearnProgram& program, AdaptArguments arguments) {
  if (arguments.has_steps) arguments.request.steps = arguments.steps;
  FEDMETA_ASSIGN_OR_RETURN(const auto config, Loader(program.schema).LoadClient(arguments.data));
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> files,
                           FindModels(arguments.model));
  WarnOfSlowBlas();
  const std::unique_ptr<WorkerPool> pool = MakeLearningPool(config->resources().threads());
  // Streams take the site's name: the folder of its file stands in where it has no certificate yet.
  const std::string site_name =
      std::filesystem::absolute(arguments.data).parent_path().filename().string();
  std::optional<SiteSource> source;
  std::vector<AdaptedSite> sites;
  std::optional<TrainedModel> main;
  for (const std::filesystem::path& file : files) {
    FEDMETA_ASSIGN_OR_RETURN(TrainedModel model, LoadTrainedModel(file));
    const auto data = config->data().find(model.assignment.data());
    if (data == config->data().end()) {
      return Error(ErrorCode::kInvalidArgument,
                   arguments.data + ": the model learned from data '" + model.assignment.data() +
                       "', which this file does not name: add data." + model.assignment.data());
    }
    if (!source) {
      FEDMETA_ASSIGN_OR_RETURN(OpenedSource opened, OpenSite(program.registries.data, data->second,
                                                             config->resources()));
      source = SiteSource{.source = std::move(opened), .role = v1::ROLE_HOLDOUT};
    }
    if (!arguments.json) std::fprintf(stderr, "adapting %s ...\n", file.filename().c_str());
    FEDMETA_ASSIGN_OR_RETURN(AdaptedSite site, AdaptToSite(model, program.registries, *source,
                                                           site_name, arguments.request, *pool));
    sites.push_back(std::move(site));
    if (!main) main = std::move(model);
  }
  nlohmann::json figures = SiteJson(sites.front());
  figures["comparison"] = nlohmann::json::array();
  for (std::size_t i = 1; i < sites.size(); ++i)
    figures["comparison"].push_back(SiteJson(sites[i]));
  FEDMETA_ASSIGN_OR_RETURN(const std::string assignment,
                           AssignmentJson(main->assignment, sites.front()));
  FEDMETA_RETURN_IF_ERROR(WriteAdapted(arguments.out, sites.front(), figures, assignment));
  if (arguments.json) {
    std::printf("%s\n", figures.dump().c_str());
  } else {
    PrintTable(sites);
    std::printf("wrote %s (state_dict.safetensors, load.py, adapt.json)\n", arguments.out.c_str());
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
            CLI::Option* steps = app.add_option(
                "--steps", arguments->steps,
                "Adaptation steps (default: chosen on validation, or tuned with the model)");
            app.add_option("--shots", arguments->request.shots,
                           "Support examples a class (default: the experiment's)");
            app.add_option("--episodes", arguments->request.episodes,
                           "Tasks drawn from the site's rows for the figures")
                ->capture_default_str()
                ->check(CLI::Range(1U, 100000U));
            app.add_flag("--json", arguments->json, "Print the figures as JSON");
            return [program, arguments, steps] {
              arguments->has_steps = steps->count() > 0;
              const Status status = Adapt(program, *arguments);
              return status.ok() ? 0 : ReportError(status.error(), arguments->json);
            };
          }};
}

}  // namespace fedmeta

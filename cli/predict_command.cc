#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include "fedmeta/cli/learn_commands.h"
#include "fedmeta/client/data/table_report.h"
#include "fedmeta/client/predict.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/core/text.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

struct PredictArguments {
  std::string model, data, out, id;
  bool json = false;
};

Result<v1::Assignment> AssignmentOf(const Scorer& scorer, const std::string& model) {
  const nlohmann::json json = nlohmann::json::parse(scorer.description(), nullptr, false);
  v1::Assignment assignment;
  if (json.is_object() && json.contains("assignment") &&
      google::protobuf::util::JsonStringToMessage(json["assignment"].dump(), &assignment).ok()) {
    return assignment;
  }
  return Error(ErrorCode::kInvalidArgument,
               model +
                   " does not say which experiment it comes from; give a folder that "
                   "`fedmeta adapt` wrote");
}

Status Predict(const LearnProgram& program, const PredictArguments& arguments) {
  std::filesystem::path file = arguments.model;
  if (std::filesystem::is_directory(file)) file /= "model.pt";
  FEDMETA_ASSIGN_OR_RETURN(Scorer scorer, Scorer::Load(file));
  FEDMETA_ASSIGN_OR_RETURN(const v1::Assignment assignment, AssignmentOf(scorer, file.string()));
  FEDMETA_ASSIGN_OR_RETURN(const auto config, Loader(program.schema).LoadClient(arguments.data));
  const auto data = config->data().find(assignment.data());
  if (data == config->data().end()) {
    return Error(ErrorCode::kInvalidArgument,
                 arguments.data + ": the model learned from data '" + assignment.data() +
                     "', which this file does not name: add data." + assignment.data());
  }
  FEDMETA_ASSIGN_OR_RETURN(const OpenedSource source,
                           OpenSite(program.registries.data, data->second, config->resources()));
  const Result<PredictedRecords> predicted =
      PredictToCsv(scorer, source, assignment.dictionary(), arguments.id, arguments.out);
  if (!predicted.ok()) return predicted.error().WithContext("data." + assignment.data());
  const std::uint64_t without = predicted->rows - predicted->scored;
  const CountDisclosure shown(std::vector<std::uint64_t>{predicted->scored, without});
  if (arguments.json) {
    const nlohmann::json object = {{"rows", shown.Show(predicted->rows)},
                                   {"scored", shown.Show(predicted->scored)},
                                   {"not_scored", shown.Show(without)},
                                   {"out", arguments.out}};
    std::printf("%s\n", object.dump().c_str());
    return {};
  }
  std::printf("%s rows, %s scored, %s could not be scored (column problem says why)\nwrote %s\n",
              shown.Show(predicted->rows).c_str(), shown.Show(predicted->scored).c_str(),
              shown.Show(without).c_str(), arguments.out.c_str());
  return {};
}

}  // namespace

Command PredictCommand(const LearnProgram& program) {
  return {.name = "predict",
          .description = "Score records with an adapted model; nothing leaves this machine.",
          .example = "fedmeta predict --model adapted --data new.yaml --out scored.csv",
          .setup = [program](CLI::App& app) -> std::function<int()> {
            const auto arguments = std::make_shared<PredictArguments>();
            app.add_option("--model", arguments->model, "Folder that `fedmeta adapt` wrote")
                ->required();
            app.add_option("--data", arguments->data,
                           "CLIENT.yaml whose data section has the records; they need no label")
                ->required();
            app.add_option("--out", arguments->out, "CSV file to write")->required();
            app.add_option("--id", arguments->id,
                           "Column of the table to copy beside the scores (default: none)");
            app.add_flag("--json", arguments->json, "Print the counts as JSON");
            return [program, arguments] {
              const Status status = Predict(program, *arguments);
              return status.ok() ? 0 : ReportError(status.error(), arguments->json);
            };
          }};
}

}  // namespace fedmeta

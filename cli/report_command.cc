#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fedmeta/cli/commands.h"
#include "fedmeta/core/file.h"
#include "fedmeta/records/report.h"

namespace fedmeta {
namespace {

struct ReportOptions {
  std::vector<std::string> run_dirs;
  std::string out;
  bool json = false;
};

nlohmann::ordered_json ResultObject(const RunResult& result, const std::string& report) {
  const auto number = [](const std::optional<double>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
  };
  nlohmann::ordered_json object = {{"report", report},
                                   {"status", result.status},
                                   {"sentence", result.sentence},
                                   {"metric", result.metric}};
  if (result.value) {
    object["method"] = result.method;
    object["value"] = number(result.value);
    object["clients"] = result.clients;
    object["shots"] = result.shots;
    object["steps"] = result.steps;
  }
  if (result.baseline_value) {
    object["baseline"] = result.baseline;
    object["baseline_value"] = number(result.baseline_value);
    object["difference"] = number(result.difference);
    object["interval"] = {number(result.low), number(result.high)};
  }
  return object;
}

int RunReport(const ReportOptions& options) {
  if (options.run_dirs.size() > 1)
    return ReportError(
        Error(ErrorCode::kInvalidArgument,
              "report takes one run folder, got " + std::to_string(options.run_dirs.size()) +
                  ": comparing runs is not supported yet; call it once for each"),
        options.json);
  const std::filesystem::path run_dir = options.run_dirs.front();
  const std::filesystem::path out =
      options.out.empty() ? run_dir / "report.html" : std::filesystem::path(options.out);
  const Result<RunResult> result = ReadRunResult(run_dir);
  if (!result.ok()) return ReportError(result.error(), options.json);
  const Result<std::string> page = MakeReport(run_dir);
  if (!page.ok()) return ReportError(page.error(), options.json);
  if (const Status written = WriteFileAtomically(out, *page); !written.ok())
    return ReportError(written.error(), options.json);
  if (options.json) {
    std::printf("%s\n", ResultObject(*result, out.string()).dump().c_str());
  } else {
    std::printf("%s\n%s\n", out.c_str(), result->sentence.c_str());
  }
  return 0;
}

}  // namespace

Command ReportCommand() {
  return {.name = "report",
          .description = "Makes one self-contained HTML page of a run.",
          .example = "fedmeta report runs/fashion-maml-20261124T184152Z",
          .setup = [](CLI::App& app) -> std::function<int()> {
            const auto options = std::make_shared<ReportOptions>();
            app.add_option("RUN_DIR", options->run_dirs, "The folder of a run")->required();
            app.add_option("--out", options->out, "Where to write; default: RUN_DIR/report.html");
            app.add_flag("--json", options->json, "Print the result as JSON");
            return [options] { return RunReport(*options); };
          }};
}

}  // namespace fedmeta

#include <cstdio>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fedmeta/cli/commands.h"
#include "fedmeta/configs/explain.h"

namespace fedmeta {
namespace {

struct ExplainOptions {
  std::string key;
  bool json = false;
};

int RunExplain(const PluginTables& tables, const ExplainOptions& options) {
  const auto text = Explain(tables, options.key);
  if (!text.ok()) return ReportError(text.error(), options.json);
  if (options.json) {
    const nlohmann::ordered_json object = {{"key", options.key}, {"text", *text}};
    std::printf("%s\n", object.dump().c_str());
  } else {
    std::fputs(text->c_str(), stdout);
  }
  return 0;
}

}  // namespace

Command ExplainCommand(const PluginTables& tables) {
  return {.name = "explain",
          .description = "Show what the keys of the configuration files mean.",
          .example = "fedmeta explain evaluation.steps",
          .setup = [tables](CLI::App& app) -> std::function<int()> {
            const auto options = std::make_shared<ExplainOptions>();
            app.add_option("key", options->key,
                           "A key, a block, a plug-in or a plug-in's key; without it, every key");
            app.add_flag("--json", options->json, "Machine-readable result on stdout");
            return [tables, options] { return RunExplain(tables, *options); };
          }};
}

}  // namespace fedmeta

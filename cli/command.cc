#include "fedmeta/cli/command.h"

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fedmeta/core/text.h"
#include "fedmeta/protocol/version.h"

namespace fedmeta {

int ReportError(const Error& error, bool json) {
  std::fprintf(stderr, "fedmeta: %s\n", error.message().c_str());
  if (json) {
    const nlohmann::json object = {
        {"error", {{"code", ErrorCodeName(error.code())}, {"message", error.message()}}}};
    std::printf("%s\n", object.dump().c_str());
  }
  return ExitCode(error);
}

int RunCommands(int argc, char** argv, const std::string& program, const std::string& description,
                const std::vector<Command>& commands) {
  CLI::App app(description, program);
  app.set_version_flag("--version", std::string("fedmeta ") + kProgramVersion);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  std::function<int()> chosen;
  std::vector<std::string> names;
  for (const Command& command : commands) {
    names.push_back(command.name);
    CLI::App* sub = app.add_subcommand(command.name, command.description);
    sub->footer("Example:\n  " + command.example);
    const auto run = command.setup(*sub);
    sub->final_callback([&chosen, run] {
      if (!chosen) chosen = run;
    });
  }
  if (argc > 1 && argv[1][0] != '-' &&
      std::find(names.begin(), names.end(), argv[1]) == names.end()) {
    const auto nearest = NearestName(argv[1], names);
    return ReportError(Error(ErrorCode::kInvalidArgument,
                             std::string("there is no command '") + argv[1] + "'" +
                                 (nearest ? "; did you mean '" + *nearest + "'?" : "") + " See " +
                                 program + " --help."));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  return chosen ? chosen() : 2;
}

}  // namespace fedmeta

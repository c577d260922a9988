#include "fedmeta/cli/command.h"

#include <cstdio>
#include <optional>
#include <span>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fedmeta/core/text.h"
#include "fedmeta/protocol/version.h"
#include "fedmeta/transport/process_exit.h"

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

namespace {

// `kind`: "command", "pki action".
Error UnknownName(const std::string& kind, const std::string& name,
                  const std::vector<std::string>& known, const std::string& help) {
  const auto nearest = NearestName(name, known);
  return {ErrorCode::kInvalidArgument, "there is no " + kind + " '" + name + "'" +
                                           (nearest ? "; did you mean '" + *nearest + "'?" : ".") +
                                           " See " + help + " --help."};
}

// The error that CLI11 would give for an unknown name speaks of missing options instead.
std::optional<Error> UnknownCommand(std::span<char* const> arguments, const CLI::App& app,
                                    const std::string& kind, const std::string& help) {
  if (arguments.empty() || arguments[0][0] == '-') return std::nullopt;
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (sub->get_name() == arguments[0]) {
      if (sub->get_require_subcommand_min() == 0) return std::nullopt;
      return UnknownCommand(arguments.subspan(1), *sub, sub->get_name() + " action",
                            help + " " + sub->get_name());
    }
    names.push_back(sub->get_name());
  }
  return UnknownName(kind, arguments[0], names, help);
}

}  // namespace

int RunCommands(int argc, char** argv, const std::string& program, const std::string& description,
                const std::vector<Command>& commands) {
  LeaveOpenSslRunningAtExit();
  CLI::App app(description, program);
  app.set_version_flag("--version", std::string("fedmeta ") + kProgramVersion);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  std::function<int()> chosen;
  for (const Command& command : commands) {
    CLI::App* sub = app.add_subcommand(command.name, command.description);
    sub->footer("Example:\n  " + command.example);
    const auto run = command.setup(*sub);
    sub->final_callback([&chosen, run] {
      if (!chosen) chosen = run;
    });
  }
  if (const auto unknown =
          UnknownCommand(std::span(argv, static_cast<std::size_t>(argc)).subspan(argc > 0 ? 1 : 0),
                         app, "command", program)) {
    return ReportError(*unknown);
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

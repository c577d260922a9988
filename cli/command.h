#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// One subcommand of a program. `setup` declares its options and returns what runs it (an exit
/// code).
struct Command {
  std::string name;
  std::string description;  ///< one sentence
  std::string example;      ///< shown under --help
  std::function<std::function<int()>(CLI::App& app)> setup;
};

/// Parses the command line and runs the named subcommand. Unknown subcommands, and
/// unknown actions of a subcommand that has them: exit 2 with the nearest known one. `program`:
/// "fedmeta".
int RunCommands(int argc, char** argv, const std::string& program, const std::string& description,
                const std::vector<Command>& commands);

/// Prints the error to stderr ("fedmeta: message"; with json an object on stdout too) and returns
/// its exit code.
int ReportError(const Error& error, bool json = false);

}  // namespace fedmeta

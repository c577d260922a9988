#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fedmeta/cli/commands.h"

namespace fedmeta {

struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
};

/// `fedmeta check`, `fedmeta explain` and `fedmeta privacy` as a user calls them.
inline Outcome RunProgram(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "fedmeta");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const PluginTables tables = BuiltinPluginTables();
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.code = RunCommands(
      static_cast<int>(arguments.size()), argv.data(), "fedmeta", "Test.",
      {CheckCommand(tables, BuiltinData()), ExplainCommand(tables), PrivacyCommand(tables)});
  outcome.out = ::testing::internal::GetCapturedStdout();
  outcome.err = ::testing::internal::GetCapturedStderr();
  return outcome;
}

}  // namespace fedmeta

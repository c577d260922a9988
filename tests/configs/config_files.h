#pragma once

#include <filesystem>
#include <fstream>
#include <stdlib.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fedmeta/configs/loader.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {

/// A small valid experiment; tests replace parts of it. Lines matter: problems are found by them.
inline constexpr const char* kExperiment = R"(name: waves
model: {name: mlp}
data:
  name: sinusoid
  source: {name: sinusoid}
  tasks: {name: regression, shots: 10}
  partition: {clients: 12, holdout_clients: 2}
algorithm: {name: maml, inner_learning_rate: 0.1}
federation:
  rounds: 20
  cohort: 5
)";

/// The same with episodes over images, for checks on classes and examples.
inline constexpr const char* kEpisodic = R"(name: images
model: {name: conv4}
data:
  name: images
  source: {name: idx, path: images}
  tasks: {name: episodic, ways: 5, shots: 5, queries: 15}
  partition: {scheme: classes, clients: 12, classes_per_client: 6, examples_per_class: 20}
algorithm: {name: maml}
federation: {rounds: 20, cohort: 5}
)";

/// `text` with its one occurrence of `from` replaced.
inline std::string With(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  EXPECT_EQ(text.find(from, at + 1), std::string::npos) << from << " stands twice";
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

inline Result<Validated<v1::Experiment>> Parse(const std::string& yaml,
                                               std::vector<std::string> overrides = {}) {
  return Loader(BuiltinPluginTables()).ParseExperiment(yaml, "e.yaml", overrides);
}

/// What is wrong with it, without the last line.
inline std::string Problems(const Error& error) {
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  return error.message().substr(0, error.message().rfind('\n'));
}
/// The same of what was loaded from `folder`, without the folder's name.
template <typename Loaded>
std::string ProblemsIn(const std::filesystem::path& folder, const Loaded& loaded) {
  if (loaded.ok()) return "no problem";
  std::string text = Problems(loaded.error());
  const std::string prefix = folder.string() + "/";
  for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
    text.erase(at, prefix.size());
  }
  return text;
}
inline std::string Problems(const std::string& yaml, std::vector<std::string> overrides = {}) {
  const auto result = Parse(yaml, std::move(overrides));
  return result.ok() ? "no problem" : Problems(result.error());
}

/// Sets or unsets an environment variable for the length of a test.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = ::getenv(name)) old_ = old;
    had_ = ::getenv(name) != nullptr;
    if (value != nullptr) {
      ::setenv(name, value, 1);
    } else {
      ::unsetenv(name);
    }
  }
  ~ScopedVariable() {
    if (had_) {
      ::setenv(name_, old_.c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::string old_;
  bool had_ = false;
};

}  // namespace fedmeta

#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/configs/problem.h"
#include "fedmeta/configs/validated.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/client.pb.h"
#include "fedmeta/v1/coordinator.pb.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// YAML -> protobuf by reflection, against the Key options of the schema. Everything wrong is
/// reported at once: unknown keys with the nearest known one, types, bounds, choices, duplicates,
/// then checks across fields. yaml-cpp's traps are handled: duplicate keys, marks from 0, .nan,
/// `yes` as a boolean, `010` as 8, `<<`. Relative paths resolve against the file; ${FEDMETA_DATA}
/// expands (environment, else ../shared/data beside the checkout). Grids are expanded in the
/// schema's order of keys, the last key fastest. Errors: kInvalidArgument with ProblemsError's
/// text; kNotFound for a missing file.
class Loader {
 public:
  /// What an experiment is loaded for, which some defaults depend on.
  enum class RunKind { kSimulation, kLive };

  explicit Loader(PluginTables tables) : tables_(std::move(tables)) {}

  /// `overrides`: "key.path=value", the value being YAML; applied to the tree, place "argument N"
  /// (from 1, as given here). Their relative paths resolve against the current folder.
  Result<Validated<v1::Experiment>> LoadExperiment(const std::filesystem::path& file,
                                                   std::span<const std::string> overrides = {},
                                                   RunKind kind = RunKind::kSimulation) const;
  Result<Validated<v1::ClientFile>> LoadClient(const std::filesystem::path& file) const;
  Result<Validated<v1::CoordinatorFile>> LoadCoordinator(const std::filesystem::path& file) const;
  /// For tests and for text that is not a file.
  Result<Validated<v1::Experiment>> ParseExperiment(const std::string& yaml,
                                                    const std::filesystem::path& name,
                                                    std::span<const std::string> overrides = {},
                                                    RunKind kind = RunKind::kSimulation) const;

  enum class FileKind { kExperiment, kClient, kCoordinator };
  /// By its top-level keys, for `fedmeta check FILE.yaml`.
  Result<FileKind> GuessKind(const std::filesystem::path& file) const;

  const PluginTables& tables() const { return tables_; }

 private:
  PluginTables tables_;
};

/// The inverse walk: YAML with every key and its effective value, absolute paths. Loading it gives
/// an equal message.
std::string PrintYaml(const google::protobuf::Message& message, const PluginTables& tables);

/// One leg's settings chosen out of a plug-in with alternatives: index 0 is `settings`. The result
/// has no alternatives.
v1::Plugin ChooseAlternative(const v1::Plugin& plugin, std::size_t index);

}  // namespace fedmeta

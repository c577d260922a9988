#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/any.pb.h>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/client/data/task_generator.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/experiment.pb.h"
#include "fedmeta/v1/plugin.pb.h"

namespace fedmeta {

/// An opened source: a table, or a family of functions that tasks are drawn from. Exactly one of
/// the two is set.
struct OpenedSource {
  std::shared_ptr<const Dataset> dataset;
  /// Makes the generator of the client of this name, for sources without a table; its tasks plug-in
  /// comes with it.
  std::function<Result<std::unique_ptr<TaskGenerator>>(
      const v1::Plugin& tasks, const std::string& client, std::uint64_t seed)>
      generator;
  std::vector<std::int64_t> input_shape;
  Digest fingerprint;
};

using SourceFactory = std::function<Result<OpenedSource>(const google::protobuf::Any& settings)>;
using TasksFactory = std::function<Result<std::unique_ptr<TaskGenerator>>(
    const google::protobuf::Any& settings, DatasetView view, const std::string& client,
    std::uint64_t seed)>;
/// By name; values handed to main, so that a consumer adds its own.
struct DataRegistry {
  std::map<std::string, SourceFactory> sources;
  std::map<std::string, TasksFactory> tasks;  ///< over tables: episodic, split
};

DataRegistry BuiltinData();

/// Reads the source. Errors name file and record: magic, counts, labels out of range, truncation.
Result<OpenedSource> OpenSource(const DataRegistry& registry, const v1::Plugin& choice);
/// The generator of one client over what it holds. A live client's view is its whole source.
Result<std::unique_ptr<TaskGenerator>> MakeTaskGenerator(
    const DataRegistry& registry, const v1::Plugin& tasks, const OpenedSource& source,
    const DatasetView* view, const std::string& client, std::uint64_t seed);
/// View of every row under the dataset's own labels.
DatasetView WholeView(std::shared_ptr<const Dataset> dataset);

}  // namespace fedmeta

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/any.pb.h>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/client/data/raw_table.h"
#include "fedmeta/client/data/task_generator.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/client.pb.h"
#include "fedmeta/v1/dictionary.pb.h"
#include "fedmeta/v1/experiment.pb.h"
#include "fedmeta/v1/plugin.pb.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// An opened source: examples, a family of functions that tasks are drawn from, or a table whose
/// columns only an experiment's dictionary makes examples of. Exactly one of the three is set.
struct OpenedSource {
  std::shared_ptr<const Dataset> dataset;
  /// Makes the generator of the client of this name, for sources without a table; its tasks plug-in
  /// comes with it.
  std::function<Result<std::unique_ptr<TaskGenerator>>(
      const v1::Plugin& tasks, const std::string& client, std::uint64_t seed)>
      generator;
  std::shared_ptr<const RawTable> table;
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

/// What the site's file says it does with this data.
v1::Role RoleOf(const v1::SiteData& site);

/// Reads the source. Errors name file and record: magic, counts, labels out of range, truncation.
Result<OpenedSource> OpenSource(const DataRegistry& registry, const v1::Plugin& choice);
/// A site's source with what its file says about the columns of a table.
Result<OpenedSource> OpenSite(const DataRegistry& registry, const v1::SiteData& site,
                              const v1::Resources& resources);
/// The source with its table read by the dictionary; another source as it is. Errors: a dictionary
/// for a source without columns, none for a table, and those of BuildUsableTable.
Result<OpenedSource> ReadTable(OpenedSource source, const v1::Dictionary& dictionary);
/// A table that has been read.
OpenedSource TableAsSource(std::shared_ptr<const Dataset> dataset);
/// The generator of one client over what it holds; `view` null: its whole source, as at a site.
Result<std::unique_ptr<TaskGenerator>> MakeTaskGenerator(
    const DataRegistry& registry, const v1::Plugin& tasks, const OpenedSource& source,
    const DatasetView* view, const std::string& client, std::uint64_t seed);
/// Whether a client of this role can draw the tasks that it will be asked for, or why not.
Status CanTakePart(const TaskGenerator& tasks, v1::Role role, const v1::Evaluation& evaluation);
/// The same of a client of this name that holds a whole source.
Status CanTakePart(const DataRegistry& registry, const v1::Experiment& experiment,
                   const OpenedSource& source, const std::string& client, v1::Role role);
/// View of every row under the dataset's own labels.
DatasetView WholeView(std::shared_ptr<const Dataset> dataset);

}  // namespace fedmeta

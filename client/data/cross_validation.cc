#include "fedmeta/client/data/cross_validation.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <span>

#include "fedmeta/client/data/example_set.h"
#include "fedmeta/client/data/split_rows.h"

namespace fedmeta {
namespace {

/// Of the class that has fewest: persons, or rows where nothing says whose they are.
std::size_t FewestPersons(const TaskExamples& task) {
  const std::span<const std::uint32_t> groups = task.dataset->groups();
  std::map<std::int64_t, std::set<std::uint32_t>> persons;
  for (const TaskRow& each : task.support_rows) {
    persons[each.label].insert(groups.empty() ? each.row : groups[each.row]);
  }
  std::size_t fewest = task.support_rows.size();
  for (const auto& [label, of_class] : persons) fewest = std::min(fewest, of_class.size());
  return fewest;
}

ExampleSet Read(const Dataset& dataset, std::span<const std::uint32_t> rows,
                const std::map<std::uint32_t, std::int64_t>& labels) {
  ExampleSet examples = EmptyExamples(dataset, rows.size());
  for (const std::uint32_t row : rows) AppendExample(dataset, row, labels.at(row), 0, examples);
  return examples;
}

}  // namespace

Result<std::vector<TaskExamples>> CrossValidate(const TaskExamples& task, std::size_t folds,
                                                Rng& rng) {
  std::vector<TaskExamples> tasks;
  if (!task.dataset) return tasks;
  folds = std::min(folds, FewestPersons(task));
  if (folds < 2) return tasks;
  std::map<std::uint32_t, std::int64_t> labels;
  auto rows = std::make_shared<std::vector<std::uint32_t>>();
  for (const TaskRow& each : task.support_rows) {
    labels.emplace(each.row, each.label);
    rows->push_back(each.row);
  }
  const DatasetView view{.dataset = task.dataset, .rows = std::move(rows)};
  FEDMETA_ASSIGN_OR_RETURN(const auto parts, DealRows(view, folds, rng));
  for (const std::vector<SplitRow>& part : parts) {
    std::vector<std::uint32_t> queried;
    for (const SplitRow& each : part) queried.push_back(each.row);
    std::vector<std::uint32_t> others;
    for (const std::vector<SplitRow>& other : parts) {
      if (&other == &part) continue;
      for (const SplitRow& each : other) others.push_back(each.row);
    }
    const std::shared_ptr<const Dataset> fitted = Fitted(task.dataset, others);
    TaskExamples fold{.support = Read(*fitted, others, labels),
                      .query = Read(*fitted, queried, labels),
                      .codes = task.codes,
                      .dataset = fitted};
    for (const std::uint32_t row : others) fold.support_rows.push_back({row, labels.at(row)});
    if (!fitted->groups().empty()) {
      for (const std::uint32_t row : queried) fold.query_groups.push_back(fitted->groups()[row]);
    }
    tasks.push_back(std::move(fold));
  }
  return tasks;
}

}  // namespace fedmeta

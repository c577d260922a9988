#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/client/data/example_set.h"
#include "fedmeta/client/data/factories.h"
#include "fedmeta/client/data/split_rows.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

class SplitTasks final : public TaskGenerator {
 public:
  SplitTasks(DatasetView view, SplitRows rows)
      : view_(std::move(view)), rows_(std::move(rows)), fitted_(FittedTo(Support())) {}

  Status CanDraw(DataPart, std::int64_t shots) const override {
    if (shots < 0) {
      return Error(ErrorCode::kInvalidArgument,
                   "shots must be at least 0, got " + std::to_string(shots));
    }
    std::map<std::int64_t, std::int64_t> available;
    for (const SplitRow& each : Support()) ++available[each.code];
    for (const auto& [code, count] : available) {
      if (count >= shots) continue;
      return Error(ErrorCode::kInvalidArgument,
                   std::to_string(shots) +
                       " shots need as many support rows of each class, and this client has a "
                       "class with fewer; raise tasks.support_fraction or ask for fewer shots");
    }
    return {};
  }

  Result<TaskExamples> Draw(DataPart part, std::int64_t shots, Rng&) override {
    FEDMETA_RETURN_IF_ERROR(CanDraw(part, shots));
    const bool choosing = part == DataPart::kValidation && rows_.validation > 0;
    const std::span<const SplitRow> query = choosing ? Validation() : Query();
    if (shots == 0) return Task(fitted_, Support(), query);
    // A site of so few examples would know no more than these.
    const std::vector<SplitRow> support = FirstOfEachClass(shots);
    return Task(FittedTo(support), support, query);
  }

  std::size_t validation_examples() const override { return rows_.validation; }

  Result<ExampleSet> TrainingExamples(Rng&) override {
    std::vector<SplitRow> rows(Support().begin(), Support().end());
    rows.insert(rows.end(), Query().begin(), Query().end());
    return Read(*fitted_, rows);
  }

  TargetKind target_kind() const override { return TargetKind::kClass; }
  std::int64_t task_outputs() const override {
    if (view_.code_of.empty()) return view_.dataset->classes();
    return *std::max_element(view_.code_of.begin(), view_.code_of.end()) + 1;
  }
  std::size_t examples() const override { return view_.size(); }

 private:
  std::span<const SplitRow> Support() const { return std::span(rows_.order).first(rows_.support); }
  std::span<const SplitRow> Validation() const {
    return std::span(rows_.order).subspan(rows_.support, rows_.validation);
  }
  std::span<const SplitRow> Query() const {
    return std::span(rows_.order).subspan(rows_.support + rows_.validation);
  }
  std::shared_ptr<const Dataset> FittedTo(std::span<const SplitRow> rows) const {
    std::vector<std::uint32_t> fitted;
    for (const SplitRow& each : rows) fitted.push_back(each.row);
    return Fitted(view_.dataset, fitted);
  }
  std::vector<SplitRow> FirstOfEachClass(std::int64_t shots) const {
    std::map<std::int64_t, std::int64_t> taken;
    std::vector<SplitRow> rows;
    for (const SplitRow& each : Support()) {
      if (++taken[each.code] <= shots) rows.push_back(each);
    }
    return rows;
  }
  static TaskExamples Task(std::shared_ptr<const Dataset> fitted, std::span<const SplitRow> support,
                           std::span<const SplitRow> query) {
    TaskExamples task{.support = Read(*fitted, support), .query = Read(*fitted, query)};
    for (const SplitRow& each : support) task.support_rows.push_back({each.row, each.code});
    if (!fitted->groups().empty()) {
      for (const SplitRow& each : query) task.query_groups.push_back(fitted->groups()[each.row]);
    }
    task.dataset = std::move(fitted);
    return task;
  }
  static ExampleSet Read(const Dataset& dataset, std::span<const SplitRow> rows) {
    ExampleSet examples = EmptyExamples(dataset, rows.size());
    for (const SplitRow& each : rows) AppendExample(dataset, each.row, each.code, 0, examples);
    return examples;
  }

  DatasetView view_;
  SplitRows rows_;
  // All parts are encoded by what the support part shows, the rows that a site adapts on.
  std::shared_ptr<const Dataset> fitted_;
};

}  // namespace

Result<std::unique_ptr<TaskGenerator>> CreateSplit(const v1::SplitSettings& settings,
                                                   DatasetView view, const std::string& client,
                                                   std::uint64_t seed) {
  const double support_fraction = settings.support_fraction();
  const double validation_fraction = settings.validation_fraction();
  if (!(support_fraction > 0) || !(validation_fraction >= 0) ||
      !(support_fraction + validation_fraction < 1)) {
    return Error(ErrorCode::kInvalidArgument,
                 "tasks.support_fraction must be above 0 and leave, with "
                 "tasks.validation_fraction, rows to query; got " +
                     FormatNumber(support_fraction) + " and " + FormatNumber(validation_fraction));
  }
  const auto rows = static_cast<double>(view.size());
  const auto support =
      std::max<std::size_t>(1, static_cast<std::size_t>(std::llround(support_fraction * rows)));
  const auto validation =
      validation_fraction > 0
          ? std::max<std::size_t>(
                1, static_cast<std::size_t>(std::llround(validation_fraction * rows)))
          : 0;
  if (support + validation >= view.size()) {
    return Error(ErrorCode::kInvalidArgument,
                 "this client has too few rows: tasks.support_fraction " +
                     FormatNumber(support_fraction) + " and tasks.validation_fraction " +
                     FormatNumber(validation_fraction) + " leave none to query");
  }
  Rng rng({.seed = seed, .purpose = "split", .client = client});
  FEDMETA_ASSIGN_OR_RETURN(SplitRows divided, DivideRows(view, support, validation, rng));
  return std::unique_ptr<TaskGenerator>(
      std::make_unique<SplitTasks>(std::move(view), std::move(divided)));
}

}  // namespace fedmeta

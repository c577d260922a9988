#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/client/data/example_set.h"
#include "fedmeta/client/data/factories.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

struct SplitRow {
  std::uint32_t row;
  std::int64_t code;
};

// Every class's shuffled rows spread evenly over [0, 1): any cut takes nearly the same share of
// each.
std::vector<SplitRow> StratifiedOrder(const DatasetView& view, Rng& rng) {
  struct Placed {
    double position;
    SplitRow row;
  };
  const ClassesOfView held = ListClasses(view);
  std::vector<Placed> placed;
  placed.reserve(view.size());
  for (const std::size_t c : held.classes) {
    const std::span<const std::uint32_t> of_class = held.rows->of(c);
    std::vector<std::uint32_t> rows(of_class.begin(), of_class.end());
    rng.Shuffle(std::span(rows));
    const std::int64_t code = view.code_of_class(static_cast<std::int64_t>(c));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double position = (static_cast<double>(i) + 0.5) / static_cast<double>(rows.size());
      placed.push_back({position, {rows[i], code}});
    }
  }
  // Stable: classes of equal size keep the order of their codes.
  std::stable_sort(placed.begin(), placed.end(),
                   [](const Placed& a, const Placed& b) { return a.position < b.position; });
  std::vector<SplitRow> order;
  order.reserve(placed.size());
  for (const Placed& each : placed) order.push_back(each.row);
  return order;
}

class SplitTasks final : public TaskGenerator {
 public:
  SplitTasks(DatasetView view, std::vector<SplitRow> order, std::size_t support,
             std::size_t validation)
      : view_(std::move(view)),
        order_(std::move(order)),
        support_(support),
        validation_(validation) {}

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
    const bool choosing = part == DataPart::kValidation && validation_ > 0;
    TaskExamples task;
    task.support = Read(shots > 0 ? FirstOfEachClass(shots) : Support());
    task.query = Read(choosing ? Validation() : Query());
    return task;
  }

  Result<ExampleSet> TrainingExamples(Rng&) override {
    std::vector<SplitRow> rows(Support().begin(), Support().end());
    rows.insert(rows.end(), Query().begin(), Query().end());
    return Read(rows);
  }

  TargetKind target_kind() const override { return TargetKind::kClass; }
  std::int64_t task_outputs() const override {
    if (view_.code_of.empty()) return view_.dataset->classes();
    return *std::max_element(view_.code_of.begin(), view_.code_of.end()) + 1;
  }
  std::size_t examples() const override { return view_.size(); }

 private:
  std::span<const SplitRow> Support() const { return std::span(order_).first(support_); }
  std::span<const SplitRow> Validation() const {
    return std::span(order_).subspan(support_, validation_);
  }
  std::span<const SplitRow> Query() const {
    return std::span(order_).subspan(support_ + validation_);
  }
  std::vector<SplitRow> FirstOfEachClass(std::int64_t shots) const {
    std::map<std::int64_t, std::int64_t> taken;
    std::vector<SplitRow> rows;
    for (const SplitRow& each : Support()) {
      if (++taken[each.code] <= shots) rows.push_back(each);
    }
    return rows;
  }
  ExampleSet Read(std::span<const SplitRow> rows) const {
    ExampleSet examples = EmptyExamples(*view_.dataset, rows.size());
    for (const SplitRow& each : rows) {
      AppendExample(*view_.dataset, each.row, each.code, 0, examples);
    }
    return examples;
  }

  DatasetView view_;
  std::vector<SplitRow> order_;  // support, then validation, then query
  std::size_t support_;
  std::size_t validation_;
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
  std::vector<SplitRow> order = StratifiedOrder(view, rng);
  return std::unique_ptr<TaskGenerator>(
      std::make_unique<SplitTasks>(std::move(view), std::move(order), support, validation));
}

}  // namespace fedmeta

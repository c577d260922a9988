#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/client/data/example_set.h"
#include "fedmeta/client/data/factories.h"
#include "fedmeta/client/data/split_rows.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

using Rows = std::vector<SplitRow>;

/// A client's rows by what they are for.
struct SplitParts {
  Rows support, validation, query, test;
};

Rows Join(const Rows& a, const Rows& b) {
  Rows rows = a;
  rows.insert(rows.end(), b.begin(), b.end());
  return rows;
}

class SplitTasks final : public TaskGenerator {
 public:
  SplitTasks(const v1::SplitSettings& settings, DatasetView view, SplitParts parts)
      : settings_(settings),
        view_(std::move(view)),
        parts_(std::move(parts)),
        training_(Join(parts_.support, parts_.query)),
        fitted_(FittedTo(parts_.support)) {}

  Status CanDraw(DataPart part, std::int64_t shots) const override {
    if (shots < 0) {
      return Error(ErrorCode::kInvalidArgument,
                   "shots must be at least 0, got " + std::to_string(shots));
    }
    if (CountsRows()) return {};
    std::map<std::int64_t, std::int64_t> available;
    for (const SplitRow& each : SidesOf(part).support) ++available[each.code];
    for (const auto& [code, count] : available) {
      if (count >= shots) continue;
      return Error(ErrorCode::kInvalidArgument,
                   std::to_string(shots) +
                       " shots need as many support rows of each class, and this client has a "
                       "class with fewer; raise tasks.support_fraction or ask for fewer shots");
    }
    return {};
  }

  Result<TaskExamples> Draw(DataPart part, std::int64_t shots, Rng& rng) override {
    FEDMETA_RETURN_IF_ERROR(CanDraw(part, shots));
    Sides sides;
    if (part == DataPart::kTrain && settings_.redraw()) {
      FEDMETA_ASSIGN_OR_RETURN(sides, Redraw(rng));
    } else {
      sides = SidesOf(part);
    }
    if (shots > 0)
      sides.support = CountsRows() ? SomeRows(sides.support, shots, rng)
                                   : SomeOfEachClass(sides.support, shots, rng);
    if (settings_.maximum_rows() > 0) {
      for (Rows* const side : {&sides.support, &sides.query}) {
        if (side->size() > settings_.maximum_rows())
          *side = SomeRows(std::move(*side), settings_.maximum_rows(), rng);
      }
    }
    const bool whole = shots == 0 && sides.support.size() == parts_.support.size() &&
                       !(part == DataPart::kTrain && settings_.redraw());
    // A site of so few examples would know no more than these.
    return Task(whole ? fitted_ : FittedTo(sides.support), sides);
  }

  std::size_t validation_examples() const override { return parts_.validation.size(); }
  bool draws(std::int64_t shots) const override {
    return shots > 0 || settings_.maximum_rows() > 0;
  }

  Result<ExampleSet> TrainingExamples(Rng&) override {
    return Read(parts_.test.empty() ? *fitted_ : *FittedTo(training_), training_);
  }

  TargetKind target_kind() const override { return TargetKind::kClass; }
  std::int64_t task_outputs() const override {
    if (view_.code_of.empty()) return view_.dataset->classes();
    return *std::max_element(view_.code_of.begin(), view_.code_of.end()) + 1;
  }
  std::size_t examples() const override { return view_.size(); }

 private:
  struct Sides {
    Rows support, query;
  };

  bool CountsRows() const { return settings_.shots() == "rows"; }

  /// With test rows, what comes before a part is there to adapt to when the part is measured.
  Sides SidesOf(DataPart part) const {
    const bool has_test = !parts_.test.empty();
    if (part == DataPart::kTest && has_test)
      return {.support = Join(training_, parts_.validation), .query = parts_.test};
    if (part == DataPart::kValidation && !parts_.validation.empty())
      return {.support = has_test ? training_ : parts_.support, .query = parts_.validation};
    return {.support = parts_.support, .query = parts_.query};
  }

  /// Support and query of one training task, divided anew.
  Result<Sides> Redraw(Rng& rng) const {
    std::size_t support = parts_.support.size();
    if (const auto choices = static_cast<std::uint64_t>(settings_.support_rows_size())) {
      support = settings_.support_rows(static_cast<int>(rng.Below(choices)));
    }
    support = std::min(support, training_.size() - 1);
    const bool any_row = CountsRows() && view_.dataset->groups().empty();
    if (any_row) {
      Rows rows = training_;
      rng.Shuffle(std::span(rows));
      const auto cut = rows.begin() + static_cast<std::ptrdiff_t>(support);
      return Sides{.support = {rows.begin(), cut}, .query = {cut, rows.end()}};
    }
    DatasetView view = view_;
    std::vector<std::uint32_t> rows;
    for (const SplitRow& each : training_) rows.push_back(each.row);
    view.rows = std::make_shared<const std::vector<std::uint32_t>>(std::move(rows));
    view.by_class = nullptr;
    const std::array sizes = {support, training_.size() - support};
    FEDMETA_ASSIGN_OR_RETURN(auto divided, DivideRows(view, sizes, rng));
    return Sides{.support = std::move(divided[0]), .query = std::move(divided[1])};
  }

  static Rows SomeRows(Rows rows, std::int64_t count, Rng& rng) {
    rng.Shuffle(std::span(rows));
    rows.resize(std::min(rows.size(), static_cast<std::size_t>(count)));
    return rows;
  }
  static Rows SomeOfEachClass(Rows rows, std::int64_t shots, Rng& rng) {
    rng.Shuffle(std::span(rows));
    std::map<std::int64_t, std::int64_t> taken;
    Rows some;
    for (const SplitRow& each : rows) {
      if (++taken[each.code] <= shots) some.push_back(each);
    }
    return some;
  }

  std::shared_ptr<const Dataset> FittedTo(const Rows& rows) const {
    std::vector<std::uint32_t> fitted;
    for (const SplitRow& each : rows) fitted.push_back(each.row);
    return Fitted(view_.dataset, fitted);
  }
  static TaskExamples Task(std::shared_ptr<const Dataset> fitted, const Sides& sides) {
    TaskExamples task{.support = Read(*fitted, sides.support), .query = Read(*fitted, sides.query)};
    for (const SplitRow& each : sides.support) task.support_rows.push_back({each.row, each.code});
    if (!fitted->groups().empty()) {
      for (const SplitRow& each : sides.query)
        task.query_groups.push_back(fitted->groups()[each.row]);
    }
    task.dataset = std::move(fitted);
    return task;
  }
  static ExampleSet Read(const Dataset& dataset, const Rows& rows) {
    ExampleSet examples = EmptyExamples(dataset, rows.size());
    for (const SplitRow& each : rows) AppendExample(dataset, each.row, each.code, 0, examples);
    return examples;
  }

  v1::SplitSettings settings_;
  DatasetView view_;
  SplitParts parts_;
  Rows training_;  // support and query
  // All parts are encoded by what the support part shows, the rows that a site adapts on.
  std::shared_ptr<const Dataset> fitted_;
};

/// Shares of support, validation and test; the rest is query.
struct Shares {
  double support = 0, validation = 0, test = 0;
};

Result<std::vector<Rows>> Deal(const DatasetView& view, const std::vector<std::uint32_t>& rows,
                               const Shares& shares, Rng& rng) {
  const auto part_of = [&](double share) {
    const double part = share * static_cast<double>(rows.size());
    return share > 0 ? std::max<std::size_t>(1, static_cast<std::size_t>(std::llround(part))) : 0;
  };
  std::array<std::size_t, 4> sizes = {part_of(shares.support), part_of(shares.validation), 0,
                                      part_of(shares.test)};
  const std::size_t dealt = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  if (dealt >= rows.size()) {
    std::string parts = "tasks.support_fraction " + FormatNumber(shares.support) +
                        " and tasks.validation_fraction " + FormatNumber(shares.validation);
    if (shares.test > 0) parts += " and tasks.test_fraction " + FormatNumber(shares.test);
    return Error(ErrorCode::kInvalidArgument,
                 "this client has too few rows: " + parts + " leave none to query");
  }
  sizes[2] = rows.size() - dealt;
  DatasetView dealt_view = view;
  dealt_view.rows = std::make_shared<const std::vector<std::uint32_t>>(rows);
  dealt_view.by_class = nullptr;
  return DivideRows(dealt_view, sizes, rng);
}

/// A person's rows that are marked for different parts would be on both sides of the split.
Status CheckGroupsStayTogether(const Dataset& dataset) {
  if (dataset.groups().empty()) return {};
  std::map<std::uint32_t, RowPart> part_of;
  for (std::size_t row = 0; row < dataset.size(); ++row) {
    const auto [entry, added] = part_of.emplace(dataset.groups()[row], dataset.parts()[row]);
    if (!added && entry->second != dataset.parts()[row]) {
      return Error(ErrorCode::kInvalidArgument,
                   "rows of one group are marked for different parts: a group must be in one");
    }
  }
  return {};
}

Result<SplitParts> DealOut(const DatasetView& view, const Shares& shares, Rng& rng) {
  std::map<RowPart, std::vector<std::uint32_t>> marked;
  const std::span<const RowPart> marks = view.dataset->parts();
  if (!marks.empty()) FEDMETA_RETURN_IF_ERROR(CheckGroupsStayTogether(*view.dataset));
  for (const std::uint32_t row : *view.rows)
    marked[marks.empty() ? RowPart::kAny : marks[row]].push_back(row);

  SplitParts parts;
  const auto add = [&](std::vector<Rows> dealt) {
    for (auto [part, index] : {std::pair{&parts.support, 0U},
                               {&parts.validation, 1U},
                               {&parts.query, 2U},
                               {&parts.test, 3U}})
      part->insert(part->end(), dealt[index].begin(), dealt[index].end());
  };
  if (!marked[RowPart::kTrain].empty()) {
    const double rest = 1 - shares.test;
    const bool validated = !marked[RowPart::kValidation].empty();
    FEDMETA_ASSIGN_OR_RETURN(auto dealt,
                             Deal(view, marked[RowPart::kTrain],
                                  {.support = shares.support / rest,
                                   .validation = validated ? 0 : shares.validation / rest},
                                  rng));
    add(std::move(dealt));
  }
  if (!marked[RowPart::kAny].empty()) {
    FEDMETA_ASSIGN_OR_RETURN(auto dealt, Deal(view, marked[RowPart::kAny], shares, rng));
    add(std::move(dealt));
  }
  for (auto [part, mark] :
       {std::pair{&parts.validation, RowPart::kValidation}, {&parts.test, RowPart::kTest}}) {
    for (const std::uint32_t row : marked[mark])
      part->push_back({row, view.code_of_class(view.dataset->label(row))});
  }
  if (parts.support.empty() || parts.query.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "this client has too few rows: none are marked for training");
  }
  return parts;
}

}  // namespace

Result<std::unique_ptr<TaskGenerator>> CreateSplit(const v1::SplitSettings& settings,
                                                   DatasetView view, const std::string& client,
                                                   std::uint64_t seed) {
  const Shares shares{.support = settings.support_fraction(),
                      .validation = settings.validation_fraction(),
                      .test = settings.test_fraction()};
  if (!(shares.support > 0) || !(shares.validation >= 0) || !(shares.test >= 0) ||
      !(shares.support + shares.validation + shares.test < 1)) {
    std::string got = FormatNumber(shares.support) + " and " + FormatNumber(shares.validation);
    if (shares.test > 0) got += " and " + FormatNumber(shares.test);
    return Error(ErrorCode::kInvalidArgument,
                 "tasks.support_fraction must be above 0 and leave, with "
                 "tasks.validation_fraction and tasks.test_fraction, rows to query; got " +
                     got);
  }
  Rng rng({.seed = seed, .purpose = "split", .client = client});
  FEDMETA_ASSIGN_OR_RETURN(SplitParts parts, DealOut(view, shares, rng));
  return std::unique_ptr<TaskGenerator>(
      std::make_unique<SplitTasks>(settings, std::move(view), std::move(parts)));
}

}  // namespace fedmeta

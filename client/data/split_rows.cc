#include "fedmeta/client/data/split_rows.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <utility>

namespace fedmeta {
namespace {

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

// Rows of one group, with how many there are of each code.
struct Group {
  std::vector<SplitRow> rows;
  std::map<std::int64_t, double> codes;
};

/// In the order of `rows`, the large ones first: what is small fills the gaps later.
std::vector<Group> GroupRows(const Dataset& dataset, const std::vector<SplitRow>& rows) {
  std::map<std::uint32_t, std::size_t> place;
  std::vector<Group> groups;
  for (const SplitRow& each : rows) {
    const auto [entry, added] = place.emplace(dataset.groups()[each.row], groups.size());
    if (added) groups.emplace_back();
    Group& group = groups[entry->second];
    group.rows.push_back(each);
    ++group.codes[each.code];
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group& a, const Group& b) { return a.rows.size() > b.rows.size(); });
  return groups;
}

/// One part while groups are given out.
struct Part {
  double share = 0;                           // of all rows
  std::map<std::int64_t, double> lacks = {};  // rows of each code
  std::vector<std::size_t> groups = {};
};

/// How welcome the group is: what the part lacks of its codes, as a share of what it should get.
double Need(const Part& part, const Group& group,
            const std::map<std::int64_t, double>& rows_of_code) {
  double need = 0;
  for (const auto& [code, count] : group.codes) {
    need += count * part.lacks.at(code) / (part.share * rows_of_code.at(code));
  }
  return need;
}

void Give(const std::vector<Group>& groups, std::size_t group, Part& part) {
  part.groups.push_back(group);
  for (const auto& [code, count] : groups[group].codes) part.lacks[code] -= count;
}

/// Parts of these sizes, as nearly as groups allow; no size is 0.
Result<std::vector<std::vector<SplitRow>>> PartsOfGroups(const Dataset& dataset,
                                                         const std::vector<SplitRow>& rows,
                                                         std::span<const std::size_t> sizes) {
  const std::vector<Group> groups = GroupRows(dataset, rows);
  const auto all = static_cast<double>(rows.size());
  if (groups.size() < sizes.size()) {
    return Error(ErrorCode::kInvalidArgument,
                 "this client's rows belong to fewer groups than the " +
                     std::to_string(sizes.size()) + " parts that they are to be divided into");
  }
  std::map<std::int64_t, double> rows_of_code;
  for (const SplitRow& each : rows) ++rows_of_code[each.code];
  std::vector<Part> parts;
  for (const std::size_t size : sizes) {
    Part& part = parts.emplace_back(Part{.share = static_cast<double>(size) / all});
    for (const auto& [code, count] : rows_of_code) part.lacks[code] = part.share * count;
  }
  std::size_t empty = parts.size();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    // The last groups go to parts that still have none.
    const bool must_fill = groups.size() - i <= empty;
    Part* best = nullptr;
    for (Part& part : parts) {
      if (must_fill && !part.groups.empty()) continue;
      if (best == nullptr ||
          Need(part, groups[i], rows_of_code) > Need(*best, groups[i], rows_of_code)) {
        best = &part;
      }
    }
    if (best->groups.empty()) --empty;
    Give(groups, i, *best);
  }
  std::vector<std::vector<SplitRow>> divided;
  for (const Part& part : parts) {
    std::vector<SplitRow>& taken = divided.emplace_back();
    for (const std::size_t group : part.groups) {
      taken.insert(taken.end(), groups[group].rows.begin(), groups[group].rows.end());
    }
  }
  return divided;
}

/// No size is 0; together they are all rows.
Result<std::vector<std::vector<SplitRow>>> Parts(const DatasetView& view,
                                                 std::span<const std::size_t> sizes, Rng& rng) {
  const std::vector<SplitRow> order = StratifiedOrder(view, rng);
  if (!view.dataset->groups().empty()) return PartsOfGroups(*view.dataset, order, sizes);
  std::vector<std::vector<SplitRow>> parts;
  auto from = order.begin();
  for (const std::size_t size : sizes) {
    const auto to = from + static_cast<std::ptrdiff_t>(size);
    parts.emplace_back(from, to);
    from = to;
  }
  return parts;
}

}  // namespace

Result<std::vector<std::vector<SplitRow>>> DivideRows(const DatasetView& view,
                                                      std::span<const std::size_t> sizes,
                                                      Rng& rng) {
  std::vector<std::size_t> filled;
  std::ranges::copy_if(sizes, std::back_inserter(filled),
                       [](std::size_t size) { return size > 0; });
  FEDMETA_ASSIGN_OR_RETURN(auto parts, Parts(view, filled, rng));
  std::vector<std::vector<SplitRow>> divided(sizes.size());
  auto part = parts.begin();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > 0) divided[i] = std::move(*part++);
  }
  return divided;
}

Result<std::vector<std::vector<SplitRow>>> DealRows(const DatasetView& view, std::size_t folds,
                                                    Rng& rng) {
  std::vector<std::size_t> sizes(folds, view.size() / folds);
  for (std::size_t i = 0; i < view.size() % folds; ++i) ++sizes[i];
  return Parts(view, sizes, rng);
}

}  // namespace fedmeta

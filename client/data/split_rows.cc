#include "fedmeta/client/data/split_rows.h"

#include <algorithm>
#include <map>
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

/// One of support, validation and query while groups are given out.
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

Result<SplitRows> DivideGroups(const DatasetView& view, const std::vector<SplitRow>& rows,
                               std::size_t support, std::size_t validation) {
  const std::vector<Group> groups = GroupRows(*view.dataset, rows);
  const auto all = static_cast<double>(rows.size());
  std::vector<Part> parts;
  for (const std::size_t size : {support, validation, rows.size() - support - validation}) {
    if (size > 0) parts.push_back({.share = static_cast<double>(size) / all});
  }
  if (groups.size() < parts.size()) {
    return Error(ErrorCode::kInvalidArgument,
                 "this client's rows belong to fewer groups than the " +
                     std::to_string(parts.size()) + " parts that they are to be divided into");
  }
  std::map<std::int64_t, double> rows_of_code;
  for (const SplitRow& each : rows) ++rows_of_code[each.code];
  for (Part& part : parts) {
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
  SplitRows divided;
  std::vector<std::size_t> sizes;
  for (const Part& part : parts) {
    const std::size_t before = divided.order.size();
    for (const std::size_t group : part.groups) {
      divided.order.insert(divided.order.end(), groups[group].rows.begin(),
                           groups[group].rows.end());
    }
    sizes.push_back(divided.order.size() - before);
  }
  divided.support = sizes.front();
  divided.validation = validation > 0 ? sizes[1] : 0;
  return divided;
}

}  // namespace

Result<SplitRows> DivideRows(const DatasetView& view, std::size_t support, std::size_t validation,
                             Rng& rng) {
  std::vector<SplitRow> order = StratifiedOrder(view, rng);
  if (!view.dataset->groups().empty()) return DivideGroups(view, order, support, validation);
  return SplitRows{.order = std::move(order), .support = support, .validation = validation};
}

}  // namespace fedmeta

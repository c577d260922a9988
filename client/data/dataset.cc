#include "fedmeta/client/data/dataset.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace fedmeta {

std::shared_ptr<const Dataset> Fitted(const std::shared_ptr<const Dataset>& dataset,
                                      std::span<const std::uint32_t> rows) {
  std::shared_ptr<const Dataset> fitted = dataset->FitTo(rows);
  return fitted ? fitted : dataset;
}

std::shared_ptr<const std::vector<std::uint32_t>> WholeRows(std::size_t count) {
  std::vector<std::uint32_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0U);
  return std::make_shared<const std::vector<std::uint32_t>>(std::move(rows));
}

std::shared_ptr<const RowsByClass> GroupByClass(const Dataset& dataset,
                                                std::span<const std::uint32_t> rows) {
  const auto classes = static_cast<std::size_t>(dataset.classes());
  auto grouped = std::make_shared<RowsByClass>();
  grouped->first.assign(classes + 1, 0);
  for (const std::uint32_t row : rows) {
    ++grouped->first[static_cast<std::size_t>(dataset.label(row)) + 1];
  }
  for (std::size_t c = 0; c < classes; ++c) grouped->first[c + 1] += grouped->first[c];
  grouped->rows.resize(rows.size());
  std::vector<std::size_t> next(grouped->first.begin(), grouped->first.end() - 1);
  for (const std::uint32_t row : rows) {
    grouped->rows[next[static_cast<std::size_t>(dataset.label(row))]++] = row;
  }
  return grouped;
}

ClassesOfView ListClasses(const DatasetView& view) {
  ClassesOfView held;
  held.rows = view.by_class ? view.by_class : GroupByClass(*view.dataset, *view.rows);
  for (std::size_t c = 0; c + 1 < held.rows->first.size(); ++c) {
    if (!held.rows->of(c).empty()) held.classes.push_back(c);
  }
  std::sort(held.classes.begin(), held.classes.end(), [&view](std::size_t a, std::size_t b) {
    return view.code_of_class(static_cast<std::int64_t>(a)) <
           view.code_of_class(static_cast<std::int64_t>(b));
  });
  return held;
}

}  // namespace fedmeta

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {

struct SplitRow {
  std::uint32_t row;
  std::int64_t code;  ///< the client's own
};

/// Divides a view into as many parts as `sizes`, which add up to its rows; parts of size 0 stay
/// empty. Each part gets nearly the same share of each class. Where the dataset has groups, all
/// rows of one stay in one part; sizes and shares are then met as nearly as that allows, by giving
/// the large groups first to the part that lacks most of their classes. Errors: fewer groups than
/// parts.
Result<std::vector<std::vector<SplitRow>>> DivideRows(const DatasetView& view,
                                                      std::span<const std::size_t> sizes, Rng& rng);

/// Deals the rows of a view out to `folds` parts, by the same rules.
Result<std::vector<std::vector<SplitRow>>> DealRows(const DatasetView& view, std::size_t folds,
                                                    Rng& rng);

}  // namespace fedmeta

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {

struct SplitRow {
  std::uint32_t row;
  std::int64_t code;  ///< the client's own
};

/// A client's rows, those of the support part first, then validation, then query.
struct SplitRows {
  std::vector<SplitRow> order;
  std::size_t support = 0;
  std::size_t validation = 0;
};

/// Divides a view. `support` and `validation` rows are asked for, at least one query row is left.
/// Each part gets nearly the same share of each class. Where the dataset has groups, all rows of
/// one stay in one part; sizes and shares are then met as nearly as that allows, by giving the
/// large groups first to the part that lacks most of their classes. Errors: fewer groups than
/// parts.
Result<SplitRows> DivideRows(const DatasetView& view, std::size_t support, std::size_t validation,
                             Rng& rng);

/// Deals the rows of a view out to `folds` parts, by the same rules.
Result<std::vector<std::vector<SplitRow>>> DealRows(const DatasetView& view, std::size_t folds,
                                                    Rng& rng);

}  // namespace fedmeta

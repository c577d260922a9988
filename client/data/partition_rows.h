#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Each client's rows, ascending, disjoint between clients.
using RowsOfClients = std::vector<std::vector<std::uint32_t>>;

// One function a scheme. Each draws from the stream (seed, "partition") and names, in its error,
// the bound that was passed.

/// Every client gets classes_per_client classes, the least used so far, and of each
/// examples_per_class rows that no other client has (0: each class is shared out equally between
/// the clients that hold it).
Result<RowsOfClients> DealClasses(const v1::Partition& settings, const Dataset& dataset,
                                  std::uint64_t seed);
/// Each class is dealt out in proportions drawn from a symmetric Dirichlet distribution; drawn
/// again while a client has fewer than minimum_examples, at most 1,000 times.
Result<RowsOfClients> DealDirichlet(const v1::Partition& settings, const Dataset& dataset,
                                    std::uint64_t seed);
/// Shuffled and cut into parts whose sizes differ by one at most.
Result<RowsOfClients> DealUniform(const v1::Partition& settings, const Dataset& dataset,
                                  std::uint64_t seed);

struct NamedRows {
  std::vector<std::string> names;  ///< ascending
  RowsOfClients rows;
};
/// By column_file: one client name a line, one line an example.
Result<NamedRows> DealByColumn(const v1::Partition& settings, const Dataset& dataset);
/// By dataset.owners(), which must be there: all who have minimum_examples, or `clients` drawn
/// among these.
Result<NamedRows> DealByOwner(const v1::Partition& settings, const Dataset& dataset,
                              std::uint64_t seed);

}  // namespace fedmeta

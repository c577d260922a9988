#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fedmeta/client/data/source.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/experiment.pb.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// How a simulation deals a source out to clients. Immutable, thread-safe. Memory: rows of each
/// client's own part only (scheme shared: one list for all), so many clients cost little.
class Partition {
 public:
  virtual ~Partition() = default;
  virtual std::size_t clients() const = 0;
  /// "site-1" ... (scheme column: the file's names, ascending): training clients first, then
  /// validation, then hold-outs. Zero-padded to equal width ("site-001"), so that order by name is
  /// order by number.
  virtual std::string name(std::size_t client) const = 0;
  virtual v1::Role role(std::size_t client) const = 0;
  /// Null view where the source has no table.
  virtual Result<DatasetView> view(std::size_t client) const = 0;
  /// Largest label set of a client: outputs of a model under site labels. 0 without a table.
  virtual std::int64_t largest_label_set() const = 0;
};

/// Draws depend on (seed, "partition", client) only. Errors name the violated bound (classes asked
/// for > classes there, ...).
Result<std::unique_ptr<Partition>> MakePartition(const v1::Partition& settings,
                                                 const v1::Plugin& tasks,
                                                 const OpenedSource& source, std::uint64_t seed);

/// Writes each client's part as files under dir/<client>/: IDX images and labels (its own codes),
/// `client.yaml` with the coordinator address given, so that the same federation runs live with the
/// same bits. Only for sources with a table.
Status WritePartition(const v1::Experiment& experiment, const OpenedSource& source,
                      const Partition& partition, const std::string& coordinator_address,
                      const std::string& dir);

}  // namespace fedmeta

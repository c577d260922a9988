#pragma once

#include <cstdint>

#include "fedmeta/core/result.h"
#include "fedmeta/v1/plugin.pb.h"

namespace fedmeta {

/// Noisy gradients of one round in which one record can take part, in mode local, where each
/// gradient is charged: an upper bound from the algorithm's settings alone, so that it says nothing
/// about a site's data. Batches are drawn in passes, in which a record stands once.
///
///   fedavg   local_epochs, or local_steps where these are set
///   fomaml   tasks_per_round x (adaptation_steps + 1): support and query
///   reptile  tasks_per_round x adaptation_steps
///
/// kInvalidArgument for other algorithms, whose use of gradients nobody has looked at.
Result<std::uint64_t> GradientsPerRecord(const v1::Plugin& algorithm);

}  // namespace fedmeta

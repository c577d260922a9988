#pragma once

#include <vector>

#include "fedmeta/core/metric_sums.h"
#include "fedmeta/v1/client.pb.h"

namespace fedmeta {

/// What of a site's metrics leaves it, by policy.disclose: cells made from fewer than
/// minimum_examples, or with `none` all of them, become zeros, which add nothing to any sum.
std::vector<MetricSums> Disclosed(const v1::Disclose& rule, std::vector<MetricSums> metrics);

}  // namespace fedmeta

#pragma once

#include <nlohmann/json.hpp>

#include "fedmeta/site/policy.h"

// For this room only.
namespace fedmeta {

/// What an experiment would do here, for `fedmeta site show`: what runs, on what, how often, what
/// leaves, how it is protected.
nlohmann::json DescribeProposal(const Proposal& proposal, const SiteFacts& site,
                                const v1::Policy& policy);

}  // namespace fedmeta

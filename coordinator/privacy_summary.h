#pragma once

#include <cstdint>
#include <optional>

#include "fedmeta/privacy/privacy_account.h"
#include "fedmeta/records/run_records.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// What people read of a run's privacy; nothing without privacy.differential_privacy. `account`:
/// null in mode local, where each site has its own.
std::optional<PrivacySummary> DescribePrivacy(const v1::Experiment& experiment,
                                              const std::optional<PrivacyAccount>& account,
                                              std::uint64_t releases);

}  // namespace fedmeta

#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "fedmeta/coordinator/attempt_record.h"
#include "fedmeta/coordinator/charged_attempt.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"

// For this room only: what entries of the audit chain say, but for their number, kind, time and
// hash. Clients stand there by name.
namespace fedmeta {

std::vector<std::string> Names(const std::vector<ClientId>& clients);

/// "opening": the members of this session are about to be asked to open it. kDataLoss: the stored
/// session is damaged.
Result<nlohmann::ordered_json> OpeningFields(const std::string& federation, const RoundPlan& plan,
                                             const RoundKey& session, std::uint32_t group,
                                             const std::string& snapshot);
/// The same, as far as the record of an attempt tells: without session hash and receipts.
nlohmann::ordered_json RecoveredOpeningFields(const RoundKey& attempt,
                                              const SessionRecord& session);
/// "opened": what came of it.
nlohmann::ordered_json OpenedFields(const RoundKey& attempt, const SessionRecord& session);
/// "charge": spent until and with this attempt's release, all legs together.
nlohmann::ordered_json ChargeFields(const RoundKey& attempt, double epsilon, double delta);
/// "commit", "evaluation", "abandoned".
nlohmann::ordered_json OutcomeFields(const AttemptRecord& record, const Digest& plan);

}  // namespace fedmeta

#include "fedmeta/coordinator/charged_attempt.h"

#include <utility>

#include "fedmeta/coordinator/store_checks.h"
#include "fedmeta/v1/store.pb.h"

namespace fedmeta {
namespace {

Error Damaged(const RoundKey& session) {
  return {ErrorCode::kDataLoss,
          "store: what was charged for " + session.ToString() + " is damaged: restore a backup"};
}

}  // namespace

std::string SerializeCharge(const RoundPlan& plan, const SessionCharge& charge) {
  v1::ChargedSession session;
  session.set_plan(std::string(plan.bytes()));
  session.set_group(charge.group);
  session.set_snapshot(charge.snapshot);
  session.set_attempt(SerializeRecord(charge.attempt));
  session.set_minimum(charge.minimum);
  session.set_population(charge.population);
  return session.SerializeAsString();
}

Result<std::optional<ChargedAttempt>> ReadChargedAttempt(RoundStore& store, const ExperimentId& run,
                                                         const RoundKey& attempt) {
  std::optional<ChargedAttempt> charged;
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<PrivacyCharge> charges, store.PrivacyCharges(run));
  for (const PrivacyCharge& charge : charges) {
    if (AttemptOf(charge.session) != attempt || charge.receipts.size == 0) continue;
    FEDMETA_ASSIGN_OR_RETURN(const Bytes bytes, store.GetBlob(charge.receipts));
    v1::ChargedSession session;
    if (!session.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
      return Damaged(charge.session);
    Result<RoundPlan> plan = RoundPlan::Parse(session.plan());
    if (!plan.ok() || plan->key() != attempt) return Damaged(charge.session);
    FEDMETA_ASSIGN_OR_RETURN(AttemptRecord record,
                             ParseRecord({.key = attempt, .outcome = session.attempt()}));
    if (!charged)
      charged.emplace(ChargedAttempt{.plan = *std::move(plan), .attempt = {}, .groups = {}});
    charged->attempt = std::move(record);
    charged->minimum = session.minimum();
    charged->population = session.population();
    charged->groups.push_back({.group = session.group(),
                               .session = charge.session.session,
                               .snapshot = session.snapshot(),
                               .masked_sum = charge.masked_sum});
  }
  return charged;
}

}  // namespace fedmeta

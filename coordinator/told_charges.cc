#include "fedmeta/coordinator/told_charges.h"

#include "fedmeta/v1/charged.pb.h"

namespace fedmeta {

Result<std::vector<ToldCharge>> ReadToldCharges(const std::string& bytes,
                                                const ToldBounds& bounds) {
  v1::ChargedReleases told;
  if (!told.ParseFromString(bytes))
    return Error(ErrorCode::kInvalidArgument, "ready: its charges are no message of their kind");
  const std::uint64_t most = 2 * bounds.legs.size() * bounds.rounds * (bounds.retries + 1ULL);
  std::set<ToldCharge> charges;
  for (const v1::ChargedAttempt& attempt : told.attempts()) {
    if (charges.size() >= most) break;
    const RoundKey key{.experiment = ExperimentId(attempt.experiment()),
                       .purpose = Purpose::kTrain,
                       .round = attempt.round(),
                       .attempt = attempt.attempt(),
                       .session = 0};
    if (!bounds.legs.contains(key.experiment) || key.round == 0 || key.round > bounds.rounds ||
        key.attempt == 0 || attempt.epoch() == 0) {
      continue;
    }
    charges.emplace(attempt.epoch(), key);
  }
  return std::vector<ToldCharge>(charges.begin(), charges.end());
}

}  // namespace fedmeta

#include "fedmeta/coordinator/offer.h"

#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/v1/offer.pb.h"

namespace fedmeta {

ExperimentOffer::ExperimentOffer(const v1::Experiment& experiment, std::span<const Leg> legs)
    : participants_(experiment.federation().participants().begin(),
                    experiment.federation().participants().end()) {
  const v1::Federation& federation = experiment.federation();
  v1::Offer offer;
  offer.set_experiment(experiment.name());
  offer.set_rounds(federation.rounds());
  offer.set_cohort(federation.cohort());
  offer.set_minimum_cohort(federation.has_minimum_cohort() ? federation.minimum_cohort()
                                                           : federation.cohort());
  for (const std::string& name : participants_) offer.add_participants(name);
  for (const Leg& leg : legs) {
    const auto bytes = AsBytes(std::string_view(leg.assignment));
    const Digest digest = Digest::Of(bytes);
    assignments_.emplace(digest, std::make_shared<const Bytes>(bytes.begin(), bytes.end()));
    v1::OfferedLeg& offered = *offer.add_legs();
    offered.set_experiment(LegId(experiment, leg.name).value());
    offered.set_assignment_hash(digest.bytes());
    offered.set_assignment_size(bytes.size());
    offered.set_state_coordinates(leg.layout.size());
  }
  bytes_ = offer.SerializeAsString();
}

std::shared_ptr<const Bytes> ExperimentOffer::FindAssignment(const Digest& digest) const {
  const auto found = assignments_.find(digest);
  return found == assignments_.end() ? nullptr : found->second;
}

Status ExperimentOffer::CheckParticipant(const ClientId& client) const {
  if (participants_.empty() || participants_.contains(client.value())) return {};
  return Error(ErrorCode::kPermissionDenied, "federation.participants does not name " +
                                                 client.value() +
                                                 ": it takes no part in this experiment");
}

}  // namespace fedmeta

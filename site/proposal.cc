#include "fedmeta/site/proposal.h"

#include <utility>

#include "fedmeta/protocol/limits.h"

namespace fedmeta {
namespace {

Error Refused(const std::string& what) { return {ErrorCode::kInvalidArgument, "offer: " + what}; }

}  // namespace

Result<v1::Offer> Proposal::ParseOffer(const std::string& bytes) {
  v1::Offer offer;
  if (bytes.empty()) return Refused("the coordinator made none: both sides need the same release");
  if (bytes.size() > kMaximumOfferBytes || !offer.ParseFromString(bytes))
    return Refused("not a message of its kind");
  if (offer.experiment().empty() || offer.experiment().size() > kMaximumNameBytes)
    return Refused("it names no experiment");
  if (offer.legs_size() == 0) return Refused("it has no legs");
  std::uint64_t size = 0;
  for (const v1::OfferedLeg& leg : offer.legs()) {
    if (!leg.experiment().starts_with(offer.experiment() + "/") ||
        leg.experiment().size() > kMaximumNameBytes) {
      return Refused("a leg does not belong to " + offer.experiment());
    }
    if (leg.assignment_size() > kMaximumAssignmentBytes ||
        leg.assignment_hash().size() != Digest::kSize) {
      return Refused("the assignment of a leg has no possible size or hash");
    }
    size += leg.assignment_size();
  }
  if (size > kMaximumOfferedBytes) return Refused("its assignments are too large");
  return offer;
}

Result<Proposal> Proposal::Create(std::string offer, std::vector<std::string> assignments) {
  Proposal proposal;
  FEDMETA_ASSIGN_OR_RETURN(proposal.offer, ParseOffer(offer));
  if (static_cast<int>(assignments.size()) != proposal.offer.legs_size())
    return Refused("assignments are missing");
  proposal.hash = Digest::Of(offer);
  for (int i = 0; i < proposal.offer.legs_size(); ++i) {
    const v1::OfferedLeg& leg = proposal.offer.legs(i);
    const std::string& bytes = assignments[static_cast<std::size_t>(i)];
    v1::Assignment assignment;
    if (Digest::Of(bytes).bytes() != leg.assignment_hash() || !assignment.ParseFromString(bytes) ||
        (assignment.experiment() != leg.experiment() &&
         assignment.experiment() != proposal.offer.experiment())) {
      return Refused("the assignment of a leg is not the one that it names");
    }
    proposal.assignments.push_back(std::move(assignment));
  }
  proposal.offer_bytes = std::move(offer);
  proposal.assignment_bytes = std::move(assignments);
  return proposal;
}

}  // namespace fedmeta

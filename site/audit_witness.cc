#include "fedmeta/site/audit_witness.h"

#include <utility>

#include "fedmeta/core/file.h"
#include "fedmeta/identity/signature.h"
#include "fedmeta/protocol/audit_chain.h"

namespace fedmeta {
namespace {

Error Refused(const std::string& why) {
  return {ErrorCode::kPermissionDenied,
          "the coordinator is refused: " + why +
              ". If its state was restored from a backup, the federation's authority signs a "
              "higher epoch (`fedmeta pki epoch`)"};
}

}  // namespace

Result<std::unique_ptr<AuditWitness>> AuditWitness::Open(std::filesystem::path state_dir,
                                                         const IdentitySource& identity,
                                                         const Clock& clock) {
  std::unique_ptr<AuditWitness> witness(
      new AuditWitness(state_dir / "coordinator.binpb", identity, clock));
  witness->memory_.set_epoch(1);
  if (!std::filesystem::exists(witness->file_)) return witness;
  FEDMETA_ASSIGN_OR_RETURN(const std::string content, ReadFile(witness->file_));
  if (!witness->memory_.ParseFromString(content)) {
    return Error(ErrorCode::kDataLoss, witness->file_.string() +
                                           ": damaged; what this site remembers of its coordinator "
                                           "is lost: restore the state folder");
  }
  return witness;
}

Status AuditWitness::Save() const {
  return WriteFileAtomically(file_, std::string_view(memory_.SerializeAsString()), 0600);
}

Status AuditWitness::Joined(const v1::Welcome& welcome) {
  std::uint64_t number = 1;
  restored_.clear();
  if (!welcome.epoch().empty()) {
    v1::SignedEpoch signed_epoch;
    v1::Epoch epoch;
    if (!signed_epoch.ParseFromString(welcome.epoch()) ||
        !epoch.ParseFromString(signed_epoch.epoch())) {
      return Refused("its epoch is no message of its kind");
    }
    const Status by_authority =
        CheckAuthority(kEpochDomain, signed_epoch.epoch(), signed_epoch.signature(),
                       identity_.credentials()->trust_pem);
    if (!by_authority.ok()) return Refused("its epoch: " + by_authority.error().message());
    number = epoch.number();
    restored_ = epoch.coordinator();
  }
  if (number < memory_.epoch()) {
    return Refused("it is of epoch " + std::to_string(number) + ", this site has seen epoch " +
                   std::to_string(memory_.epoch()));
  }
  if (number == memory_.epoch()) return {};
  memory_.set_epoch(number);
  memory_.clear_place();
  memory_.clear_counted();
  return Save();
}

Status AuditWitness::CheckExtends(const v1::AuditHead& head, const v1::AuditPlace& place) const {
  v1::AuditPlace last;
  if (memory_.place().empty()) return {};
  if (!last.ParseFromString(memory_.place())) return Refused("this site's memory is damaged");
  if (place.chain() != last.chain())
    return Refused("its audit record is another one than this site has countersigned");
  if (place.index() < last.index()) {
    return Refused("its audit record ends at entry " + std::to_string(place.index()) +
                   ", this site has countersigned entry " + std::to_string(last.index()) +
                   ": its state is older than what this site has seen");
  }
  FEDMETA_ASSIGN_OR_RETURN(const Digest from, Digest::FromBytes(last.hash()));
  const Result<Digest> to = FollowAuditChain(from, head.digests());
  if (head.since() != last.index() ||
      head.digests().size() != (place.index() - last.index()) * Digest::kSize || !to.ok() ||
      to->bytes() != place.hash()) {
    return Refused(
        "its audit record does not extend what this site has countersigned: it was "
        "rewritten");
  }
  return {};
}

Status AuditWitness::Take(const std::string& bytes) {
  v1::AuditHead head;
  v1::AuditPlace place;
  if (!head.ParseFromString(bytes) || !place.ParseFromString(head.place()))
    return Refused("its audit head is no message of its kind");
  const auto credentials = identity_.credentials();
  const Result<IdentityUri> signer =
      CheckStatement({.domain = kAuditHeadDomain,
                      .statement = head.place(),
                      .signature = head.signature(),
                      .certificates_pem = head.certificates_pem()},
                     credentials->trust_pem, IdentityRole::kCoordinator, clock_.Wall());
  if (!signer.ok()) return Refused("its audit head: " + signer.error().message());
  if (!restored_.empty() && signer->ToString() != restored_)
    return Refused("the epoch is for " + restored_ + ", not for " + signer->ToString());
  if (place.epoch() != memory_.epoch())
    return Refused("its audit head is of epoch " + std::to_string(place.epoch()));
  FEDMETA_RETURN_IF_ERROR(CheckExtends(head, place));
  if (memory_.place() != head.place()) {
    memory_.set_place(head.place());
    FEDMETA_RETURN_IF_ERROR(Save());
  }
  v1::AuditCountersignature countersignature;
  countersignature.set_place(head.place());
  countersignature.set_certificates_pem(credentials->certificate_pem);
  FEDMETA_ASSIGN_OR_RETURN(*countersignature.mutable_signature(),
                           SignStatement(*credentials, kAuditCountersignatureDomain, head.place()));
  countersignature_ = countersignature.SerializeAsString();
  return {};
}

Status AuditWitness::Check(const RoundPlan& plan) const {
  if (!plan.message().has_train()) return {};
  const auto counted = memory_.counted().find(plan.key().experiment.value());
  if (counted == memory_.counted().end() || plan.key().round > counted->second) return {};
  return Refused("it asks for " + plan.key().ToString() + ", but this site was counted in round " +
                 std::to_string(counted->second) +
                 ": its state is older than what this site has "
                 "seen");
}

Status AuditWitness::Counted(const RoundKey& key) {
  if (key.purpose != Purpose::kTrain) return {};
  std::uint64_t& counted = (*memory_.mutable_counted())[key.experiment.value()];
  if (counted >= key.round) return {};
  counted = key.round;
  return Save();
}

}  // namespace fedmeta

#include "fedmeta/coordinator/store_checks.h"

#include <string>

namespace fedmeta {
namespace {

Status CheckRun(const Lease& lease, const RoundKey& key) {
  if (key.experiment.value().starts_with(lease.run.value() + "/")) return {};
  return Error(ErrorCode::kInvalidArgument, "store: the lease is for the legs of " +
                                                lease.run.value() + ", not for " +
                                                key.experiment.value());
}

std::string Name(const std::optional<RoundKey>& key) { return key ? key->ToString() : "none"; }

}  // namespace

Status CheckAttemptOfRun(const Lease& lease, const RoundKey& key) {
  FEDMETA_RETURN_IF_ERROR(CheckRun(lease, key));
  if (key.attempt != 0 && key.session == 0) return {};
  return Error(ErrorCode::kInvalidArgument,
               "store: " + key.ToString() + " is no attempt: attempt must be >= 1, session 0");
}

Status CheckSessionOfRun(const Lease& lease, const RoundKey& session) {
  FEDMETA_RETURN_IF_ERROR(CheckRun(lease, session));
  if (session.attempt != 0 && session.session != 0) return {};
  return Error(ErrorCode::kInvalidArgument,
               "store: " + session.ToString() + " is no session: attempt and session count from 1");
}

Status CheckCommit(const RoundPlan& plan, const CommittedRound& round) {
  if (round.key != plan.key()) {
    return Error(ErrorCode::kInvalidArgument, "store: round " + round.key.ToString() +
                                                  " cannot be committed for the plan of " +
                                                  plan.key().ToString());
  }
  if (plan.key().purpose != Purpose::kTrain) {
    return Error(ErrorCode::kInvalidArgument,
                 "store: " + plan.key().ToString() + " changes no state, nothing to commit");
  }
  return {};
}

Error StaleLease(const Lease& lease) {
  return {ErrorCode::kFailedPrecondition, "store: lease of epoch " + std::to_string(lease.epoch) +
                                              " on " + lease.run.value() +
                                              " is no longer valid: another holder took over"};
}

Error BegunBefore(const RoundKey& attempt) {
  return {ErrorCode::kAlreadyExists, "store: attempt " + attempt.ToString() + " was begun before"};
}

Error NeverBegun(const RoundKey& attempt) {
  return {ErrorCode::kFailedPrecondition,
          "store: attempt " + attempt.ToString() + " was never begun"};
}

Error EndedBefore(const RoundKey& attempt) {
  return {ErrorCode::kFailedPrecondition,
          "store: attempt " + attempt.ToString() + " has ended before"};
}

Error ChargedBefore(const RoundKey& session) {
  return {ErrorCode::kAlreadyExists,
          "store: session " + session.ToString() + " was charged before"};
}

Error NotOnHead(const RoundPlan& plan, const std::optional<RoundKey>& head) {
  return {ErrorCode::kFailedPrecondition, "store: " + plan.key().ToString() + " builds on " +
                                              Name(plan.parent()) +
                                              ", but the last committed round is " + Name(head)};
}

Error NoBlob(const BlobRef& blob) {
  return {ErrorCode::kNotFound, "store: no blob " + blob.sha256.hex()};
}

Error OtherSize(const BlobRef& blob, std::uint64_t size) {
  return DamagedBlob(blob, "it has " + std::to_string(size) + " bytes");
}

Error DamagedBlob(const BlobRef& blob, std::string_view what) {
  return {ErrorCode::kDataLoss, "store: blob " + blob.sha256.hex() + " of " +
                                    std::to_string(blob.size) +
                                    " bytes is damaged: " + std::string(what)};
}

RoundKey AttemptOf(RoundKey session) {
  session.session = 0;
  return session;
}

}  // namespace fedmeta

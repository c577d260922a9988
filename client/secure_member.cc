#include "fedmeta/client/secure_member.h"

#include <utility>

#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/protocol/phases.h"

namespace fedmeta {

Result<SecureMember> SecureMember::Create(SecureClient::Options options) {
  FEDMETA_ASSIGN_OR_RETURN(SecureClient client, SecureClient::Create(std::move(options)));
  return SecureMember(std::move(client));
}

void SecureMember::Hold(const RoundPlan& plan, const v1::Assignment& assignment,
                        std::shared_ptr<const RingVector> encoded,
                        std::optional<LocalNoise> noise) {
  held_ = Held{.plan = plan,
               .model_hash = ModelHash(QuestionHash(assignment), plan.message()),
               .encoded = std::move(encoded),
               .noise = std::move(noise)};
}

Result<SecureMember::Answer> SecureMember::Handle(const v1::PhaseRequest& request) {
  FEDMETA_ASSIGN_OR_RETURN(RoundKey key, FromMessage(request.key()));
  const std::uint32_t session = std::exchange(key.session, 0);
  if (!held_ || held_->plan.key() != key || session == 0) {
    return Error(ErrorCode::kFailedPrecondition,
                 "secure aggregation: no update of " + key.ToString() + " is held here");
  }
  Answer answer{.phase = request.phase(), .body = {}, .upload = {}};
  if (request.phase() == kAdvertisePhase) {
    FEDMETA_ASSIGN_OR_RETURN(answer.body, client_.Advertise({.key = SecureKey(held_->plan, session),
                                                             .group = request.group(),
                                                             .plan_hash = held_->plan.hash(),
                                                             .model_hash = held_->model_hash,
                                                             .bits = held_->encoded->bits(),
                                                             .words = held_->encoded->size()}));
  } else if (request.phase() == kSharePhase) {
    FEDMETA_ASSIGN_OR_RETURN(answer.body, client_.Share(request.body()));
  } else if (request.phase() == kMaskPhase) {
    return Mask(request.body());
  } else if (request.phase() == kOpenPhase) {
    FEDMETA_ASSIGN_OR_RETURN(answer.body, client_.Open(request.body()));
  } else {
    return Error(ErrorCode::kInvalidArgument, "secure aggregation: no such phase");
  }
  return answer;
}

/// The update is noised and masked in a copy: another session may need it. Only now are the members
/// known, among whom the noise is shared out.
Result<SecureMember::Answer> SecureMember::Mask(const std::string& delivery) {
  RingVector vector = *held_->encoded;
  if (held_->noise && client_.members() > 0) {
    SecretRng rng;
    const Status added =
        held_->noise->AddTo(vector, static_cast<std::uint32_t>(client_.members()), rng);
    if (!added.ok()) {
      client_.End();
      return added.error();
    }
  }
  Result<SecureClient::Masked> masked = client_.Mask(delivery, std::move(vector));
  if (masked.ok()) {
    return Answer{.phase = std::string(kMaskPhase),
                  .body = std::move(masked->receipt),
                  .upload = masked->vector,
                  .upload_hash = masked->vector_hash};
  }
  if (!client_.complaint()) return masked.error();
  return Answer{.phase = std::string(kComplaintPhase), .body = *client_.complaint(), .upload = {}};
}

}  // namespace fedmeta

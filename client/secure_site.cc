#include "fedmeta/client/secure_site.h"

#include <utility>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/file.h"
#include "fedmeta/privacy/opening_log.h"

namespace fedmeta {

Result<SecureSite::Source*> SecureSite::Open(const std::string& data) {
  if (const auto found = sources_.find(data); found != sources_.end()) return &found->second;
  if (!lock_) {
    FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(folder_, 0700));
    FEDMETA_ASSIGN_OR_RETURN(lock_, FileLock::Acquire(folder_ / "openings"));
  }
  Source source;
  FEDMETA_ASSIGN_OR_RETURN(
      source.latch,
      OpenOpeningLog({.path = folder_ / (Digest::Of(data).hex().substr(0, 16) + ".log"),
                      .same_model = identity_.same_model,
                      .reopen = identity_.reopen}));
  FEDMETA_ASSIGN_OR_RETURN(source.member, SecureMember::Create({.federation = identity_.federation,
                                                                .policy = identity_.policy,
                                                                .signer = identity_.signer,
                                                                .verifier = identity_.verifier,
                                                                .latch = source.latch.get()}));
  return &sources_.emplace(data, std::move(source)).first->second;
}

Status SecureSite::Hold(const std::string& data, const RoundPlan& plan,
                        const v1::Assignment& assignment, std::shared_ptr<const RingVector> encoded,
                        std::optional<LocalNoise> noise) {
  FEDMETA_ASSIGN_OR_RETURN(Source * source, Open(data));
  if (current_ != nullptr && current_ != &*source->member) current_->End();
  current_ = &*source->member;
  current_->Hold(plan, assignment, std::move(encoded), std::move(noise));
  return {};
}

}  // namespace fedmeta

#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "fedmeta/client/secure_member.h"
#include "fedmeta/core/file_lock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/privacy/opening_latch.h"

namespace fedmeta {

/// What a live site needs for secure aggregation: who it is, whom it believes, what it allows.
struct SecureIdentity {
  std::string federation;
  MemberPolicy policy;
  SignerSource signer;
  const PeerVerifier* verifier = nullptr;    ///< outlives the site
  std::uint32_t same_model = 0, reopen = 0;  ///< OpeningLogOptions
  bool plan_seeds = false;  ///< training draws follow from the plan, not from a secret of this site
};

/// A live client's SecureMembers, one for each of its data sources, with what each has opened in
/// `<folder>/<hash of the source's name>.log`. The folder is locked from the first use on: two
/// processes that share it would each open what the other has. Not thread-safe.
class SecureSite {
 public:
  SecureSite(SecureIdentity identity, std::filesystem::path folder)
      : identity_(std::move(identity)), folder_(std::move(folder)) {}

  const SecureIdentity& identity() const { return identity_; }
  /// The update of a plan for this data; sessions are of the latest one. kUnavailable: another
  /// process has the folder; kDataLoss: the record of openings is damaged.
  Status Hold(const std::string& data, const RoundPlan& plan, const v1::Assignment& assignment,
              std::shared_ptr<const RingVector> encoded, std::optional<LocalNoise> noise);
  /// Null before the first Hold.
  SecureMember* member() { return current_; }

 private:
  struct Source {
    std::unique_ptr<OpeningLatch> latch;
    std::optional<SecureMember> member;
  };
  Result<Source*> Open(const std::string& data);

  const SecureIdentity identity_;
  const std::filesystem::path folder_;
  std::optional<FileLock> lock_;
  std::map<std::string, Source> sources_;
  SecureMember* current_ = nullptr;
};

}  // namespace fedmeta

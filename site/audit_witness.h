#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/protocol/round_key.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/v1/audit.pb.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// A site's memory of its coordinator, in coordinator.binpb of the state folder, on disk before
/// anything follows from it: the place of the audit chain that this site has countersigned, the
/// last training round of each leg in which it was counted, the coordinator's epoch. A coordinator
/// whose state is older than that was rolled back, and is refused unless the authority has signed a
/// higher epoch for it. Every error but those of the disk is kPermissionDenied: it ends the client.
/// Not thread-safe.
class AuditWitness {
 public:
  /// Identity and clock are borrowed.
  static Result<std::unique_ptr<AuditWitness>> Open(std::filesystem::path state_dir,
                                                    const IdentitySource& identity,
                                                    const Clock& clock);

  std::uint64_t epoch() const { return memory_.epoch(); }  ///< of the coordinator, since Joined
  const std::string& place() const { return memory_.place(); }  ///< for ClientHello
  Status Joined(const v1::Welcome& welcome);
  /// Makes sure that the head extends the one countersigned last, and countersigns it.
  Status Take(const std::string& head);
  /// For the next request; empty: nothing new.
  std::string TakeCountersignature() { return std::exchange(countersignature_, {}); }
  /// A training plan for a round in which this site was counted already is refused.
  Status Check(const RoundPlan& plan) const;
  Status Counted(const RoundKey& key);

 private:
  AuditWitness(std::filesystem::path file, const IdentitySource& identity, const Clock& clock)
      : file_(std::move(file)), identity_(identity), clock_(clock) {}
  Status CheckExtends(const v1::AuditHead& head, const v1::AuditPlace& place) const;
  Status Save() const;

  const std::filesystem::path file_;
  const IdentitySource& identity_;
  const Clock& clock_;
  v1::CoordinatorMemory memory_;
  std::string restored_;  ///< identity that the authority's epoch names
  std::string countersignature_;
};

}  // namespace fedmeta

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "fedmeta/core/result.h"
#include "fedmeta/privacy/local_noise.h"
#include "fedmeta/privacy/secure_client.h"
#include "fedmeta/privacy/secure_terms.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// A client in the sessions of secure aggregation: keeps its encoded update of the latest plan and
/// answers the coordinator's steps, in as many sessions of the attempt as it takes. Sans-I/O; a
/// live client and a simulation use it alike. Not thread-safe.
class SecureMember {
 public:
  static Result<SecureMember> Create(SecureClient::Options options);

  /// The encoded update of this plan; an earlier plan's is dropped. `noise`: of mode distributed,
  /// drawn anew for every session, so that no two of them can be compared.
  void Hold(const RoundPlan& plan, const v1::Assignment& assignment,
            std::shared_ptr<const RingVector> encoded, std::optional<LocalNoise> noise = {});

  struct Answer {
    std::string phase, body;            ///< of the PhaseReply
    std::span<const std::byte> upload;  ///< masked, to be uploaded before the reply; often empty
    Digest upload_hash = {};
  };
  /// Hostile input. Errors: those of SecureClient; kFailedPrecondition for an attempt whose update
  /// is not held. `upload` is valid until the next call.
  Result<Answer> Handle(const v1::PhaseRequest& request);
  const RoundPlan* plan() const { return held_ ? &held_->plan : nullptr; }  ///< of the update
  /// Erases the running session.
  void End() { client_.End(); }
  /// Members of the running session, once it has some; 0.
  std::size_t members() const { return client_.members(); }

 private:
  struct Held {
    RoundPlan plan;
    Digest model_hash;
    std::shared_ptr<const RingVector> encoded;
    std::optional<LocalNoise> noise;
  };
  explicit SecureMember(SecureClient client) : client_(std::move(client)) {}
  Result<Answer> Mask(const std::string& delivery);

  SecureClient client_;
  std::optional<Held> held_;
};

}  // namespace fedmeta

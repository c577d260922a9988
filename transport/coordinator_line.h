#pragma once

#include <memory>
#include <mutex>
#include <string>

#include <grpcpp/channel.h>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/transport/dial_target.h"
#include "fedmeta/v1/service.grpc.pb.h"

namespace fedmeta {

/// The connection that a link's calls use: dialled anew once our certificate was renewed, or when
/// the coordinator's no longer counts. Calls that run keep theirs. Thread-safe.
class CoordinatorLine {
 public:
  struct Dialled {
    std::shared_ptr<const Credentials> with;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<v1::Coordinator::Stub> stub;
    std::string coordinator;  ///< the certificates it presented last; the line guards them
  };
  CoordinatorLine(std::shared_ptr<const DialTarget> target,
                  std::shared_ptr<const IdentitySource> identity);

  std::shared_ptr<Dialled> Current();
  /// Whether the coordinator that answered `by` still counts; kUnavailable if not, and the next
  /// call dials.
  Status CheckAnswer(Dialled& by, std::string certificates_pem);
  /// The next call dials.
  void Drop(const Dialled& by);

 private:
  const std::shared_ptr<const DialTarget> target_;
  const std::shared_ptr<const IdentitySource> identity_;
  std::mutex mutex_;
  std::shared_ptr<Dialled> current_;
};

}  // namespace fedmeta

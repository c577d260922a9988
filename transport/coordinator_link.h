#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/v1/client.pb.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// A client's way to its coordinator. Knows nothing of phases: secure aggregation, evaluation and
/// asynchronous rounds are other bodies of Instruction and Report. Blocking; thread-safe, so that
/// heartbeats run beside an upload; `stop` interrupts any call. Retries of transient failures
/// happen inside, with backoff (1 s doubling to 30 s, jittered) and one log line at the first
/// failure and at recovery; every call has a deadline and is idempotent by RoundKey.
/// Errors: kUnavailable only after `give_up`; kPermissionDenied, kInvalidArgument,
/// kFailedPrecondition final; kUnauthenticated final before the first answer, later an expired
/// certificate that may be renewed; kCancelled.
class CoordinatorLink {
 public:
  virtual ~CoordinatorLink() = default;
  virtual Result<v1::Welcome> Join(const v1::ClientHello& hello, std::stop_token stop) = 0;
  /// Long poll; of any experiment this client serves. kFailedPrecondition "join first" after the
  /// coordinator restarted.
  virtual Result<v1::Instruction> Next(const v1::NextRequest& request, std::stop_token stop) = 0;
  virtual Status Send(const v1::Report& report, std::stop_token stop) = 0;
  /// Fills `content` exactly; checks the digest before it returns; resumes at the byte where a
  /// connection broke.
  virtual Status Download(const Digest& digest, std::span<std::byte> content,
                          std::stop_token stop) = 0;
  /// header.offset is set inside: an upload resumes where UploadStatus says. Success: the
  /// coordinator has it whole. kFailedPrecondition with the reason: the attempt is over.
  virtual Status Upload(const v1::UploadHeader& header, std::span<const std::byte> payload,
                        std::stop_token stop) = 0;
};

/// gRPC with mutual TLS, verifying the coordinator's certificate, name and role; through an HTTP
/// CONNECT proxy if the file says so (a refused proxy password is said as such). A renewed
/// certificate of `identity` is used from the next call on. A coordinator whose certificate expired
/// or was revoked reads as one that is not there. `reached` hears, on any thread, when the
/// coordinator is first reached, lost and reached again; it does not block.
Result<std::unique_ptr<CoordinatorLink>> MakeGrpcLink(const v1::CoordinatorAddress& address,
                                                      std::shared_ptr<IdentitySource> identity,
                                                      Logger& logger,
                                                      std::function<void(bool)> reached = {});

}  // namespace fedmeta

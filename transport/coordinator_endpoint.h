#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

template <typename T>
using Done = std::function<void(Result<T>)>;

/// One upload that holds a staging slot. Calls come one at a time. Destroying it frees the slot;
/// what was received stays for a while, so that the client can resume.
class UploadSink {
 public:
  virtual ~UploadSink() = default;
  /// The answer, where no bytes are needed for it: the upload is here already, or came too late to
  /// count. Nothing is written then.
  virtual std::optional<v1::UploadPosition> already() const { return std::nullopt; }
  /// Appends. Errors: kResourceExhausted beyond the announced size. Copies; never blocks.
  virtual Status Write(std::span<const std::byte> data) = 0;
  /// All bytes are in: verifies size and digest, then answers once the upload counts as received.
  /// kDataLoss on a wrong digest.
  virtual void Finish(Done<v1::UploadPosition> done) = 0;
};

/// What a transport server calls; the coordinator implements it (and tests fake it). Thread-safe;
/// no call blocks: answers come through Done, perhaps on another thread, exactly once. `client`
/// comes from the certificate.
class CoordinatorEndpoint {
 public:
  virtual ~CoordinatorEndpoint() = default;
  virtual void Join(const ClientId& client, const v1::ClientHello& hello,
                    Done<v1::Welcome> done) = 0;
  /// Long poll: answers with Idle after Welcome.poll_ms at the latest. A newer Next of the same
  /// client answers the older with Idle.
  virtual void Next(const ClientId& client, const v1::NextRequest& request,
                    Done<v1::Instruction> done) = 0;
  virtual void Send(const ClientId& client, const v1::Report& report,
                    Done<v1::Acknowledgement> done) = 0;
  /// A blob that a plan of this client names; kNotFound otherwise.
  virtual Result<std::shared_ptr<const Bytes>> FindBlob(const ClientId& client,
                                                        const Digest& digest) = 0;
  virtual Result<v1::UploadPosition> UploadStatus(const ClientId& client,
                                                  const v1::UploadHeader& header) = 0;
  /// Answers when a staging slot is free (the transport reads nothing until then, so HTTP/2 flow
  /// control holds the peer), or at once with the reason: stale round, wrong plan hash, size or
  /// digest length, already received with another digest (kAlreadyExists). A repeat of an upload
  /// that is here, and one that this client was asked for but brings too late, is acknowledged: see
  /// UploadSink::already.
  virtual void OpenUpload(const ClientId& client, const v1::UploadHeader& header,
                          Done<std::shared_ptr<UploadSink>> done) = 0;
  /// Any call of this client, or its disconnection, for liveness.
  virtual void Heard(const ClientId& client) = 0;
  /// Every connection that this client had is closed: its process has ended, or has to dial anew.
  virtual void Gone(const ClientId& client) = 0;
};

/// Bounds on what peers can cost; see coordinator.proto, Limits.
struct TransportLimits {
  std::uint64_t stream_idle_ms = 30'000;
  std::uint64_t minimum_bytes_per_second = 4096;
  std::uint64_t connection_age_ms = 1'800'000;  ///< then the peer dials anew
  std::uint32_t calls_per_second = 200;         ///< of one client
  std::uint32_t streams_per_client = 4;         ///< uploads and downloads
  std::uint32_t connections = 10'000;           ///< of clients that have made a call
  std::uint32_t handshakes = 1024;              ///< connections that have not
  std::uint32_t connections_per_client = 4;
};

}  // namespace fedmeta

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/transport/coordinator_endpoint.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// Where uploads arrive: a fixed number of slots, the other clients wait. Memory is bounded by
/// twice the slots: what a broken stream left behind is kept so that the client can resume, at most
/// as many of these as there are slots, the oldest going first.
///
/// An upload is taken only for an attempt that Expect opened for that client, of the expected size,
/// bound to the plan's hash; digest and size are verified before it counts. Repeats of a whole
/// upload are acknowledged, another digest under the same key is refused. A second stream of one
/// client for one attempt takes over from the first. The latest attempts of a client are remembered
/// after their end, so that a repeat is still acknowledged, and one that was asked for but comes
/// late is acknowledged as discarded, with the reason.
///
/// Thread-safe; callbacks run without a lock held. Sinks may outlive this object: they then only
/// answer errors.
class UploadStaging {
 public:
  struct Options {
    std::size_t slots = 2;
    /// An upload is whole and verified: its payload waits in the slot.
    std::function<void(const RoundKey&, const ClientId&, std::uint32_t slot, const Digest&)> staged;
    /// Bytes of this client came in.
    std::function<void(const ClientId&)> heard;
  };
  explicit UploadStaging(Options options);
  /// Waiting clients are answered with kUnavailable.
  ~UploadStaging();
  UploadStaging(const UploadStaging&) = delete;
  UploadStaging& operator=(const UploadStaging&) = delete;

  // For the coordinator.

  /// Opens the attempt of this plan for these clients, or the session of it that `key` names;
  /// `size`: of a payload, exactly. Again for one that is open: nothing changes.
  void Expect(const RoundPlan& plan, const RoundKey& key, std::span<const ClientId> clients,
              std::uint64_t size);
  /// The attempt, with all its sessions, or the one session of the key is over for this client: no
  /// more uploads; a slot that it holds is freed unless Take gave it out. `reason`: for an upload
  /// that comes late.
  void Close(const RoundKey& key, const ClientId& client, const std::string& reason);
  /// The payload of a staged slot; valid until Free.
  std::span<const std::byte> Take(std::uint32_t slot);
  void Free(std::uint32_t slot);
  std::size_t slots_in_use() const;

  // For the transport, as CoordinatorEndpoint says.

  Result<v1::UploadPosition> Position(const ClientId& client, const v1::UploadHeader& header);
  void Open(const ClientId& client, const v1::UploadHeader& header,
            Done<std::shared_ptr<UploadSink>> done);

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace fedmeta

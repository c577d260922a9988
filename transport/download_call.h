#pragma once

#include <memory>

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/transport/client_quota.h"
#include "fedmeta/transport/coordinator_endpoint.h"
#include "fedmeta/transport/stall_watch.h"
#include "fedmeta/transport/unary_call.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// Sends a blob from an offset on, piece by piece; the blob is shared, so a download costs two
/// pieces of memory. A peer that takes nothing, or too slowly, is cut off and may resume.
class DownloadCall final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  struct Context {
    const TransportLimits& limits;
    const Clock& clock;
    StallWatch& watch;
    AdmittedCalls& calls;
    ClientQuota::Lease lease;
  };
  DownloadCall(const Context& context, grpc::CallbackServerContext& call,
               std::shared_ptr<const Bytes> blob, std::uint64_t offset);

 private:
  class Progress;

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { delete this; }
  void WriteNext();

  const Context context_;
  grpc::CallbackServerContext& call_;
  const std::shared_ptr<const Bytes> blob_;
  std::uint64_t offset_;
  v1::Piece piece_;
  grpc::ByteBuffer bytes_;
  const std::shared_ptr<Progress> progress_;
};

}  // namespace fedmeta

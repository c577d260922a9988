#pragma once

#include <memory>

#include <grpcpp/support/server_callback.h>

#include "fedmeta/core/clock.h"
#include "fedmeta/transport/client_quota.h"
#include "fedmeta/transport/coordinator_endpoint.h"
#include "fedmeta/transport/stall_watch.h"
#include "fedmeta/transport/unary_call.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// One upload: header, slot, pieces, verdict. Nothing is read between the header and the slot, so
/// that HTTP/2 flow control holds the peer back. A peer that idles or crawls is ended with
/// kDeadlineExceeded and may resume. What the coordinator has already is
/// acknowledged without its bytes.
class UploadCall final : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  struct Context {
    CoordinatorEndpoint& endpoint;
    const TransportLimits& limits;
    const Clock& clock;
    StallWatch& watch;
    AdmittedCalls& calls;
    ClientQuota::Lease lease;
  };
  UploadCall(const Context& context, ClientId client, std::string certificates_pem,
             grpc::ByteBuffer* response);

 private:
  class Progress;

  void OnReadDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { delete this; }

  void OpenSink();
  void WritePiece();
  void FinishSink();
  void ReadNext();
  void End(const Error& error);
  static void Answer(Progress& progress, const Result<v1::UploadPosition>& position);

  const Context context_;
  const ClientId client_;
  grpc::ByteBuffer* const response_;
  grpc::ByteBuffer bytes_;
  v1::UploadPiece piece_;
  v1::UploadHeader header_;
  bool header_read_ = false;
  std::uint64_t received_ = 0;  ///< with what an earlier call brought
  std::shared_ptr<UploadSink> sink_;
  const std::shared_ptr<Progress> progress_;
};

}  // namespace fedmeta

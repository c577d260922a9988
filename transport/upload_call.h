#pragma once

#include <memory>

#include <grpcpp/support/server_callback.h>

#include "fedmeta/core/clock.h"
#include "fedmeta/transport/coordinator_endpoint.h"
#include "fedmeta/transport/stall_watch.h"
#include "fedmeta/transport/unary_call.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// One upload: header, slot, pieces, verdict. Nothing is read between the header and the slot, so
/// that HTTP/2 flow control holds the peer back. A peer that idles or crawls is ended with
/// kDeadlineExceeded and may resume.
class UploadCall final : public grpc::ServerReadReactor<v1::UploadPiece> {
 public:
  struct Context {
    CoordinatorEndpoint& endpoint;
    const TransportLimits& limits;
    const Clock& clock;
    StallWatch& watch;
    AdmittedCalls& calls;
  };
  UploadCall(const Context& context, ClientId client, std::string certificates_pem,
             v1::UploadPosition* response);

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

  const Context context_;
  const ClientId client_;
  v1::UploadPosition* const response_;
  v1::UploadPiece piece_;
  v1::UploadHeader header_;
  bool header_read_ = false;
  std::uint64_t received_ = 0;  ///< with what an earlier call brought
  std::shared_ptr<UploadSink> sink_;
  const std::shared_ptr<Progress> progress_;
};

}  // namespace fedmeta

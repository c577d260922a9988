#include "fedmeta/transport/upload_call.h"

#include "fedmeta/protocol/limits.h"
#include "fedmeta/transport/message_bytes.h"
#include "fedmeta/transport/stream_pace.h"

namespace fedmeta {

/// The handle to the call, and its peer's speed. Guarded by the handle's lock.
class UploadCall::Progress final : public CallHandle<UploadCall>, public Stallable {
 public:
  Progress(UploadCall& call, const TransportLimits& limits)
      : CallHandle(call), pace("upload", limits) {}

  void EndIfStalled(TimePoint now) override {
    std::string why;
    With([&](UploadCall&) { why = pace.Stall(now); });
    if (why.empty()) return;
    if (UploadCall* call = Take()) call->Finish(ToGrpc(Error(ErrorCode::kDeadlineExceeded, why)));
  }

  StreamPace pace;
};

UploadCall::UploadCall(const Context& context, ClientId client, std::string certificates_pem,
                       grpc::ByteBuffer* response)
    : context_(context),
      client_(std::move(client)),
      response_(response),
      progress_(std::make_shared<Progress>(*this, context.limits)) {
  context_.watch.Add(progress_);
  context_.calls.Add(progress_, std::move(certificates_pem));
  progress_->With([&](UploadCall&) {
    progress_->pace.Started(context_.clock.Now());
    ReadNext();
  });
}

void UploadCall::OnReadDone(bool ok) {
  const bool first = !header_read_;
  Status parsed;
  const bool ours = progress_->With([&](UploadCall&) {
    if (ok) parsed = ParseMessage(bytes_, piece_);
    progress_->pace.Moved(ok ? piece_.data().size() : 0);
  });
  if (!ours) return;
  if (!parsed.ok()) return End(parsed.error());
  if (first && ok) {
    OpenSink();
  } else if (first) {
    End(Error(ErrorCode::kInvalidArgument, "the upload ended before its header"));
  } else if (ok) {
    WritePiece();
  } else {
    FinishSink();
  }
}

void UploadCall::OpenSink() {
  if (!piece_.has_header())
    return End(Error(ErrorCode::kInvalidArgument, "an upload starts with its header"));
  header_read_ = true;
  header_ = piece_.header();
  received_ = header_.offset();
  context_.endpoint.OpenUpload(client_, header_,
                               [progress = progress_](Result<std::shared_ptr<UploadSink>> sink) {
                                 if (!sink.ok()) return Answer(*progress, sink.error());
                                 if (const auto known = sink.value()->already())
                                   return Answer(*progress, *known);
                                 // If the peer is gone meanwhile, the sink goes here and its slot
                                 // is free.
                                 progress->With([&](UploadCall& call) {
                                   call.sink_ = std::move(sink).value();
                                   progress->pace.Started(call.context_.clock.Now());
                                   call.ReadNext();
                                 });
                               });
}

void UploadCall::WritePiece() {
  const std::string& data = piece_.data();
  if (!piece_.has_data() || data.size() > kPieceBytes) {
    return End(Error(ErrorCode::kInvalidArgument,
                     "after its header an upload holds pieces of data of at most " +
                         std::to_string(kPieceBytes) + " bytes, got " +
                         std::to_string(data.size())));
  }
  if (const Status status = sink_->Write(AsBytes(data)); !status.ok()) return End(status.error());
  received_ += data.size();
  progress_->With([](UploadCall& call) { call.ReadNext(); });
}

void UploadCall::FinishSink() {
  // A broken connection reads as the end of the stream, too: what came stays for the peer to
  // resume.
  if (received_ < header_.size()) {
    return End(Error(ErrorCode::kDataLoss, "the upload ended after " + std::to_string(received_) +
                                               " of " + std::to_string(header_.size()) +
                                               " bytes; resume it"));
  }
  // The sink lives until it has answered, even if the call ends before.
  sink_->Finish([progress = progress_, sink = sink_](Result<v1::UploadPosition> position) {
    Answer(*progress, position);
  });
}

void UploadCall::Answer(Progress& progress, const Result<v1::UploadPosition>& position) {
  UploadCall* call = progress.Take();
  if (call == nullptr) return;
  if (position.ok()) *call->response_ = MessageBytes(position.value());
  call->Finish(position.ok() ? grpc::Status::OK : ToGrpc(position.error()));
}

void UploadCall::ReadNext() {
  progress_->pace.WaitsForPeer(context_.clock.Now());
  StartRead(&bytes_);
}

void UploadCall::End(const Error& error) { Answer(*progress_, error); }

void UploadCall::OnCancel() {
  context_.endpoint.Heard(client_);
  if (progress_->Take() != nullptr) Finish(grpc::Status::CANCELLED);
}

}  // namespace fedmeta

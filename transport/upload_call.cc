#include "fedmeta/transport/upload_call.h"

#include "fedmeta/protocol/limits.h"

namespace fedmeta {

/// The handle to the call, and what is known of the peer's speed. Guarded by the handle's lock.
class UploadCall::Progress final : public CallHandle<UploadCall>, public Stallable {
 public:
  Progress(UploadCall& call, const TransportLimits& limits) : CallHandle(call), limits_(limits) {}

  void Started(TimePoint now) { started_ = now; }
  void WaitsForPeer(TimePoint now) { waits_since_ = now, waiting_ = true; }
  void Got(std::uint64_t bytes) { waiting_ = false, bytes_ += bytes; }

  void EndIfStalled(TimePoint now) override {
    std::string why;
    With([&](UploadCall&) { why = Stall(now); });
    if (why.empty()) return;
    if (UploadCall* call = Take()) call->Finish(ToGrpc(Error(ErrorCode::kDeadlineExceeded, why)));
  }

 private:
  std::string Stall(TimePoint now) const {
    const Duration idle(limits_.upload_idle_ms);
    if (!waiting_) return "";
    if (now - waits_since_ > idle)
      return "the upload brought nothing for " + std::to_string(idle.count()) + " ms; resume it";
    const Duration took = now - started_;
    const bool crawls = took > idle && bytes_ * 1000 < limits_.minimum_bytes_per_second *
                                                           static_cast<std::uint64_t>(took.count());
    if (!crawls) return "";
    return "the upload is slower than " + std::to_string(limits_.minimum_bytes_per_second) +
           " bytes a second; resume it";
  }

  const TransportLimits& limits_;
  TimePoint started_{}, waits_since_{};
  std::uint64_t bytes_ = 0;
  bool waiting_ = false;
};

UploadCall::UploadCall(const Context& context, ClientId client, std::string certificates_pem,
                       v1::UploadPosition* response)
    : context_(context),
      client_(std::move(client)),
      response_(response),
      progress_(std::make_shared<Progress>(*this, context.limits)) {
  context_.watch.Add(progress_);
  context_.calls.Add(progress_, std::move(certificates_pem));
  progress_->With([&](UploadCall&) {
    progress_->Started(context_.clock.Now());
    ReadNext();
  });
}

void UploadCall::OnReadDone(bool ok) {
  const bool first = !header_read_;
  if (!progress_->With([&](UploadCall&) { progress_->Got(ok ? piece_.data().size() : 0); })) return;
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
                                 if (!sink.ok()) {
                                   if (UploadCall* call = progress->Take())
                                     call->Finish(ToGrpc(sink.error()));
                                   return;
                                 }
                                 // If the peer is gone meanwhile, the sink goes here and its slot
                                 // is free.
                                 progress->With([&](UploadCall& call) {
                                   call.sink_ = std::move(sink).value();
                                   progress->Started(call.context_.clock.Now());
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
    UploadCall* call = progress->Take();
    if (call == nullptr) return;
    if (position.ok()) *call->response_ = std::move(position).value();
    call->Finish(position.ok() ? grpc::Status::OK : ToGrpc(position.error()));
  });
}

void UploadCall::ReadNext() {
  progress_->WaitsForPeer(context_.clock.Now());
  StartRead(&piece_);
}

void UploadCall::End(const Error& error) {
  if (progress_->Take() != nullptr) Finish(ToGrpc(error));
}

void UploadCall::OnCancel() {
  context_.endpoint.Heard(client_);
  if (progress_->Take() != nullptr) Finish(grpc::Status::CANCELLED);
}

}  // namespace fedmeta

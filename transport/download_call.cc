#include "fedmeta/transport/download_call.h"

#include <algorithm>

#include "fedmeta/transport/peer_identity.h"
#include "fedmeta/transport/stream_pieces.h"

namespace fedmeta {

/// The handle to the call, and since when its peer takes nothing. Guarded by the handle's lock.
class DownloadCall::Progress final : public CallHandle<DownloadCall>, public Stallable {
 public:
  Progress(DownloadCall& call, const TransportLimits& limits) : CallHandle(call), limits_(limits) {}

  void Waits(TimePoint now) { since_ = now; }

  // A peer that takes nothing would hold back a status: the call is cut.
  void End(const Error&) override {
    With([](DownloadCall& call) { call.call_.TryCancel(); });
  }

  void EndIfStalled(TimePoint now) override {
    // The piece that stands in the way holds back a status as well, so the call is cut.
    With([&](DownloadCall& call) {
      if (now - since_ > Duration(limits_.upload_idle_ms)) call.call_.TryCancel();
    });
  }

 private:
  const TransportLimits& limits_;
  TimePoint since_{};
};

DownloadCall::DownloadCall(const Context& context, grpc::CallbackServerContext& call,
                           std::shared_ptr<const Bytes> blob, std::uint64_t offset)
    : clock_(context.clock),
      call_(call),
      blob_(std::move(blob)),
      offset_(offset),
      progress_(std::make_shared<Progress>(*this, context.limits)) {
  if (offset_ > blob_->size()) {
    progress_->Take();
    Finish(ToGrpc(Error(ErrorCode::kInvalidArgument, "offset must be at most " +
                                                         std::to_string(blob_->size()) + ", got " +
                                                         std::to_string(offset_))));
    return;
  }
  context.watch.Add(progress_);
  context.calls.Add(progress_, PeerCertificates(call.auth_context().get()));
  WriteNext();
}

void DownloadCall::WriteNext() {
  if (offset_ == blob_->size()) {
    if (progress_->Take() != nullptr) Finish(grpc::Status::OK);
    return;
  }
  const std::size_t size = std::min<std::uint64_t>(kStreamPieceBytes, blob_->size() - offset_);
  piece_.set_data(blob_->data() + offset_, size);
  offset_ += size;
  progress_->With([&](DownloadCall&) {
    progress_->Waits(clock_.Now());
    StartWrite(&piece_);
  });
}

void DownloadCall::OnWriteDone(bool ok) {
  if (ok) return WriteNext();
  if (progress_->Take() != nullptr) Finish(grpc::Status::CANCELLED);
}

void DownloadCall::OnCancel() {
  if (progress_->Take() != nullptr) Finish(grpc::Status::CANCELLED);
}

}  // namespace fedmeta

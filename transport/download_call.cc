#include "fedmeta/transport/download_call.h"

#include <algorithm>

#include "fedmeta/transport/peer_identity.h"
#include "fedmeta/transport/stream_pace.h"
#include "fedmeta/transport/stream_pieces.h"

namespace fedmeta {

/// The handle to the call, and its peer's speed. Guarded by the handle's lock.
class DownloadCall::Progress final : public CallHandle<DownloadCall>, public Stallable {
 public:
  Progress(DownloadCall& call, const TransportLimits& limits)
      : CallHandle(call), pace("download", limits) {}

  // A peer that takes nothing would hold back a status: the call is cut.
  void End(const Error&) override {
    With([](DownloadCall& call) { call.call_.TryCancel(); });
  }

  void EndIfStalled(TimePoint now) override {
    // The piece that stands in the way holds back a status as well, so the call is cut.
    With([&](DownloadCall& call) {
      if (!pace.Stall(now).empty()) call.call_.TryCancel();
    });
  }

  StreamPace pace;
};

DownloadCall::DownloadCall(const Context& context, grpc::CallbackServerContext& call,
                           std::shared_ptr<const Bytes> blob, std::uint64_t offset)
    : context_(context),
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
  progress_->pace.Started(context_.clock.Now());
  context_.watch.Add(progress_);
  context_.calls.Add(progress_, PeerCertificates(call.auth_context().get()));
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
  bytes_ = MessageBytes(piece_);
  progress_->With([&](DownloadCall&) {
    progress_->pace.WaitsForPeer(context_.clock.Now());
    StartWrite(&bytes_);
  });
}

void DownloadCall::OnWriteDone(bool ok) {
  if (ok) {
    progress_->With([&](DownloadCall&) { progress_->pace.Moved(piece_.data().size()); });
    return WriteNext();
  }
  if (progress_->Take() != nullptr) Finish(grpc::Status::CANCELLED);
}

void DownloadCall::OnCancel() {
  if (progress_->Take() != nullptr) Finish(grpc::Status::CANCELLED);
}

}  // namespace fedmeta

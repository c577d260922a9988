#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include <grpcpp/support/server_callback.h>

#include "fedmeta/transport/admitted_calls.h"
#include "fedmeta/transport/coordinator_endpoint.h"
#include "fedmeta/transport/grpc_status.h"
#include "fedmeta/transport/message_bytes.h"

namespace fedmeta {

/// A reactor that may be gone when an answer comes: whoever takes it first finishes it, everyone
/// else finds nothing. Holding the lock keeps the reactor alive, because it ends only after it was
/// taken. Thread-safe.
template <typename Call>
class CallHandle : public EndableCall {
 public:
  explicit CallHandle(Call& call) : call_(&call) {}
  /// The right and duty to Finish, once.
  Call* Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(call_, nullptr);
  }
  /// Runs under the lock if the call is not taken; says whether it did.
  template <typename Action>
  bool With(Action action) {
    const std::lock_guard lock(mutex_);
    if (call_ != nullptr) action(*call_);
    return call_ != nullptr;
  }
  void End(const Error& error) override {
    if (Call* call = Take()) call->Finish(ToGrpc(error));
  }

 private:
  std::mutex mutex_;
  Call* call_;
};

/// One request, one answer, which may come on any thread, or after the peer went away.
template <typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  explicit UnaryCall(grpc::ByteBuffer* response)
      : response_(response), handle_(std::make_shared<CallHandle<UnaryCall>>(*this)) {}

  std::weak_ptr<EndableCall> handle() const { return handle_; }
  Done<Response> Answer() const {
    return [handle = handle_](Result<Response> result) {
      UnaryCall* call = handle->Take();
      if (call == nullptr) return;
      if (result.ok()) *call->response_ = MessageBytes(result.value());
      call->Finish(result.ok() ? grpc::Status::OK : ToGrpc(result.error()));
    };
  }

 private:
  void OnCancel() override {
    if (handle_->Take() != nullptr) Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

  grpc::ByteBuffer* const response_;
  const std::shared_ptr<CallHandle<UnaryCall>> handle_;
};

/// A call that is answered with an error before it starts.
template <typename Reactor>
class RefusedCall final : public Reactor {
 public:
  explicit RefusedCall(const Error& error) { this->Finish(ToGrpc(error)); }

 private:
  void OnDone() override { delete this; }
};

}  // namespace fedmeta

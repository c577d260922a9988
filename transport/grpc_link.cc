#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <string>

#include <grpcpp/client_context.h>

#include "fedmeta/core/bytes.h"
#include "fedmeta/transport/backoff.h"
#include "fedmeta/transport/connection_health.h"
#include "fedmeta/transport/coordinator_line.h"
#include "fedmeta/transport/coordinator_link.h"
#include "fedmeta/transport/dial_target.h"
#include "fedmeta/transport/grpc_status.h"
#include "fedmeta/transport/peer_identity.h"
#include "fedmeta/transport/retry_hint.h"
#include "fedmeta/transport/stream_pieces.h"
#include "fedmeta/v1/service.grpc.pb.h"

namespace fedmeta {
namespace {

constexpr Duration kCallTimeout{30'000};
constexpr Duration kPollMargin{15'000};
constexpr std::uint64_t kFirstPollMs =
    60'000;  // until Join says how long the coordinator holds a poll
constexpr Duration kStreamTimeout{
    600'000};  // waiting for a slot included; and the time of the slowest stream allowed:
constexpr std::uint64_t kSlowestBytesPerSecond = 4096;

Error Stopped() { return {ErrorCode::kCancelled, "asked to stop"}; }

/// The coordinator has taken note of an upload that came too late to count.
Error Late(const v1::UploadPosition& position) {
  return {ErrorCode::kFailedPrecondition, "the upload came too late: " + position.reason()};
}

Duration StreamTimeout(std::size_t bytes) {
  return kStreamTimeout +
         Duration(static_cast<Duration::rep>(bytes * 1000 / kSlowestBytesPerSecond));
}

/// What is refused for a certificate counts as such, too: before the first answer ConnectionHealth
/// gives up on it, and later the certificate may be renewed.
bool IsTransient(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded ||
         code == ErrorCode::kCancelled || code == ErrorCode::kUnauthenticated;
}

/// One try of one call: its deadline, and its end when `stop` is asked for.
class Try {
 public:
  Try(Duration timeout, const std::stop_token& stop)
      : cancel_(stop, [this] { context_.TryCancel(); }) {
    context_.set_deadline(std::chrono::system_clock::now() + timeout);
  }
  grpc::ClientContext* context() { return &context_; }

 private:
  grpc::ClientContext context_;
  std::stop_callback<std::function<void()>> cancel_;
};

class GrpcLink final : public CoordinatorLink {
 public:
  GrpcLink(std::shared_ptr<const DialTarget> target, std::shared_ptr<const IdentitySource> identity,
           Logger& logger, std::function<void(bool)> reached)
      : identity_(identity->credentials()->identity),
        line_(target, identity),
        health_(std::move(target), std::move(identity), std::move(reached), logger) {}

  Result<v1::Welcome> Join(const v1::ClientHello& hello, std::stop_token stop) override {
    auto welcome = Unary<v1::Welcome>(&v1::Coordinator::Stub::Join, hello, kCallTimeout, stop);
    if (welcome.ok() && welcome.value().poll_ms() > 0) poll_ms_ = welcome.value().poll_ms();
    return welcome;
  }
  Result<v1::Instruction> Next(const v1::NextRequest& request, std::stop_token stop) override {
    return Unary<v1::Instruction>(&v1::Coordinator::Stub::Next, request,
                                  Duration(poll_ms_.load()) + kPollMargin, stop);
  }
  Status Send(const v1::Report& report, std::stop_token stop) override {
    FEDMETA_RETURN_IF_ERROR(
        Unary<v1::Acknowledgement>(&v1::Coordinator::Stub::Send, report, kCallTimeout, stop));
    return {};
  }

  Status Download(const Digest& digest, std::span<std::byte> content,
                  std::stop_token stop) override {
    DigestBuilder builder;
    std::size_t received = 0;
    FEDMETA_RETURN_IF_ERROR(
        UntilFinal(stop, [&] { return DownloadRest(digest, content, received, builder, stop); }));
    if (received < content.size()) {
      return Error(ErrorCode::kDataLoss, "the coordinator's content has " +
                                             std::to_string(received) + " bytes, expected were " +
                                             std::to_string(content.size()));
    }
    if (builder.Finish() != digest)
      return Error(ErrorCode::kDataLoss,
                   "the downloaded content does not have the digest " + digest.hex());
    return {};
  }

  Status Upload(const v1::UploadHeader& header, std::span<const std::byte> payload,
                std::stop_token stop) override {
    v1::UploadHeader at = header;
    at.set_offset(0);
    bool resumes = false;
    return UntilFinal(stop, [&]() -> Status {
      if (resumes) {
        FEDMETA_ASSIGN_OR_RETURN(const v1::UploadPosition position, WhereToResume(header, stop));
        if (position.discarded()) return Late(position);
        if (position.complete()) return {};
        at.set_offset(position.received());
      }
      resumes = true;
      return UploadRest(at, payload, stop);
    });
  }

 private:
  /// Who answered, before the answer counts.
  Status CheckCoordinator(const grpc::ClientContext& context, CoordinatorLine::Dialled& by) {
    FEDMETA_ASSIGN_OR_RETURN(const IdentityUri peer, PeerIdentity(context.auth_context().get()));
    FEDMETA_RETURN_IF_ERROR(line_.CheckAnswer(by, PeerCertificates(context.auth_context().get())));
    if (peer.role == IdentityRole::kCoordinator && peer.federation == identity_.federation)
      return {};
    return Error(ErrorCode::kPermissionDenied, "the server answers as " + peer.ToString() +
                                                   ", which is no coordinator of federation '" +
                                                   identity_.federation + "'");
  }

  Status Verdict(const grpc::ClientContext& context, const grpc::Status& status,
                 CoordinatorLine::Dialled& by) {
    if (status.ok()) return CheckCoordinator(context, by);
    const Error error = FromGrpc(status);
    // Our certificate has expired since the handshake; perhaps there is a renewed one.
    if (error.code() == ErrorCode::kUnauthenticated) line_.Drop(by);
    // A quota of the coordinator's: it passes.
    if (error.code() == ErrorCode::kResourceExhausted &&
        context.GetServerTrailingMetadata().contains(kRetryHint))
      return Error(ErrorCode::kUnavailable, error.message());
    return error;
  }

  template <typename Response, typename Request>
  Result<Response> TryUnary(grpc::Status (v1::Coordinator::Stub::*method)(grpc::ClientContext*,
                                                                          const Request&,
                                                                          Response*),
                            const Request& request, Duration timeout, const std::stop_token& stop) {
    Try attempt(timeout, stop);
    Response response;
    const auto by = line_.Current();
    const grpc::Status status = (by->stub.get()->*method)(attempt.context(), request, &response);
    FEDMETA_RETURN_IF_ERROR(Verdict(*attempt.context(), status, *by));
    return response;
  }

  template <typename Response, typename Request>
  Result<Response> Unary(grpc::Status (v1::Coordinator::Stub::*method)(grpc::ClientContext*,
                                                                       const Request&, Response*),
                         const Request& request, Duration timeout, const std::stop_token& stop) {
    Response response;
    FEDMETA_RETURN_IF_ERROR(UntilFinal(stop, [&]() -> Status {
      FEDMETA_ASSIGN_OR_RETURN(response, TryUnary(method, request, timeout, stop));
      return {};
    }));
    return response;
  }

  Result<v1::UploadPosition> WhereToResume(const v1::UploadHeader& header,
                                           const std::stop_token& stop) {
    return TryUnary(&v1::Coordinator::Stub::UploadStatus, header, kCallTimeout, stop);
  }

  /// Continues at `received`; what came is in `content` and in `builder` even if the connection
  /// breaks.
  Status DownloadRest(const Digest& digest, std::span<std::byte> content, std::size_t& received,
                      DigestBuilder& builder, const std::stop_token& stop) {
    Try attempt(StreamTimeout(content.size()), stop);
    v1::BlobRequest request;
    request.set_sha256(digest.bytes());
    request.set_offset(received);
    const auto by = line_.Current();
    const auto reader = by->stub->Download(attempt.context(), request);
    v1::Piece piece;
    while (reader->Read(&piece)) {
      const std::span<const std::byte> data = AsBytes(piece.data());
      if (data.size() > content.size() - received) {
        attempt.context()->TryCancel();
        (void)reader->Finish();
        return Error(ErrorCode::kDataLoss, "the coordinator's content is longer than the " +
                                               std::to_string(content.size()) + " bytes expected");
      }
      std::copy(data.begin(), data.end(), content.begin() + static_cast<std::ptrdiff_t>(received));
      builder.Add(data);
      received += data.size();
    }
    return Verdict(*attempt.context(), reader->Finish(), *by);
  }

  Status UploadRest(const v1::UploadHeader& header, std::span<const std::byte> payload,
                    const std::stop_token& stop) {
    if (header.offset() > payload.size()) {
      return Error(ErrorCode::kDataLoss,
                   "the coordinator holds " + std::to_string(header.offset()) +
                       " bytes of an upload of " + std::to_string(payload.size()));
    }
    Try attempt(StreamTimeout(payload.size()), stop);
    v1::UploadPosition position;
    const auto by = line_.Current();
    const auto writer = by->stub->Upload(attempt.context(), &position);
    v1::UploadPiece piece;
    *piece.mutable_header() = header;
    bool open = writer->Write(piece);
    for (auto rest = payload.subspan(header.offset()); open && !rest.empty();) {
      const auto data = rest.first(std::min(rest.size(), kStreamPieceBytes));
      piece.mutable_data()->assign(AsText(data));
      open = writer->Write(piece);
      rest = rest.subspan(data.size());
    }
    if (open) writer->WritesDone();
    FEDMETA_RETURN_IF_ERROR(Verdict(*attempt.context(), writer->Finish(), *by));
    if (position.discarded()) return Late(position);
    if (!position.complete())
      return Error(ErrorCode::kUnavailable, "the coordinator has not the whole upload");
    return {};
  }

  /// Tries until it succeeds, fails for good or is asked to stop.
  template <typename Attempt>
  Status UntilFinal(const std::stop_token& stop, Attempt attempt) {
    Backoff backoff(identity_.name);
    for (;;) {
      if (stop.stop_requested()) return Stopped();
      const Status status = attempt();
      if (stop.stop_requested() && !status.ok()) return Stopped();
      if (status.ok() || !IsTransient(status.error().code())) {
        health_.Answered();
        return status;
      }
      FEDMETA_RETURN_IF_ERROR(health_.Failed(status.error(), stop));
      if (!backoff.Wait(stop)) return Stopped();
      AwaitConnection(stop);
    }
  }

  /// A channel dials only while something polls it: a call made right after a wait would fail at
  /// once with what the last dial said. Returns when connected, stopped, or nobody answers.
  void AwaitConnection(const std::stop_token& stop) {
    constexpr int kSlices = 50;
    constexpr std::chrono::milliseconds kSlice{100};
    const auto by = line_.Current();
    for (int slice = 0; slice < kSlices && !stop.stop_requested(); ++slice) {
      if (by->channel->WaitForConnected(std::chrono::system_clock::now() + kSlice)) return;
    }
  }

  const IdentityUri identity_;
  CoordinatorLine line_;
  ConnectionHealth health_;
  std::atomic<std::uint64_t> poll_ms_{kFirstPollMs};
};

}  // namespace

Result<std::unique_ptr<CoordinatorLink>> MakeGrpcLink(const v1::CoordinatorAddress& address,
                                                      std::shared_ptr<IdentitySource> identity,
                                                      Logger& logger,
                                                      std::function<void(bool)> reached) {
  FEDMETA_ASSIGN_OR_RETURN(DialTarget target, ParseDialTarget(address));
  return std::unique_ptr<CoordinatorLink>(
      std::make_unique<GrpcLink>(std::make_shared<const DialTarget>(std::move(target)),
                                 std::move(identity), logger, std::move(reached)));
}

}  // namespace fedmeta

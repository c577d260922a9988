#include "fedmeta/transport/grpc_server.h"

#include <algorithm>
#include <mutex>

#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "fedmeta/protocol/limits.h"
#include "fedmeta/transport/admission.h"
#include "fedmeta/transport/admitted_calls.h"
#include "fedmeta/transport/download_call.h"
#include "fedmeta/transport/listen_probe.h"
#include "fedmeta/transport/peer_identity.h"
#include "fedmeta/transport/reloading_credentials.h"
#include "fedmeta/transport/stall_watch.h"
#include "fedmeta/transport/time_header.h"
#include "fedmeta/transport/tls_policy.h"
#include "fedmeta/transport/unary_call.h"
#include "fedmeta/transport/upload_call.h"
#include "fedmeta/v1/service.grpc.pb.h"

namespace fedmeta {
namespace {

constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 15'000;
constexpr int kLeastPingIntervalMs = 5'000;
constexpr int kHandshakeTimeoutMs = 10'000;
constexpr int kAgeGraceMs = 60'000;
constexpr int kStreamsPerConnection = 16;
constexpr std::size_t kMemoryBytes = std::size_t{512} * 1024 * 1024;

/// The handlers: admission first, then the endpoint.
class Service final : public v1::Coordinator::CallbackService {
 public:
  Service(const GrpcServer::Options& options, const std::shared_ptr<IdentitySource>& identity,
          CoordinatorEndpoint& endpoint, Logger& logger)
      : admission_(identity, options.members, options.refused, logger),
        limits_(options.limits),
        endpoint_(endpoint),
        watch_(clock_, Duration(std::clamp<std::uint64_t>(limits_.upload_idle_ms / 8, 10, 1000))) {}

  AdmittedCalls& calls() { return calls_; }

 private:
  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context, const v1::ClientHello* hello,
                                 v1::Welcome* welcome) override {
    return Answer(*context, welcome, [&](const ClientId& client, Done<v1::Welcome> done) {
      endpoint_.Join(client, *hello, std::move(done));
    });
  }
  grpc::ServerUnaryReactor* Next(grpc::CallbackServerContext* context,
                                 const v1::NextRequest* request,
                                 v1::Instruction* instruction) override {
    return Answer(*context, instruction, [&](const ClientId& client, Done<v1::Instruction> done) {
      endpoint_.Next(client, *request, std::move(done));
    });
  }
  grpc::ServerUnaryReactor* Send(grpc::CallbackServerContext* context, const v1::Report* report,
                                 v1::Acknowledgement* acknowledgement) override {
    return Answer(*context, acknowledgement,
                  [&](const ClientId& client, Done<v1::Acknowledgement> done) {
                    endpoint_.Send(client, *report, std::move(done));
                  });
  }
  grpc::ServerUnaryReactor* UploadStatus(grpc::CallbackServerContext* context,
                                         const v1::UploadHeader* header,
                                         v1::UploadPosition* position) override {
    return Answer(*context, position,
                  [&](const ClientId& client, const Done<v1::UploadPosition>& done) {
                    done(endpoint_.UploadStatus(client, *header));
                  });
  }

  grpc::ServerWriteReactor<v1::Piece>* Download(grpc::CallbackServerContext* context,
                                                const v1::BlobRequest* request) override {
    using Refused = RefusedCall<grpc::ServerWriteReactor<v1::Piece>>;
    const auto client = Admit(*context);
    if (!client.ok()) return new Refused(client.error());
    const auto digest = Digest::FromBytes(request->sha256());
    if (!digest.ok()) return new Refused(digest.error());
    auto blob = endpoint_.FindBlob(client.value(), digest.value());
    if (!blob.ok()) return new Refused(blob.error());
    return new DownloadCall({.limits = limits_, .clock = clock_, .watch = watch_, .calls = calls_},
                            *context, std::move(blob).value(), request->offset());
  }
  grpc::ServerReadReactor<v1::UploadPiece>* Upload(grpc::CallbackServerContext* context,
                                                   v1::UploadPosition* position) override {
    const auto client = Admit(*context);
    if (!client.ok())
      return new RefusedCall<grpc::ServerReadReactor<v1::UploadPiece>>(client.error());
    return new UploadCall({.endpoint = endpoint_,
                           .limits = limits_,
                           .clock = clock_,
                           .watch = watch_,
                           .calls = calls_},
                          client.value(), PeerCertificates(context->auth_context().get()),
                          position);
  }

  Result<ClientId> Admit(grpc::CallbackServerContext& context) {
    // For whoever looks for the reason of a certificate that is "not yet valid".
    context.AddTrailingMetadata(kTimeHeader,
                                std::to_string(clock_.Wall().time_since_epoch().count()));
    auto client = admission_.Check(context);
    if (client.ok()) endpoint_.Heard(client.value());
    return client;
  }

  template <typename Response, typename Handler>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext& context, Response* response,
                                   Handler handler) {
    auto* call = new UnaryCall<Response>(response);
    calls_.Add(call->handle(), PeerCertificates(context.auth_context().get()));
    const auto client = Admit(context);
    if (client.ok()) {
      handler(client.value(), call->Answer());
    } else {
      call->Answer()(client.error());
    }
    return call;
  }

  Admission admission_;
  const TransportLimits limits_;
  CoordinatorEndpoint& endpoint_;
  SystemClock clock_;
  AdmittedCalls calls_;
  StallWatch watch_;
};

void SetConnectionRules(const TransportLimits& limits, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(kMaximumMessageBytes));
  builder.SetResourceQuota(grpc::ResourceQuota("fedmeta").Resize(kMemoryBytes));
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA,
                             0);  // no limit: long polls carry no data
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kLeastPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  const auto age = static_cast<int>(limits.connection_age_ms);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, age);
  // What still runs then is cut: a poll is asked again, a stream resumed.
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, std::min(age, kAgeGraceMs));
}

class Server final : public GrpcServer {
 public:
  Server(const Options& options, std::shared_ptr<IdentitySource> identity,
         CoordinatorEndpoint& endpoint, Logger& logger)
      : limits_(options.limits),
        identity_(std::move(identity)),
        tls_(ReloadingServerCredentials(identity_)),
        service_(options, identity_, endpoint, logger) {}
  ~Server() override { Stop(0); }

  Status Listen(const std::string& address, Logger& logger) {
    grpc::ServerBuilder builder;
    SetConnectionRules(limits_, builder);
    builder.RegisterService(&service_);
    builder.AddListeningPort(address, tls_, &port_);
    server_ = builder.BuildAndStart();
    if (server_ && port_ != 0) {
      identity_->OnChange([this, &logger] {
        const auto ended = service_.calls().EndUnwelcome(*identity_, ForPeer);
        if (ended.calls == 0) return;
        logger.Log(LogLevel::kWarning, "calls_ended", {{"calls", std::to_string(ended.calls)}});
        for (const auto& [peer, reason] : ended.peers)
          logger.Log(LogLevel::kWarning, "peer_cut_off", {{"peer", peer}, {"reason", reason}});
      });
      return {};
    }
    return Error(ErrorCode::kUnavailable,
                 "cannot listen on " + address + ": " + WhyNotListening(address));
  }

  int port() const override { return port_; }

  void Stop(int grace_ms) override {
    const std::lock_guard lock(mutex_);
    if (!server_) return;
    identity_->OnChange({});
    // Refuses new calls, cancels what is left after the grace, returns when every call has ended.
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace_ms));
    server_.reset();
  }

 private:
  const TransportLimits limits_;
  const std::shared_ptr<IdentitySource> identity_;
  const std::shared_ptr<grpc::ServerCredentials> tls_;
  Service service_;
  int port_ = 0;
  std::mutex mutex_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<GrpcServer>> GrpcServer::Start(const Options& options,
                                                      std::shared_ptr<IdentitySource> identity,
                                                      CoordinatorEndpoint& endpoint,
                                                      Logger& logger) {
  RequireTls13();
  FEDMETA_RETURN_IF_ERROR(CheckListenAddress(options.listen));
  auto server = std::make_unique<Server>(options, std::move(identity), endpoint, logger);
  FEDMETA_RETURN_IF_ERROR(server->Listen(options.listen, logger));
  return std::unique_ptr<GrpcServer>(std::move(server));
}

}  // namespace fedmeta

#include "fedmeta/transport/grpc_server.h"

#include <algorithm>
#include <mutex>

#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "fedmeta/protocol/limits.h"
#include "fedmeta/transport/admission.h"
#include "fedmeta/transport/download_call.h"
#include "fedmeta/transport/listen_probe.h"
#include "fedmeta/transport/stall_watch.h"
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
constexpr int kStreamsPerConnection = 16;
constexpr std::size_t kMemoryBytes = std::size_t{512} * 1024 * 1024;

/// The handlers: admission first, then the endpoint.
class Service final : public v1::Coordinator::CallbackService {
 public:
  Service(const GrpcServer::Options& options, std::string federation, CoordinatorEndpoint& endpoint,
          Logger& logger)
      : admission_(std::move(federation), options.members, logger),
        limits_(options.limits),
        endpoint_(endpoint),
        watch_(clock_, Duration(std::clamp<std::uint64_t>(limits_.upload_idle_ms / 8, 10, 1000))) {}

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
    return new DownloadCall({.limits = limits_, .clock = clock_, .watch = watch_}, *context,
                            std::move(blob).value(), request->offset());
  }
  grpc::ServerReadReactor<v1::UploadPiece>* Upload(grpc::CallbackServerContext* context,
                                                   v1::UploadPosition* position) override {
    const auto client = Admit(*context);
    if (!client.ok())
      return new RefusedCall<grpc::ServerReadReactor<v1::UploadPiece>>(client.error());
    return new UploadCall(
        {.endpoint = endpoint_, .limits = limits_, .clock = clock_, .watch = watch_},
        client.value(), position);
  }

  Result<ClientId> Admit(const grpc::CallbackServerContext& context) {
    auto client = admission_.Check(context);
    if (client.ok()) endpoint_.Heard(client.value());
    return client;
  }

  template <typename Response, typename Handler>
  grpc::ServerUnaryReactor* Answer(const grpc::CallbackServerContext& context, Response* response,
                                   Handler handler) {
    auto* call = new UnaryCall<Response>(response);
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
  StallWatch watch_;
};

std::shared_ptr<grpc::ServerCredentials> TlsCredentials(const Credentials& credentials) {
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = credentials.trust_pem;
  tls.pem_key_cert_pairs.push_back(
      {std::string(credentials.key_pem.Expose()), credentials.certificate_pem});
  return grpc::SslServerCredentials(tls);
}

void SetConnectionRules(grpc::ServerBuilder& builder) {
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
}

class Server final : public GrpcServer {
 public:
  Server(const Options& options, const Credentials& credentials, CoordinatorEndpoint& endpoint,
         Logger& logger)
      : service_(options, credentials.identity.federation, endpoint, logger) {}
  ~Server() override { Stop(0); }

  Status Listen(const std::string& address, const Credentials& credentials) {
    grpc::ServerBuilder builder;
    SetConnectionRules(builder);
    builder.RegisterService(&service_);
    builder.AddListeningPort(address, TlsCredentials(credentials), &port_);
    server_ = builder.BuildAndStart();
    if (server_ && port_ != 0) return {};
    return Error(ErrorCode::kUnavailable,
                 "cannot listen on " + address + ": " + WhyNotListening(address));
  }

  int port() const override { return port_; }

  void Stop(int grace_ms) override {
    const std::lock_guard lock(mutex_);
    if (!server_) return;
    // Refuses new calls, cancels what is left after the grace, returns when every call has ended.
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace_ms));
    server_.reset();
  }

 private:
  Service service_;
  int port_ = 0;
  std::mutex mutex_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<GrpcServer>> GrpcServer::Start(const Options& options,
                                                      const Credentials& credentials,
                                                      CoordinatorEndpoint& endpoint,
                                                      Logger& logger) {
  RequireTls13();
  FEDMETA_RETURN_IF_ERROR(CheckListenAddress(options.listen));
  auto server = std::make_unique<Server>(options, credentials, endpoint, logger);
  FEDMETA_RETURN_IF_ERROR(server->Listen(options.listen, credentials));
  return std::unique_ptr<GrpcServer>(std::move(server));
}

}  // namespace fedmeta

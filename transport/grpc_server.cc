#include "fedmeta/transport/grpc_server.h"

#include <algorithm>
#include <mutex>

#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "fedmeta/core/host_port.h"
#include "fedmeta/protocol/limits.h"
#include "fedmeta/transport/admission.h"
#include "fedmeta/transport/admitted_calls.h"
#include "fedmeta/transport/client_quota.h"
#include "fedmeta/transport/connection_gate.h"
#include "fedmeta/transport/descriptor_limit.h"
#include "fedmeta/transport/download_call.h"
#include "fedmeta/transport/message_bytes.h"
#include "fedmeta/transport/peer_identity.h"
#include "fedmeta/transport/reloading_credentials.h"
#include "fedmeta/transport/retry_hint.h"
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
constexpr int kIdleConnectionMs = 300'000;  // between calls; a client of ours then dials anew
constexpr int kStreamsPerConnection = 16;
constexpr int kMetadataBytes = 8 * 1024;
constexpr int kRetryAfterMs = 1000;
constexpr int kWindowBytes = 256 * 1024;  // what a peer may send ahead of what is read
constexpr std::size_t kMemoryBytes = std::size_t{512} * 1024 * 1024;

using v1::Coordinator;
using RawService = Coordinator::WithRawCallbackMethod_Join<
    Coordinator::WithRawCallbackMethod_Next<Coordinator::WithRawCallbackMethod_Send<
        Coordinator::WithRawCallbackMethod_Download<Coordinator::WithRawCallbackMethod_UploadStatus<
            Coordinator::WithRawCallbackMethod_Upload<Coordinator::Service>>>>>>;

/// The handlers: admission and quota first, then the message, then the endpoint.
class Service final : public RawService {
 public:
  Service(const GrpcServer::Options& options, const std::shared_ptr<IdentitySource>& identity,
          CoordinatorEndpoint& endpoint, ConnectionGate& gate, Logger& logger)
      : admission_(identity, options.members,
                   {.refused = options.refused, .turned_away = options.turned_away}, logger),
        refused_(options.refused),
        limits_(options.limits),
        endpoint_(endpoint),
        gate_(gate),
        quota_(limits_),
        watch_(clock_, Duration(std::clamp<std::uint64_t>(limits_.stream_idle_ms / 8, 10, 1000))) {}

  AdmittedCalls& calls() { return calls_; }

 private:
  using Bytes = grpc::ByteBuffer;

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context, const Bytes* request,
                                 Bytes* response) override {
    return Answer<v1::ClientHello, v1::Welcome>(
        *context, *request, response,
        [&](const ClientId& client, const v1::ClientHello& hello, Done<v1::Welcome> done) {
          if (!gate_.HasOther(client, context->peer())) endpoint_.Gone(client);
          endpoint_.Join(client, hello, std::move(done));
        });
  }
  grpc::ServerUnaryReactor* Next(grpc::CallbackServerContext* context, const Bytes* request,
                                 Bytes* response) override {
    return Answer<v1::NextRequest, v1::Instruction>(
        *context, *request, response,
        [&](const ClientId& client, const v1::NextRequest& next, Done<v1::Instruction> done) {
          endpoint_.Next(client, next, std::move(done));
        });
  }
  grpc::ServerUnaryReactor* Send(grpc::CallbackServerContext* context, const Bytes* request,
                                 Bytes* response) override {
    return Answer<v1::Report, v1::Acknowledgement>(
        *context, *request, response,
        [&](const ClientId& client, const v1::Report& report, Done<v1::Acknowledgement> done) {
          if (report.body_case() == v1::Report::BODY_NOT_SET) {
            done(Error(ErrorCode::kInvalidArgument, "report: body is neither progress nor failed"));
            return;
          }
          endpoint_.Send(client, report, std::move(done));
        });
  }
  grpc::ServerUnaryReactor* UploadStatus(grpc::CallbackServerContext* context, const Bytes* request,
                                         Bytes* response) override {
    return Answer<v1::UploadHeader, v1::UploadPosition>(
        *context, *request, response,
        [&](const ClientId& client, const v1::UploadHeader& header,
            const Done<v1::UploadPosition>& done) {
          done(endpoint_.UploadStatus(client, header));
        });
  }

  grpc::ServerWriteReactor<Bytes>* Download(grpc::CallbackServerContext* context,
                                            const Bytes* request) override {
    auto call = OpenDownload(*context, *request);
    if (call.ok()) return call.value();
    return new RefusedCall<grpc::ServerWriteReactor<Bytes>>(call.error());
  }
  grpc::ServerReadReactor<Bytes>* Upload(grpc::CallbackServerContext* context,
                                         Bytes* response) override {
    auto call = OpenUpload(*context, response);
    if (call.ok()) return call.value();
    return new RefusedCall<grpc::ServerReadReactor<Bytes>>(call.error());
  }

  Result<DownloadCall*> OpenDownload(grpc::CallbackServerContext& context, const Bytes& bytes) {
    FEDMETA_ASSIGN_OR_RETURN(const ClientId client, Admit(context));
    v1::BlobRequest request;
    FEDMETA_RETURN_IF_ERROR(ParseMessage(bytes, request));
    FEDMETA_ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(request.sha256()));
    FEDMETA_ASSIGN_OR_RETURN(auto blob, endpoint_.FindBlob(client, digest));
    FEDMETA_ASSIGN_OR_RETURN(auto lease, Hinted(context, quota_.TakeStream(client)));
    return new DownloadCall({.limits = limits_,
                             .clock = clock_,
                             .watch = watch_,
                             .calls = calls_,
                             .lease = std::move(lease)},
                            context, std::move(blob), request.offset());
  }
  Result<UploadCall*> OpenUpload(grpc::CallbackServerContext& context, Bytes* response) {
    FEDMETA_ASSIGN_OR_RETURN(ClientId client, Admit(context));
    FEDMETA_ASSIGN_OR_RETURN(auto lease, Hinted(context, quota_.TakeStream(client)));
    return new UploadCall({.endpoint = endpoint_,
                           .limits = limits_,
                           .clock = clock_,
                           .watch = watch_,
                           .calls = calls_,
                           .lease = std::move(lease)},
                          std::move(client), PeerCertificates(context.auth_context().get()),
                          response);
  }

  Result<ClientId> Admit(grpc::CallbackServerContext& context) {
    // For whoever looks for the reason of a certificate that is "not yet valid".
    context.AddTrailingMetadata(kTimeHeader,
                                std::to_string(clock_.Wall().time_since_epoch().count()));
    FEDMETA_ASSIGN_OR_RETURN(ClientId client, admission_.Check(context));
    FEDMETA_RETURN_IF_ERROR(Hinted(context, gate_.Proven(client, context.peer())));
    FEDMETA_RETURN_IF_ERROR(Hinted(context, quota_.TakeCall(client, clock_.Now())));
    endpoint_.Heard(client);
    return client;
  }

  /// What a quota refuses may be tried again: says so beside the error.
  template <typename Outcome>
  Outcome Hinted(grpc::CallbackServerContext& context, Outcome outcome) {
    if (outcome.ok()) return outcome;
    if (refused_) refused_(outcome.error().code());
    context.AddTrailingMetadata(kRetryHint, std::to_string(kRetryAfterMs));
    return outcome;
  }

  template <typename Request, typename Response, typename Handler>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext& context, const Bytes& bytes,
                                   Bytes* response, Handler handler) {
    auto* call = new UnaryCall<Response>(response);
    calls_.Add(call->handle(), PeerCertificates(context.auth_context().get()));
    const auto handle = [&]() -> Status {
      FEDMETA_ASSIGN_OR_RETURN(const ClientId client, Admit(context));
      Request request;
      FEDMETA_RETURN_IF_ERROR(ParseMessage(bytes, request));
      handler(client, request, call->Answer());
      return {};
    };
    if (const Status status = handle(); !status.ok()) call->Answer()(status.error());
    return call;
  }

  Admission admission_;
  const std::function<void(ErrorCode)> refused_;
  const TransportLimits limits_;
  CoordinatorEndpoint& endpoint_;
  ConnectionGate& gate_;
  ClientQuota quota_;
  SystemClock clock_;
  AdmittedCalls calls_;
  StallWatch watch_;
};

void SetConnectionRules(const TransportLimits& limits, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(kMaximumMessageBytes));
  builder.SetResourceQuota(grpc::ResourceQuota("fedmeta").Resize(kMemoryBytes));
  // Else gRPC widens the window of a fast peer to megabytes, and holds that much for each upload
  // that waits for a slot.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kWindowBytes);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA,
                             0);  // no limit: long polls carry no data
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kLeastPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleConnectionMs);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  const auto age = static_cast<int>(limits.connection_age_ms);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, age);
  // What still runs then is cut: a poll is asked again, a stream resumed.
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, std::min(age, kAgeGraceMs));
}

class Server final : public GrpcServer {
 public:
  Server(const Options& options, std::shared_ptr<IdentitySource> identity,
         CoordinatorEndpoint& endpoint, std::unique_ptr<ConnectionGate> gate, Logger& logger)
      : limits_(options.limits),
        identity_(std::move(identity)),
        tls_(ReloadingServerCredentials(identity_)),
        gate_(std::move(gate)),
        service_(options, identity_, endpoint, *gate_, logger) {}
  ~Server() override { Stop(0); }

  Status Run(Logger& logger) {
    grpc::ServerBuilder builder;
    SetConnectionRules(limits_, builder);
    builder.RegisterService(&service_);
    acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, tls_);
    server_ = builder.BuildAndStart();
    if (!server_)
      return Error(ErrorCode::kUnavailable, "gRPC could not start; the lines above say why");
    identity_->OnChange([this, &logger] {
      const auto ended = service_.calls().EndUnwelcome(*identity_, ForPeer);
      if (ended.calls == 0) return;
      logger.Log(LogLevel::kWarning, "calls_ended", {{"calls", std::to_string(ended.calls)}});
      for (const auto& [peer, reason] : ended.peers)
        logger.Log(LogLevel::kWarning, "peer_cut_off", {{"peer", peer}, {"reason", reason}});
    });
    gate_->Open([this](int listener, int connection) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
      parameters.listener_fd = listener;
      parameters.fd = connection;
      acceptor_->HandleNewConnection(&parameters);
    });
    return {};
  }

  int port() const override { return gate_->port(); }

  void Stop(int grace_ms) override {
    const std::lock_guard lock(mutex_);
    gate_->Close();
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
  const std::unique_ptr<ConnectionGate> gate_;
  Service service_;
  std::mutex mutex_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<GrpcServer>> GrpcServer::Start(const Options& options,
                                                      std::shared_ptr<IdentitySource> identity,
                                                      CoordinatorEndpoint& endpoint,
                                                      Logger& logger) {
  RequireTls13();
  if (const auto listen = ParseHostPort(options.listen); !listen.ok())
    return listen.error().WithContext("listen");
  const TransportLimits& limits = options.limits;
  const DescriptorLimit descriptors = RaiseDescriptorLimit();
  if (const std::string why = TooFewDescriptors(descriptors, limits); !why.empty())
    logger.Log(LogLevel::kWarning, "few_descriptors", {{"reason", why}});
  FEDMETA_ASSIGN_OR_RETURN(
      auto gate,
      ConnectionGate::Listen(
          options.listen,
          {.unproven = std::min<std::size_t>(limits.handshakes, descriptors.for_connections / 2),
           .proven = limits.connections,
           .per_client = limits.connections_per_client,
           .descriptors = descriptors.for_connections,
           .left_unproven = [&logger](const std::string& address, std::uint64_t connections) {
             logger.Log(LogLevel::kInfo, "peer_left_unproven",
                        {{"address", address},
                         {"connections", std::to_string(connections)},
                         {"reason", "TLS was refused, or no member's call came"}});
           }}));
  auto server =
      std::make_unique<Server>(options, std::move(identity), endpoint, std::move(gate), logger);
  FEDMETA_RETURN_IF_ERROR(server->Run(logger));
  return std::unique_ptr<GrpcServer>(std::move(server));
}

}  // namespace fedmeta

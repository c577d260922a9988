#include "fedmeta/transport/grpc_channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "fedmeta/protocol/limits.h"
#include "fedmeta/transport/reloading_credentials.h"
#include "fedmeta/transport/tls_policy.h"

namespace fedmeta {
namespace {

constexpr int kKeepaliveTimeoutMs = 15'000;
constexpr int kConnectTimeoutMs = 10'000;
// Below our own backoff between calls, so that each call really dials.
constexpr int kFirstReconnectMs = 200;
constexpr int kLastReconnectMs = 800;

// The arguments by which gRPC's own proxy support tells its CONNECT handshake what to do. Set here
// directly: a proxy in GRPC_ARG_HTTP_PROXY is passed over, and the coordinator dialled without it,
// when no_proxy says so or the password holds an '@'.
constexpr char kConnectServer[] = "grpc.http_connect_server";
constexpr char kConnectHeaders[] = "grpc.http_connect_headers";

void GoThroughProxy(const DialTarget& target, grpc::ChannelArguments& arguments) {
  arguments.SetString(kConnectServer, target.address);
  if (const std::string credentials = ProxyAuthorization(*target.proxy); !credentials.empty()) {
    arguments.SetString(kConnectHeaders, "Proxy-Authorization:" + credentials);
  }
}

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const DialTarget& target,
                                           std::shared_ptr<const IdentitySource> identity) {
  RequireTls13();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kMaximumMessageBytes));
  arguments.SetSslTargetNameOverride(target.server_name);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, target.keepalive_ms);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // no limit: long polls carry no data
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLastReconnectMs);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // the link retries
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // not that of the environment
  if (target.proxy) GoThroughProxy(target, arguments);
  const std::string dialled = target.proxy ? target.proxy->at.ToString() : target.address;
  return grpc::CreateCustomChannel(dialled, CheckingChannelCredentials(std::move(identity)),
                                   arguments);
}

}  // namespace fedmeta

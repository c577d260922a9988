#include "fedmeta/transport/grpc_channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "fedmeta/protocol/limits.h"
#include "fedmeta/transport/tls_policy.h"

namespace fedmeta {
namespace {

constexpr int kKeepaliveTimeoutMs = 15'000;
constexpr int kConnectTimeoutMs = 10'000;
// Below our own backoff between calls, so that each call really dials.
constexpr int kFirstReconnectMs = 200;
constexpr int kLastReconnectMs = 800;

std::string PercentEncode(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain) {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

std::string ProxyUri(const DialTarget::Proxy& proxy) {
  std::string uri = "http://";
  if (!proxy.user.empty()) {
    uri += PercentEncode(proxy.user);
    if (!proxy.password.empty()) uri += ":" + PercentEncode(proxy.password.Expose());
    uri += "@";
  }
  const bool ipv6 = proxy.at.host.find(':') != std::string::npos;
  return uri + (ipv6 ? "[" + proxy.at.host + "]" : proxy.at.host) + ":" +
         std::to_string(proxy.at.port);
}

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const DialTarget& target,
                                           const Credentials& credentials) {
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
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, target.proxy ? 1 : 0);
  if (target.proxy) arguments.SetString(GRPC_ARG_HTTP_PROXY, ProxyUri(*target.proxy));
  const grpc::SslCredentialsOptions tls{
      .pem_root_certs = credentials.trust_pem,
      .pem_private_key = std::string(credentials.key_pem.Expose()),
      .pem_cert_chain = credentials.certificate_pem};
  return grpc::CreateCustomChannel(target.address, grpc::SslCredentials(tls), arguments);
}

}  // namespace fedmeta

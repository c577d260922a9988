#include "fedmeta/transport/dial_target.h"

#include <algorithm>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

constexpr int kLeastKeepaliveMs = 10'000;  // what the coordinator's server bears
constexpr std::string_view kScheme = "http://";

Result<SecretBytes> ReadPassword(const std::string& path) {
  FEDMETA_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  std::string_view password = text;
  while (password.ends_with('\n') || password.ends_with('\r')) password.remove_suffix(1);
  SecretBytes secret(password);
  OPENSSL_cleanse(text.data(), text.size());
  if (secret.empty()) return Error(ErrorCode::kInvalidArgument, path + " is empty");
  return secret;
}

Result<DialTarget::Proxy> ParseProxy(const std::string& url, const std::string& password_file) {
  const auto refuse = [](const std::string& why) {
    return Error(ErrorCode::kInvalidArgument,
                 "coordinator.proxy " + why + "; write http://[user@]host:port");
  };
  std::string_view rest = url;
  if (!rest.starts_with(kScheme)) return refuse("does not start with http://");
  rest.remove_prefix(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  DialTarget::Proxy proxy;
  if (const std::size_t at = rest.rfind('@'); at != rest.npos) {
    proxy.user = rest.substr(0, at);
    rest.remove_prefix(at + 1);
    // A password in the configuration would end up in copies, logs and reports.
    if (proxy.user.find(':') != proxy.user.npos)
      return refuse("holds a password: it belongs into coordinator.proxy_password_file");
  }
  auto host = ParseHostPort(rest);
  if (!host.ok()) return host.error().WithContext("coordinator.proxy");
  proxy.at = std::move(host).value();
  if (password_file.empty()) return proxy;
  if (proxy.user.empty()) return refuse("names no user for coordinator.proxy_password_file");
  auto password = ReadPassword(password_file);
  if (!password.ok()) return password.error().WithContext("coordinator.proxy_password_file");
  proxy.password = std::move(password).value();
  return proxy;
}

}  // namespace

std::string ProxyAuthorization(const DialTarget::Proxy& proxy) {
  if (proxy.user.empty()) return "";
  const std::string text = proxy.user + ":" + std::string(proxy.password.Expose());
  std::string encoded(4 * ((text.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                  reinterpret_cast<const unsigned char*>(text.data()),
                  static_cast<int>(text.size()));
  return "Basic " + encoded;
}

Result<DialTarget> ParseDialTarget(const v1::CoordinatorAddress& address) {
  DialTarget target;
  const auto host = ParseHostPort(address.address());
  if (!host.ok()) return host.error().WithContext("coordinator.address");
  target.address = address.address();
  target.server_name = address.server_name().empty() ? host.value().host : address.server_name();
  if (!address.proxy().empty()) {
    FEDMETA_ASSIGN_OR_RETURN(target.proxy,
                             ParseProxy(address.proxy(), address.proxy_password_file()));
  }
  if (address.has_keepalive()) {
    const std::int64_t ms =
        address.keepalive().seconds() * 1000 + address.keepalive().nanos() / 1'000'000;
    if (ms < kLeastKeepaliveMs || ms > 3'600'000) {
      return Error(
          ErrorCode::kInvalidArgument,
          "coordinator.keepalive must be between 10s and 1h, got " + std::to_string(ms) + " ms");
    }
    target.keepalive_ms = static_cast<int>(ms);
  }
  return target;
}

}  // namespace fedmeta

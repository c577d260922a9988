#include "fedmeta/transport/connection_probe.h"

#include <chrono>
#include <functional>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>

namespace fedmeta {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::chrono::seconds kHopTimeout{5};
constexpr std::size_t kMaximumAnswer = 16 * 1024;  // of a proxy

Error Unreachable(const std::string& what) { return {ErrorCode::kUnavailable, what}; }
Error Refused(const std::string& what) { return {ErrorCode::kUnauthenticated, what}; }

/// One connection attempt; every wait is bounded and ends with `stop`.
class Probe {
 public:
  Probe(const DialTarget& target, const Credentials& credentials, const std::stop_token& stop)
      : target_(target),
        credentials_(credentials),
        stop_(stop),
        interrupt_(stop, [this] { io_.stop(); }) {}

  Status Run() {
    FEDMETA_ASSIGN_OR_RETURN(const HostPort coordinator, ParseHostPort(target_.address));
    if (target_.proxy) {
      FEDMETA_RETURN_IF_ERROR(Connect(target_.proxy->at, "proxy"));
      FEDMETA_RETURN_IF_ERROR(OpenTunnel(*target_.proxy));
    } else {
      FEDMETA_RETURN_IF_ERROR(Connect(coordinator, "coordinator"));
    }
    return Handshake();
  }

 private:
  /// Runs one asynchronous operation to its end.
  error_code Await(const std::function<void(std::function<void(error_code)>)>& start) {
    error_code result = asio::error::timed_out;
    io_.restart();
    start([&](error_code error) { result = error; });
    if (stop_.stop_requested()) io_.stop();
    io_.run_for(kHopTimeout);
    if (!io_.stopped()) {
      error_code ignored;
      socket_.close(ignored);
      io_.run();  // the handler refers to this frame
      return asio::error::timed_out;
    }
    return result;
  }

  Status Connect(const HostPort& at, const std::string& who) {
    asio::ip::tcp::resolver::results_type found;
    error_code error = Await([&](const auto& done) {
      resolver_.async_resolve(at.host, std::to_string(at.port),
                              [&found, done](error_code e, auto results) {
                                found = std::move(results);
                                done(e);
                              });
    });
    if (error)
      return Unreachable("cannot find the " + who + "'s host " + at.host + ": " + error.message());
    error = Await([&](const auto& done) {
      asio::async_connect(socket_, found, [done](error_code e, const auto&) { done(e); });
    });
    if (error)
      return Unreachable("cannot reach the " + who + " at " + at.ToString() + ": " +
                         error.message());
    return {};
  }

  Status OpenTunnel(const DialTarget::Proxy& proxy) {
    std::string request =
        "CONNECT " + target_.address + " HTTP/1.1\r\nHost: " + target_.address + "\r\n";
    if (const std::string credentials = ProxyAuthorization(proxy); !credentials.empty()) {
      request += "Proxy-Authorization: " + credentials + "\r\n";
    }
    request += "\r\n";
    error_code error = Await([&](const auto& done) {
      asio::async_write(socket_, asio::buffer(request),
                        [done](error_code e, std::size_t) { done(e); });
    });
    OPENSSL_cleanse(request.data(), request.size());
    std::string answer;
    if (!error) {
      error = Await([&](const auto& done) {
        asio::async_read_until(socket_, asio::dynamic_buffer(answer, kMaximumAnswer), "\r\n\r\n",
                               [done](error_code e, std::size_t) { done(e); });
      });
    }
    const std::string where = "proxy " + proxy.at.ToString();
    const int code =
        answer.starts_with("HTTP/1.") && answer.size() > 12 ? std::atoi(answer.c_str() + 9) : 0;
    if (code >= 200 && code < 300) return {};
    if (code == 407 || code == 401) {  // tinyproxy: 401 for a wrong password
      return Refused(where + " answered " + std::to_string(code) + ": " +
                     (proxy.password.empty()
                          ? "it wants a user and a password; set coordinator.proxy and "
                            "coordinator.proxy_password_file"
                          : "wrong user or password; see coordinator.proxy and "
                            "coordinator.proxy_password_file"));
    }
    if (code != 0) {
      return Unreachable(where + " refused CONNECT to " + target_.address + ": " +
                         std::to_string(code) + "; ask whoever runs it");
    }
    return Unreachable(where + " gave no HTTP answer to CONNECT" +
                       (error ? ": " + error.message() : ""));
  }

  Status Handshake() {
    asio::ssl::context context(asio::ssl::context::tls_client);
    error_code error;
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_3_VERSION);
    const std::string_view key = credentials_.key_pem.Expose();
    context.add_certificate_authority(asio::buffer(credentials_.trust_pem), error);
    if (!error) context.use_certificate_chain(asio::buffer(credentials_.certificate_pem), error);
    if (!error)
      context.use_private_key(asio::buffer(key.data(), key.size()), asio::ssl::context::pem, error);
    if (error)
      return Error(ErrorCode::kInternal, "OpenSSL cannot take the credentials: " + error.message());
    asio::ssl::stream<asio::ip::tcp::socket&> tls(socket_, context);
    SSL* ssl = tls.native_handle();
    tls.set_verify_mode(asio::ssl::verify_peer, error);
    X509_VERIFY_PARAM* expected = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, target_.server_name.c_str()) != 1) {
      X509_VERIFY_PARAM_set1_host(expected, target_.server_name.c_str(), 0);
    }
    SSL_set_tlsext_host_name(ssl, target_.server_name.c_str());
    constexpr unsigned char kHttp2[] = {2, 'h', '2'};
    SSL_set_alpn_protos(ssl, kHttp2, sizeof(kHttp2));
    error =
        Await([&](const auto& done) { tls.async_handshake(asio::ssl::stream_base::client, done); });
    if (error) return HandshakeFailed(ssl, error);
    // In TLS 1.3 a refusal of our certificate comes after our side of the handshake: the first read
    // meets it.
    char byte = 0;
    error = Await([&](const auto& done) {
      tls.async_read_some(asio::buffer(&byte, 1), [done](error_code e, std::size_t) { done(e); });
    });
    if (!error || error == asio::error::timed_out || stop_.stop_requested()) return {};
    return Refused("the coordinator at " + target_.address + " refused this site's certificate (" +
                   error.message() +
                   "): it must be issued by the coordinator's own federation, for a client, and "
                   "not be expired");
  }

  Status HandshakeFailed(SSL* ssl, const error_code& error) const {
    const std::string who = "the server at " + target_.address;
    const long verdict = SSL_get_verify_result(ssl);
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
      return Refused("the certificate of " + who + " is not for the name '" + target_.server_name +
                     "': set coordinator.server_name to a name it carries");
    }
    if (verdict != X509_V_OK) {
      return Refused(
          who + " is not the coordinator of this federation: its certificate does not verify (" +
          X509_verify_cert_error_string(verdict) +
          "); it must be issued by the authority in identity.trust");
    }
    return Unreachable("TLS with " + who + " failed: " + error.message());
  }

  const DialTarget& target_;
  const Credentials& credentials_;
  const std::stop_token stop_;
  asio::io_context io_;
  asio::ip::tcp::resolver resolver_{io_};
  asio::ip::tcp::socket socket_{io_};
  std::stop_callback<std::function<void()>> interrupt_;
};

}  // namespace

Status ProbeConnection(const DialTarget& target, const Credentials& credentials,
                       std::stop_token stop) {
  Status status = Probe(target, credentials, stop).Run();
  if (stop.stop_requested()) return Error(ErrorCode::kCancelled, "asked to stop");
  return status;
}

}  // namespace fedmeta

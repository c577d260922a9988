#include "fedmeta/transport/connection_probe.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>

#include "fedmeta/core/text.h"
#include "fedmeta/identity/authority.h"

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
  Probe(const DialTarget& target, const IdentitySource& identity, const std::stop_token& stop,
        std::vector<Hop>* hops)
      : target_(target),
        identity_(identity),
        credentials_(identity.credentials()),
        stop_(stop),
        hops_(hops),
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
  void Passed(const char* hop, std::string text) {
    if (hops_ != nullptr) hops_->push_back({hop, true, std::move(text)});
  }
  Error Failed(const char* hop, Error error) {
    if (hops_ != nullptr) hops_->push_back({hop, false, error.message()});
    return error;
  }

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
    if (error) {
      return Failed("name", Unreachable("cannot find the " + who + "'s host " + at.host + ": " +
                                        error.message()));
    }
    std::vector<std::string> addresses;
    for (const auto& entry : found) addresses.push_back(entry.endpoint().address().to_string());
    Passed("name", at.host + " is " + Join(addresses, ", "));
    error = Await([&](const auto& done) {
      asio::async_connect(socket_, found, [done](error_code e, const auto&) { done(e); });
    });
    if (error) {
      return Failed("tcp", Unreachable("cannot reach the " + who + " at " + at.ToString() + ": " +
                                       error.message()));
    }
    Passed("tcp", "the " + who + " answers at " + at.ToString());
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
    if (code >= 200 && code < 300) {
      Passed("proxy", where + " opened a tunnel to " + target_.address);
      return {};
    }
    if (code == 407 || code == 401) {  // tinyproxy: 401 for a wrong password
      return Failed("proxy",
                    Refused(where + " answered " + std::to_string(code) + ": " +
                            (proxy.password.empty()
                                 ? "it wants a user and a password; set coordinator.proxy and "
                                   "coordinator.proxy_password_file"
                                 : "wrong user or password; see coordinator.proxy and "
                                   "coordinator.proxy_password_file")));
    }
    if (code != 0) {
      return Failed("proxy", Unreachable(where + " refused CONNECT to " + target_.address + ": " +
                                         std::to_string(code) + "; ask whoever runs it"));
    }
    return Failed("proxy", Unreachable(where + " gave no HTTP answer to CONNECT" +
                                       (error ? ": " + error.message() : "")));
  }

  Status Handshake() {
    asio::ssl::context context(asio::ssl::context::tls_client);
    error_code error;
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_3_VERSION);
    const std::string_view key = credentials_->key_pem.Expose();
    context.add_certificate_authority(asio::buffer(credentials_->trust_pem), error);
    if (!error) context.use_certificate_chain(asio::buffer(credentials_->certificate_pem), error);
    if (!error)
      context.use_private_key(asio::buffer(key.data(), key.size()), asio::ssl::context::pem, error);
    if (error)
      return Error(ErrorCode::kInternal, "OpenSSL cannot take the credentials: " + error.message());
    asio::ssl::stream<asio::ip::tcp::socket&> tls(socket_, context);
    SSL* ssl = tls.native_handle();
    tls.set_verify_mode(asio::ssl::verify_peer, error);
    std::string presented;  // of a refused certificate OpenSSL keeps nothing
    tls.set_verify_callback(
        [&presented](bool verified, asio::ssl::verify_context& verification) {
          if (presented.empty()) presented = PresentedPem(verification.native_handle());
          return verified;
        },
        error);
    X509_VERIFY_PARAM* expected = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, target_.server_name.c_str()) != 1) {
      X509_VERIFY_PARAM_set1_host(expected, target_.server_name.c_str(), 0);
    }
    SSL_set_tlsext_host_name(ssl, target_.server_name.c_str());
    constexpr unsigned char kHttp2[] = {2, 'h', '2'};
    SSL_set_alpn_protos(ssl, kHttp2, sizeof(kHttp2));
    error =
        Await([&](const auto& done) { tls.async_handshake(asio::ssl::stream_base::client, done); });
    const auto shown = presented.empty()
                           ? std::nullopt
                           : std::optional(DescribeCertificatePem(presented, SystemClock()));
    const CertificateInfo* whose = shown && shown->ok() ? &shown->value() : nullptr;
    if (error) return HandshakeFailed(ssl, error, whose);
    Passed("tls", SSL_get_version(ssl) + std::string(", certificate ") + Describe(whose));
    FEDMETA_RETURN_IF_ERROR(CheckCertificate(presented, whose));
    // In TLS 1.3 a refusal of our certificate comes after our side of the handshake: the first read
    // meets it.
    char byte = 0;
    error = Await([&](const auto& done) {
      tls.async_read_some(asio::buffer(&byte, 1), [done](error_code e, std::size_t) { done(e); });
    });
    if (!error || error == asio::error::timed_out || stop_.stop_requested()) {
      Passed("verdict", "it takes this site's certificate");
      return {};
    }
    return Failed(
        "verdict",
        Refused("the coordinator at " + target_.address + " refused this site's certificate (" +
                error.message() +
                "): it must be issued by the coordinator's own federation, for a client, and "
                "not be expired"));
  }

  static std::string PresentedPem(X509_STORE_CTX* verification) {
    std::string pem;
    const STACK_OF(X509)* chain = X509_STORE_CTX_get0_untrusted(verification);
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> buffer(BIO_new(BIO_s_mem()), BIO_free_all);
    for (int i = 0; i < sk_X509_num(chain); ++i)
      PEM_write_bio_X509(buffer.get(), sk_X509_value(chain, i));
    char* data = nullptr;
    const long size = BIO_get_mem_data(buffer.get(), &data);
    if (size > 0) pem.assign(data, static_cast<std::size_t>(size));
    return pem;
  }

  static std::string Describe(const CertificateInfo* whose) {
    if (whose == nullptr) return "none";
    std::vector<std::string> names;
    if (!whose->identity.empty()) names.push_back(whose->identity);
    names.insert(names.end(), whose->dns_names.begin(), whose->dns_names.end());
    names.insert(names.end(), whose->ip_addresses.begin(), whose->ip_addresses.end());
    std::string text = "'" + whose->subject + "' issued by '" + whose->issuer + "', for " +
                       (names.empty() ? "no name" : Join(names, ", ")) + ", SHA-256 " +
                       whose->sha256;
    // Anybody's words, on a terminal.
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
  }

  Status CheckCertificate(const std::string& presented, const CertificateInfo* whose) {
    const auto identity = IdentityUri::Parse(whose != nullptr ? whose->identity : "");
    const std::string& federation = credentials_->identity.federation;
    if (!identity.ok() || identity.value().role != IdentityRole::kCoordinator ||
        identity.value().federation != federation) {
      return Failed("certificate", Refused("the server at " + target_.address +
                                           " is no coordinator of federation '" + federation +
                                           "': its certificate is " + Describe(whose)));
    }
    if (const Status counts = identity_.CheckPeer(presented); !counts.ok()) {
      return Failed("certificate", Refused("the coordinator's certificate does not count: " +
                                           counts.error().message()));
    }
    Passed("certificate", identity.value().ToString() + ", until " + whose->not_after);
    return {};
  }

  Status HandshakeFailed(SSL* ssl, const error_code& error, const CertificateInfo* whose) {
    const std::string who = "the server at " + target_.address;
    const long verdict = SSL_get_verify_result(ssl);
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
      return Failed("tls", Refused("the certificate of " + who + " is not for the name '" +
                                   target_.server_name +
                                   "': set coordinator.server_name to a name it carries"));
    }
    if (verdict != X509_V_OK) {
      // A coordinator's certificate names an identity; what a middlebox makes up for a web server
      // does not.
      if (whose != nullptr && whose->identity.empty()) {
        return Failed(
            "tls",
            Refused("TLS is being inspected: the certificate comes from '" + whose->issuer +
                    "', not from the federation's authority (" + Describe(whose) +
                    "); ask whoever runs that network for an exception for " + target_.address));
      }
      return Failed(
          "tls",
          Refused(who +
                  " is not the coordinator of this federation: its certificate does not verify (" +
                  X509_verify_cert_error_string(verdict) +
                  "); it must be issued by the authority in identity.trust; it is " +
                  Describe(whose)));
    }
    return Failed("tls", Unreachable("TLS with " + who + " failed: " + error.message()));
  }

  const DialTarget& target_;
  const IdentitySource& identity_;
  const std::shared_ptr<const Credentials> credentials_;
  const std::stop_token stop_;
  std::vector<Hop>* const hops_;
  asio::io_context io_;
  asio::ip::tcp::resolver resolver_{io_};
  asio::ip::tcp::socket socket_{io_};
  std::stop_callback<std::function<void()>> interrupt_;
};

}  // namespace

Status ProbeConnection(const DialTarget& target, const IdentitySource& identity,
                       std::stop_token stop, std::vector<Hop>* hops) {
  Status status = Probe(target, identity, stop, hops).Run();
  if (stop.stop_requested()) return Error(ErrorCode::kCancelled, "asked to stop");
  return status;
}

}  // namespace fedmeta

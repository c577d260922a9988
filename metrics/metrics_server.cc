#include "fedmeta/metrics/metrics_server.h"

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "fedmeta/core/host_port.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;

constexpr auto kRequestTime = std::chrono::seconds(5);
constexpr auto kPauseAfterFailure = std::chrono::milliseconds(200);
constexpr std::uint32_t kHeaderBytes = 8 * 1024;
constexpr int kConnections = 32;

using Response = http::response<http::string_body>;

/// What is served, for all connections. On the server's thread only.
struct Site {
  const MetricsServer::Options options;
  const MetricRegistry& registry;
  int connections = 0;

  Response Answer(const http::request<http::empty_body>& request) const {
    Response response;
    response.version(request.version());
    response.keep_alive(false);
    response.set(http::field::content_type, "text/plain; charset=utf-8");
    response.set(http::field::cache_control, "no-store");
    std::string path(request.target());
    path.resize(std::min(path.size(), path.find('?')));
    const bool known = path == "/metrics" || path == "/healthz" || path == "/readyz";
    if (!known) {
      response.result(http::status::not_found);
      response.body() = "not found; there are /metrics, /healthz and /readyz\n";
    } else if (request.method() != http::verb::get) {
      response.result(http::status::method_not_allowed);
      response.set(http::field::allow, "GET");
      response.body() = "only GET\n";
    } else if (path == "/metrics") {
      response.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
      response.body() = registry.Expose();
    } else if (path == "/healthz") {
      const std::string why = options.unhealthy();
      Say(why.empty() ? std::vector<std::string>() : std::vector<std::string>{why}, response);
    } else {
      Say(options.not_ready(), response);
    }
    response.prepare_payload();
    return response;
  }

 private:
  static void Say(const std::vector<std::string>& reasons, Response& response) {
    if (!reasons.empty()) response.result(http::status::service_unavailable);
    response.body() = reasons.empty() ? "ok\n" : Join(reasons, "\n") + "\n";
  }
};

/// One request, one answer. Keeps itself alive by the handlers that wait.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Tcp::socket socket, Site& site) : stream_(std::move(socket)), site_(site) {
    ++site_.connections;
    parser_.header_limit(kHeaderBytes);
    parser_.body_limit(std::uint64_t{0});
  }
  ~Session() { --site_.connections; }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Read() {
    stream_.expires_after(kRequestTime);
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](const beast::error_code& error, std::size_t) {
                       if (!error) self->Write();
                     });
  }

 private:
  void Write() {
    response_ = site_.Answer(parser_.get());
    stream_.expires_after(kRequestTime);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](const beast::error_code&, std::size_t) {
                        beast::error_code ignored;
                        self->stream_.socket().shutdown(Tcp::socket::shutdown_send, ignored);
                      });
  }

  beast::tcp_stream stream_;
  Site& site_;
  beast::flat_buffer buffer_{kHeaderBytes};
  http::request_parser<http::empty_body> parser_;
  Response response_;
};

class Server final : public MetricsServer {
 public:
  Server(Options options, const MetricRegistry& registry)
      : site_{.options = std::move(options), .registry = registry} {}
  ~Server() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Status Listen(const HostPort& at) {
    beast::error_code error;
    Tcp::resolver resolver(io_);
    const auto found = resolver.resolve(at.host, std::to_string(at.port), error);
    if (error || found.empty()) return Refuse(ErrorCode::kInvalidArgument, error);
    const Tcp::endpoint endpoint = *found.begin();
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(Tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(kConnections, error);
    if (error) return Refuse(ErrorCode::kUnavailable, error);
    Accept();
    thread_ = std::thread([this] { io_.run(); });
    return {};
  }

  std::uint16_t port() const override { return acceptor_.local_endpoint().port(); }
  bool loopback() const { return acceptor_.local_endpoint().address().is_loopback(); }

 private:
  Error Refuse(ErrorCode code, const beast::error_code& error) const {
    return {code, "metrics.listen: cannot listen on " + site_.options.listen + ": " +
                      error.message() + "; choose another address or port"};
  }

  void Accept() {
    acceptor_.async_accept([this](const beast::error_code& error, Tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) {  // out of descriptors: not again at once
        pause_.expires_after(kPauseAfterFailure);
        pause_.async_wait([this](const beast::error_code&) { Accept(); });
        return;
      }
      if (site_.connections < kConnections) {
        std::make_shared<Session>(std::move(socket), site_)->Read();
      }
      Accept();
    });
  }

  Site site_;
  asio::io_context io_{1};
  Tcp::acceptor acceptor_{io_};
  asio::steady_timer pause_{io_};
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(Options options,
                                                            const MetricRegistry& registry,
                                                            Logger& logger) {
  const auto at = ParseHostPort(options.listen);
  if (!at.ok()) return at.error().WithContext("metrics.listen");
  const std::string listen = options.listen;
  auto server = std::make_unique<Server>(std::move(options), registry);
  FEDMETA_RETURN_IF_ERROR(server->Listen(*at));
  if (!server->loopback()) {
    logger.Log(LogLevel::kWarning, "metrics_not_on_loopback",
               {{"listen", listen},
                {"risk", "anyone who reaches this address reads the metrics, unencrypted"}});
  }
  return std::unique_ptr<MetricsServer>(std::move(server));
}

}  // namespace fedmeta

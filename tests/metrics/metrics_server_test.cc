#include "fedmeta/metrics/metrics_server.h"

#include <atomic>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class KeptLog final : public Logger {
 public:
  void Log(LogLevel, std::string_view event, std::initializer_list<LogField>) override {
    events.emplace_back(event);
  }
  std::vector<std::string> events;
};

class MetricsServerTest : public ::testing::Test {
 protected:
  void Serve(const std::string& listen = "127.0.0.1:0") {
    registry_.AddCounter("rounds_total", "Rounds.").With().Add(3);
    auto server = MetricsServer::Start({.listen = listen,
                                        .unhealthy = [this] { return unhealthy_; },
                                        .not_ready = [this] { return not_ready_; }},
                                       registry_, log_);
    ASSERT_TRUE(server.ok()) << server.error().message();
    server_ = std::move(*server);
  }

  asio::ip::tcp::socket Connect() {
    asio::ip::tcp::socket socket(io_);
    socket.connect({asio::ip::make_address("127.0.0.1"), server_->port()});
    return socket;
  }
  /// All that the server says until it closes.
  std::string Say(const std::string& request) {
    auto socket = Connect();
    boost::system::error_code ended;
    asio::write(socket, asio::buffer(request), ended);
    std::string answer;
    asio::read(socket, asio::dynamic_buffer(answer), ended);
    return answer;
  }
  std::string Get(const std::string& path) {
    return Say("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }

  MetricRegistry registry_;
  KeptLog log_;
  std::string unhealthy_;
  std::vector<std::string> not_ready_;
  asio::io_context io_;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, GivesTheMetricsInTheTextFormat) {
  Serve();
  const std::string answer = Get("/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("\nrounds_total 3\n"));
  EXPECT_THAT(Get("/metrics?name=x"), HasSubstr("\nrounds_total 3\n"));
  EXPECT_TRUE(log_.events.empty());
}

TEST_F(MetricsServerTest, SaysWhetherItIsHealthyAndReady) {
  Serve();
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 200"));
  unhealthy_ = "stuck";
  not_ready_ = {"certificate expired", "disk full"};
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Get("/healthz"), HasSubstr("stuck\n"));
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Get("/readyz"), HasSubstr("certificate expired\ndisk full\n"));
}

TEST_F(MetricsServerTest, RefusesOtherPathsAndMethods) {
  Serve();
  EXPECT_THAT(Get("/"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get("/metrics/../secret"), StartsWith("HTTP/1.1 404"));
  const std::string refused = Say("DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(refused, HasSubstr("Allow: GET"));
}

TEST_F(MetricsServerTest, GarbageAndLargeRequestsAreCutOffAndTheNextIsServed) {
  Serve();
  EXPECT_EQ(Say("\x16\x03\x01 hello"), "");
  EXPECT_EQ(Say("GET /metrics HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), "");
  EXPECT_EQ(Say("POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n123456789"), "");
  EXPECT_THAT(Get("/metrics"), StartsWith("HTTP/1.1 200"));
}

TEST_F(MetricsServerTest, ConnectionsBeyondTheBoundAreClosedAndSilentOnesBlockNobodyElse) {
  Serve();
  std::vector<asio::ip::tcp::socket> silent;
  for (int i = 0; i < 31; ++i) silent.push_back(Connect());
  EXPECT_THAT(Get("/metrics"), StartsWith("HTTP/1.1 200"));
  for (int i = 0; i < 20; ++i) silent.push_back(Connect());
  // Accepted in order, so the last ones found no room: they read the end at once.
  std::string nothing;
  boost::system::error_code ended;
  asio::read(silent.back(), asio::dynamic_buffer(nothing), ended);
  EXPECT_TRUE(ended == asio::error::eof || ended == asio::error::connection_reset);
  silent.clear();
  std::string answer;
  while (answer.empty()) answer = Get("/metrics");  // until it has noticed that they are gone
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
}

TEST_F(MetricsServerTest, AnOpenAddressIsWarnedOf) {
  Serve("0.0.0.0:0");
  EXPECT_EQ(log_.events, std::vector<std::string>{"metrics_not_on_loopback"});
}

TEST_F(MetricsServerTest, APortInUseIsRefusedByName) {
  Serve();
  const auto second = MetricsServer::Start(
      {.listen = "127.0.0.1:" + std::to_string(server_->port()), .unhealthy = {}, .not_ready = {}},
      registry_, log_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(second.error().message(), StartsWith("metrics.listen: cannot listen on 127.0.0.1:"));
}

}  // namespace
}  // namespace fedmeta

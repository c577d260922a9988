#include <cstdlib>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>
#include <utility>

#include "relay.h"
#include "transport_fixture.h"
#include <boost/asio.hpp>

#include "fedmeta/core/file.h"

extern char** environ;

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTinyproxy[] = "/usr/bin/tinyproxy";

int FreePort() {
  namespace asio = boost::asio;
  asio::io_context io;
  asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  return acceptor.local_endpoint().port();
}

bool Accepts(int port) {
  namespace asio = boost::asio;
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  boost::system::error_code error;
  socket.connect({asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)}, error);
  return !error;
}

/// tinyproxy in front of the server, with a password.
class ProxyTest : public TransportTest {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kTinyproxy))
      GTEST_SKIP() << kTinyproxy << " is missing (Debian package tinyproxy-bin)";
    StartServer();
  }
  void TearDown() override {
    if (process_ <= 0) return;
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
  }

  void StartProxy(const std::string& user, const std::string& password, int connect_port) {
    proxy_port_ = FreePort();
    const std::filesystem::path configuration = folder_ / "tinyproxy.conf";
    ASSERT_TRUE(WriteFileAtomically(configuration,
                                    "Port " + std::to_string(proxy_port_) +
                                        "\nListen 127.0.0.1\nTimeout 600\nAllow 127.0.0.1\n" +
                                        "BasicAuth " + user + " " + password + "\nConnectPort " +
                                        std::to_string(connect_port) + "\nLogFile \"" +
                                        (folder_ / "proxy.log").string() + "\"\nLogLevel Error\n")
                    .ok());
    std::string path = configuration.string();
    char program[] = "tinyproxy", foreground[] = "-d", option[] = "-c";
    char* arguments[] = {program, foreground, option, path.data(), nullptr};
    ASSERT_EQ(::posix_spawn(&process_, kTinyproxy, nullptr, nullptr, arguments, environ), 0);
    while (!Accepts(proxy_port_) && ::waitpid(process_, nullptr, WNOHANG) == 0)
      std::this_thread::yield();
  }
  v1::CoordinatorAddress Through(const std::string& user, const std::string& password) {
    EXPECT_TRUE(WriteFileAtomically(folder_ / "proxy.secret", password + "\n", 0600).ok());
    v1::CoordinatorAddress address = Address(server_->port());
    address.set_proxy("http://" + user + "@127.0.0.1:" + std::to_string(proxy_port_));
    address.set_proxy_password_file(folder_ / "proxy.secret");
    return address;
  }

  int proxy_port_ = 0;
  pid_t process_ = -1;
};

TEST_F(ProxyTest, CallsPassThroughAProxyWithAPassword) {
  StartProxy("site", "pass-word.1", server_->port());
  const auto link = Link(Through("site", "pass-word.1"), Fixed("spiffe://heart/client/site-1"));
  const auto welcome = link->Join({}, {});
  ASSERT_TRUE(welcome.ok()) << MessageOf(welcome);
  const Bytes content = MakeContent(3'000'000);
  Bytes got(content.size());
  EXPECT_TRUE(link->Upload(Header(content), content, {}).ok());
  EXPECT_TRUE(link->Download(endpoint_.AddBlob(content), got, {}).ok());
  EXPECT_EQ(got, content);
}

TEST_F(ProxyTest, WrongPasswordIsSaidAndNotRetriedForever) {
  StartProxy("site", "right", server_->port());
  const auto welcome =
      Link(Through("site", "wrong-password"), Fixed("spiffe://heart/client/site-1"))->Join({}, {});
  EXPECT_EQ(CodeOf(welcome), "unauthenticated");
  EXPECT_THAT(MessageOf(welcome), AllOf(HasSubstr("wrong user or password"),
                                        HasSubstr("coordinator.proxy_password_file"),
                                        Not(HasSubstr("wrong-password"))));
  for (const std::string& line : client_log_.lines())
    EXPECT_THAT(line, Not(HasSubstr("wrong-password")));
}

TEST_F(ProxyTest, MissingPasswordIsSaid) {
  StartProxy("site", "right", server_->port());
  v1::CoordinatorAddress address = Address(server_->port());
  address.set_proxy("http://127.0.0.1:" + std::to_string(proxy_port_));
  EXPECT_THAT(MessageOf(Link(address, Fixed("spiffe://heart/client/site-1"))->Join({}, {})),
              HasSubstr("wants a user and a password"));
}

TEST_F(ProxyTest, ProxyThatForbidsThePortIsNamed) {
  StartProxy("site", "right", 1);
  const auto link = Link(Through("site", "right"), Fixed("spiffe://heart/client/site-1"));
  std::stop_source stop;
  std::jthread stopper([&] {
    while (client_log_.lines().empty()) std::this_thread::yield();
    stop.request_stop();
  });
  EXPECT_EQ(CodeOf(link->Join({}, stop.get_token())), "cancelled");
  EXPECT_THAT(
      client_log_.lines().front(),
      HasSubstr("refused CONNECT to 127.0.0.1:" + std::to_string(server_->port()) + ": 403"));
}

TEST_F(ProxyTest, ProxyThatIsAwayIsNamed) {
  proxy_port_ = FreePort();
  const auto link = Link(Through("site", "right"), Fixed("spiffe://heart/client/site-1"));
  std::stop_source stop;
  std::jthread stopper([&] {
    while (client_log_.lines().empty()) std::this_thread::yield();
    stop.request_stop();
  });
  EXPECT_EQ(CodeOf(link->Join({}, stop.get_token())), "cancelled");
  EXPECT_THAT(client_log_.lines().front(),
              HasSubstr("cannot reach the proxy at 127.0.0.1:" + std::to_string(proxy_port_)));
}

TEST_F(ProxyTest, ProxyOfTheEnvironmentIsNotUsed) {
  ::setenv("http_proxy", ("http://127.0.0.1:" + std::to_string(FreePort())).c_str(), 1);
  ::setenv("https_proxy", ("http://127.0.0.1:" + std::to_string(FreePort())).c_str(), 1);
  const auto welcome = Link()->Join({}, {});
  ::unsetenv("http_proxy");
  ::unsetenv("https_proxy");
  EXPECT_TRUE(welcome.ok()) << MessageOf(welcome);
}

}  // namespace
}  // namespace fedmeta

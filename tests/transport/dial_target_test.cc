#include "fedmeta/transport/dial_target.h"

#include "transport_fixture.h"

#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class DialTargetTest : public ::testing::Test {
 protected:
  DialTargetTest() { address_.set_address("fed.example.org:443"); }
  std::string Refusal() const { return MessageOf(ParseDialTarget(address_)); }
  v1::CoordinatorAddress address_;
};

TEST_F(DialTargetTest, HostIsTheServerNameUnlessOneIsGiven) {
  EXPECT_EQ(ParseDialTarget(address_).value().server_name, "fed.example.org");
  address_.set_address("[::1]:443");
  EXPECT_EQ(ParseDialTarget(address_).value().server_name, "::1");
  address_.set_server_name("main");
  EXPECT_EQ(ParseDialTarget(address_).value().server_name, "main");
}

TEST_F(DialTargetTest, AddressWithoutPortIsRefused) {
  address_.set_address("fed.example.org");
  EXPECT_THAT(Refusal(), HasSubstr("coordinator.address: 'fed.example.org' has no port"));
}

TEST_F(DialTargetTest, AddressWithAPortOutOfBoundsIsRefused) {
  address_.set_address("fed.example.org:65536");
  EXPECT_THAT(Refusal(), HasSubstr("no port between 0 and 65535"));
}

TEST_F(DialTargetTest, PasswordInTheProxyUrlIsRefusedUnshown) {
  address_.set_proxy("http://user:geheim@proxy:3128");
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("proxy_password_file"), Not(HasSubstr("geheim"))));
}

TEST_F(DialTargetTest, ProxyThatIsNotHttpIsRefused) {
  address_.set_proxy("socks5://proxy:1080");
  EXPECT_THAT(Refusal(), HasSubstr("does not start with http://"));
}

TEST_F(DialTargetTest, PasswordWithoutUserIsRefused) {
  address_.set_proxy("http://proxy:3128");
  address_.set_proxy_password_file("/nowhere");
  EXPECT_THAT(Refusal(), HasSubstr("names no user"));
}

TEST_F(DialTargetTest, MissingPasswordFileIsNamed) {
  address_.set_proxy("http://user@proxy:3128");
  address_.set_proxy_password_file("/nowhere/proxy.secret");
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("coordinator.proxy_password_file"),
                               HasSubstr("/nowhere/proxy.secret")));
}

TEST_F(DialTargetTest, KeepaliveThatTheServerWouldPunishIsRefused) {
  address_.mutable_keepalive()->set_seconds(1);
  EXPECT_THAT(Refusal(), HasSubstr("between 10s and 1h, got 1000 ms"));
}

}  // namespace
}  // namespace fedmeta

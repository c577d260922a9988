#include "fedmeta/transport/connection_gate.h"

#include <unistd.h>

#include <boost/asio.hpp>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using boost::asio::ip::tcp;

/// A gate whose connections nobody reads: the test holds both ends.
class ConnectionGateTest : public ::testing::Test {
 protected:
  ~ConnectionGateTest() override {
    gate_.reset();
    for (const int descriptor : taken_) ::close(descriptor);
  }
  void Listen(const ConnectionGate::Options& options) {
    auto gate = ConnectionGate::Listen("127.0.0.1:0", options);
    ASSERT_TRUE(gate.ok()) << gate.error().message();
    gate_ = std::move(gate).value();
    gate_->Open([this](int, int descriptor) {
      const std::lock_guard lock(mutex_);
      taken_.push_back(descriptor);
      changed_.notify_all();
    });
  }
  /// A connection that the gate has taken.
  tcp::socket Dial(const char* from = "127.0.0.1") {
    std::unique_lock lock(mutex_);
    const std::size_t before = taken_.size();
    tcp::socket socket(io_, tcp::endpoint(boost::asio::ip::make_address(from), 0));
    socket.connect(
        {boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(gate_->port())});
    changed_.wait(lock, [&] { return taken_.size() > before; });
    return socket;
  }
  /// As gRPC names it.
  static std::string Peer(const tcp::socket& socket) {
    return "ipv4:127.0.0.1:" + std::to_string(socket.local_endpoint().port());
  }
  Status Prove(const tcp::socket& socket, const std::string& client) {
    return gate_->Proven(ClientId(client), Peer(socket));
  }
  /// Waits for the other side to end the connection.
  static bool Ends(tcp::socket& socket) {
    char byte = 0;
    boost::system::error_code error;
    socket.read_some(boost::asio::buffer(&byte, 1), error);
    return error == boost::asio::error::eof || error == boost::asio::error::connection_reset;
  }
  static bool StillOpen(tcp::socket& socket) {
    socket.non_blocking(true);
    char byte = 0;
    boost::system::error_code error;
    socket.read_some(boost::asio::buffer(&byte, 1), error);
    return error == boost::asio::error::would_block;
  }

  boost::asio::io_context io_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int> taken_;
  std::unique_ptr<ConnectionGate> gate_;
};

TEST_F(ConnectionGateTest, TheOldestUnprovenConnectionMakesRoom) {
  Listen({.unproven = 2});
  tcp::socket first = Dial();
  tcp::socket second = Dial();
  tcp::socket third = Dial();
  EXPECT_TRUE(Ends(first));
  EXPECT_TRUE(StillOpen(second));
  EXPECT_TRUE(StillOpen(third));
}

TEST_F(ConnectionGateTest, ACrowdMakesRoomFromItsOwnAddress) {
  Listen({.unproven = 3});
  tcp::socket site = Dial("127.0.0.2");
  tcp::socket first = Dial();
  tcp::socket second = Dial();
  tcp::socket third = Dial();
  tcp::socket fourth = Dial();
  EXPECT_TRUE(Ends(first));
  EXPECT_TRUE(Ends(second));
  EXPECT_TRUE(StillOpen(site));
  EXPECT_TRUE(StillOpen(third));
  EXPECT_TRUE(StillOpen(fourth));
}

TEST_F(ConnectionGateTest, AProvenConnectionStaysHoweverManyFollow) {
  Listen({.unproven = 2});
  tcp::socket member = Dial();
  ASSERT_TRUE(Prove(member, "site-1").ok());
  std::vector<tcp::socket> strangers;
  for (int i = 0; i < 5; ++i) strangers.push_back(Dial());
  EXPECT_TRUE(Ends(strangers[0]));
  EXPECT_TRUE(Ends(strangers[2]));
  EXPECT_TRUE(StillOpen(member));
}

TEST_F(ConnectionGateTest, OneClientKeepsItsLatestConnections) {
  Listen({.per_client = 2});
  tcp::socket first = Dial();
  tcp::socket second = Dial();
  tcp::socket third = Dial();
  for (const tcp::socket* socket : {&first, &second, &third})
    ASSERT_TRUE(Prove(*socket, "site-1").ok());
  EXPECT_TRUE(Ends(first));
  EXPECT_TRUE(StillOpen(second));
  EXPECT_TRUE(StillOpen(third));
}

TEST_F(ConnectionGateTest, ProvenConnectionsAreCountedUntilTheyClose) {
  Listen({.proven = 2});
  tcp::socket first = Dial();
  tcp::socket second = Dial();
  tcp::socket third = Dial();
  ASSERT_TRUE(Prove(first, "site-1").ok());
  ASSERT_TRUE(Prove(first, "site-1").ok());  // a further call
  ASSERT_TRUE(Prove(second, "site-2").ok());
  const Status refused = Prove(third, "site-3");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kResourceExhausted);
  first.close();
  while (!Prove(third, "site-3").ok()) std::this_thread::yield();  // the close is on its way
}

TEST_F(ConnectionGateTest, KnowsWhetherAClientHasAnotherConnection) {
  Listen({});
  tcp::socket first = Dial();
  ASSERT_TRUE(Prove(first, "site-1").ok());
  EXPECT_FALSE(gate_->HasOther(ClientId("site-1"), Peer(first)));
  EXPECT_FALSE(gate_->HasOther(ClientId("site-2"), Peer(first)));
  tcp::socket second = Dial();
  ASSERT_TRUE(Prove(second, "site-1").ok());
  EXPECT_TRUE(gate_->HasOther(ClientId("site-1"), Peer(second)));
  first.close();
  while (gate_->HasOther(ClientId("site-1"), Peer(second))) std::this_thread::yield();
}

TEST_F(ConnectionGateTest, NoConnectionTakesTheLastDescriptors) {
  Listen({.descriptors = 3});  // any descriptor is above
  tcp::socket socket(io_);
  socket.connect(
      {boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(gate_->port())});
  EXPECT_TRUE(Ends(socket));
  EXPECT_TRUE(taken_.empty());
}

TEST_F(ConnectionGateTest, PeersAreKnownUnderIpv6Too) {
  auto gate = ConnectionGate::Listen("[::1]:0", {.per_client = 1});
  if (!gate.ok()) GTEST_SKIP() << "no IPv6 loopback: " << gate.error().message();
  gate_ = std::move(gate).value();
  gate_->Open([this](int, int descriptor) {
    const std::lock_guard lock(mutex_);
    taken_.push_back(descriptor);
    changed_.notify_all();
  });
  const auto dial = [&] {
    std::unique_lock lock(mutex_);
    const std::size_t before = taken_.size();
    tcp::socket socket(io_);
    socket.connect(
        {boost::asio::ip::address_v6::loopback(), static_cast<std::uint16_t>(gate_->port())});
    changed_.wait(lock, [&] { return taken_.size() > before; });
    return socket;
  };
  tcp::socket first = dial();
  tcp::socket second = dial();
  for (const tcp::socket* socket : {&first, &second}) {
    ASSERT_TRUE(gate_
                    ->Proven(ClientId("site-1"),
                             "ipv6:%5B::1%5D:" + std::to_string(socket->local_endpoint().port()))
                    .ok());
  }
  EXPECT_TRUE(Ends(first));
}

/// What the gate has told.
class LeftUnprovenTest : public ConnectionGateTest {
 protected:
  ConnectionGate::Options Options(std::size_t unproven = 8) {
    return {.unproven = unproven,
            .left_unproven =
                [this](const std::string& address, std::uint64_t connections) {
                  const std::lock_guard lock(told_mutex_);
                  told_[address] += connections;
                  ++tellings_;
                  told_changed_.notify_all();
                },
            .look_ms = 1};
  }
  std::uint64_t WaitFor(const std::string& address, std::uint64_t connections) {
    std::unique_lock lock(told_mutex_);
    told_changed_.wait_for(lock, std::chrono::seconds(20),
                           [&] { return told_[address] >= connections; });
    return told_[address];
  }
  std::mutex told_mutex_;
  std::condition_variable told_changed_;
  std::map<std::string, std::uint64_t> told_;
  std::size_t tellings_ = 0;
};

TEST_F(LeftUnprovenTest, WhoLeavesWithoutACallIsNamedByAddress) {
  Listen(Options());
  tcp::socket stays = Dial();
  { tcp::socket leaves = Dial("127.0.0.2"); }
  EXPECT_EQ(WaitFor("127.0.0.2", 1), 1U);
  EXPECT_TRUE(StillOpen(stays));
  EXPECT_FALSE(told_.contains("127.0.0.1"));
}
TEST_F(LeftUnprovenTest, WhoHasProvenItselfIsNot) {
  Listen(Options());
  {
    tcp::socket member = Dial();
    ASSERT_TRUE(Prove(member, "site-1").ok());
  }
  { tcp::socket stranger = Dial("127.0.0.2"); }
  EXPECT_EQ(WaitFor("127.0.0.2", 1), 1U);
  EXPECT_FALSE(told_.contains("127.0.0.1"));
}
TEST_F(LeftUnprovenTest, ManyOfOneAddressAreAFewLines) {
  Listen(Options(100));
  for (int i = 0; i < 60; ++i) {
    { tcp::socket leaves = Dial("127.0.0.3"); }
  }
  EXPECT_EQ(WaitFor("127.0.0.3", 60), 60U);
  EXPECT_LT(tellings_, 60U);
}
TEST_F(LeftUnprovenTest, WhoIsCrowdedOutIsNamedToo) {
  Listen(Options(2));
  tcp::socket first = Dial("127.0.0.4");
  tcp::socket second = Dial("127.0.0.4");
  tcp::socket third = Dial("127.0.0.4");
  EXPECT_EQ(WaitFor("127.0.0.4", 1), 1U);
}

}  // namespace
}  // namespace fedmeta

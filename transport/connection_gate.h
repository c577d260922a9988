#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// The listening sockets, in front of gRPC, which takes every connection that comes and stops
/// listening for good once no file descriptor is left (accept4: EMFILE, gRPC 1.51).
///
/// A connection is unproven until a member's call comes in on it. Only so many may be unproven:
/// each further one closes the oldest of the network address that has most of them, so that
/// half-open, silent and crawling connections cost a bounded amount and never keep a site out,
/// which proves itself within a few round trips.
/// Connections close without this class being told, so it looks (getpeername) when it matters.
/// Thread-safe.
class ConnectionGate {
 public:
  struct Options {
    std::size_t unproven = 1024;
    std::size_t proven = 10'000;
    std::size_t per_client = 4;  ///< beyond it, a client's oldest connection is closed
    int descriptors = 20'000;    ///< a connection whose descriptor would be this or more is closed
    /// Hears, on the gate's thread, from which network addresses ("192.0.2.7", "2001:db8::/64")
    /// connections ended unproven, and how many since it heard of that address last, at most once
    /// in twelve looks; addresses beyond kAddressesNamed are "others". gRPC does not say whom it
    /// refused in the TLS handshake: this does.
    std::function<void(const std::string& address, std::uint64_t connections)> left_unproven = {};
    int look_ms = 5000;  ///< between looks, while there are unproven ones
  };
  static constexpr std::size_t kAddressesNamed = 1024;
  /// Takes over the descriptor of a new connection.
  using Receiver = std::function<void(int listener, int connection)>;

  /// `address` is host:port; port 0 takes a free one. "[::]" takes IPv4, too. kUnavailable: port in
  /// use, unknown host, not permitted.
  static Result<std::unique_ptr<ConnectionGate>> Listen(const std::string& address,
                                                        const Options& options);
  ~ConnectionGate();
  int port() const { return port_; }
  /// Starts to accept. Once.
  void Open(Receiver receiver);
  /// Accepts no more; the receiver is not called afterwards. Idempotent.
  void Close();

  /// A call of this client came in from `peer`, as gRPC writes it. kResourceExhausted if there are
  /// too many connections that have proven themselves before.
  Status Proven(const ClientId& client, const std::string& peer);
  /// Whether the client has another open connection than the one from `peer`.
  bool HasOther(const ClientId& client, const std::string& peer);

 private:
  using Endpoint = boost::asio::ip::tcp::endpoint;
  struct Connection {
    int descriptor = -1;
    std::uint64_t number = 0;
    std::string client;  // empty: unproven
  };
  struct Named {
    Endpoint peer;
    std::uint64_t number = 0;
  };

  explicit ConnectionGate(const Options& options) : options_(options) {}
  Status Bind(const std::string& address);
  void Run(const Receiver& receiver);
  void AcceptAll(boost::asio::ip::tcp::acceptor& listener, const Receiver& receiver);
  std::size_t Note(const Endpoint& peer, int descriptor);
  void Pause(int milliseconds) const;
  const Connection* Find(const Named& named) const;
  bool IsOurs(const Named& named) const;
  bool IsOpen(const Named& named) const;
  void Shut(const Named& named);
  void CloseOneUnproven();
  void NoLongerUnproven(const Named& named);
  void ForgetClosed(std::vector<Named>& connections);
  bool Watches();
  void LookForThoseWhoLeft();
  void CountLeft(const boost::asio::ip::address& network);
  using Left = std::vector<std::pair<std::string, std::uint64_t>>;
  Left TakeLeft();

  const Options options_;
  boost::asio::io_context io_;
  std::vector<boost::asio::ip::tcp::acceptor> listeners_;
  int port_ = 0;
  int wake_ = -1;
  std::jthread thread_;

  std::mutex mutex_;
  std::uint64_t last_number_ = 0;
  std::map<Endpoint, Connection> connections_;                      // some of them closed meanwhile
  std::map<boost::asio::ip::address, std::deque<Named>> unproven_;  // by network, oldest first
  std::size_t unproven_count_ = 0;
  std::map<std::string, std::vector<Named>> of_client_;
  std::size_t proven_ = 0;
  struct Leavings {
    std::uint64_t connections = 0;  // not told
    std::uint64_t quiet_until = 0;  // look
  };
  std::map<std::string, Leavings> left_;  // by address, as it is told
  std::uint64_t look_ = 0;
  std::chrono::steady_clock::time_point next_look_{};  // of the gate's thread alone
};

}  // namespace fedmeta

#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <thread>
#include <utility>

#include <boost/asio.hpp>

namespace fedmeta {

/// A TCP relay to a local port, which a test can cut: what is open breaks, and what comes later
/// works again.
class Relay {
 public:
  explicit Relay(int to_port);
  ~Relay();
  int port() const { return port_; }
  /// Breaks every open connection (reset).
  void Cut();
  /// Breaks each connection once it has carried so many bytes in all, as often as said.
  void CutAfter(std::uint64_t bytes, int times = 1);
  /// Carries nothing more, with every connection open, until Resume.
  void Hold();
  void Resume();
  /// Carries at most 16 KiB each 10 ms and direction.
  void Throttle();

 private:
  class Pair;
  void Accept();

  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_{io_};
  int port_ = 0;
  boost::asio::ip::tcp::endpoint to_;
  std::list<std::weak_ptr<Pair>> pairs_;
  std::uint64_t cut_after_ = 0;
  int cuts_left_ = 0;
  bool held_ = false, throttled_ = false;
  std::jthread thread_;
};

}  // namespace fedmeta

#include "fedmeta/transport/connection_gate.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <string_view>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/v6_only.hpp>

#include "fedmeta/core/host_port.h"

namespace fedmeta {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr int kBacklog = 4096;
// How long to wait where accepting failed, for want of descriptors or memory.
constexpr int kPauseMs = 50;
// How long to wait for gRPC to close what was ended, before the next connection.
constexpr int kLagMs = 5;
// What the process may have open besides connections, before a descriptor's number says anything.
constexpr std::size_t kOtherDescriptors = 128;

tcp::endpoint Canonical(const tcp::endpoint& endpoint) {
  const auto address = endpoint.address();
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return endpoint;
  return {asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()), endpoint.port()};
}

/// One host has one IPv4 address, but the 2^64 of a network in IPv6.
asio::ip::address NetworkOf(const tcp::endpoint& peer) {
  if (peer.address().is_v4()) return peer.address();
  auto bytes = peer.address().to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  return asio::ip::address_v6(bytes);
}

std::optional<tcp::endpoint> PeerOf(int descriptor) {
  tcp::endpoint endpoint;
  auto size = static_cast<socklen_t>(endpoint.capacity());
  if (::getpeername(descriptor, endpoint.data(), &size) != 0) return std::nullopt;
  if (endpoint.data()->sa_family != AF_INET && endpoint.data()->sa_family != AF_INET6)
    return std::nullopt;
  endpoint.resize(size);
  return Canonical(endpoint);
}

/// Reads "ipv4:127.0.0.1:1234" and "ipv6:%5B::1%5D:1234".
std::optional<tcp::endpoint> ParsePeer(std::string_view peer) {
  const std::size_t scheme = peer.find(':');
  if (scheme == peer.npos) return std::nullopt;
  std::string text;
  for (std::string_view rest = peer.substr(scheme + 1); !rest.empty();) {
    const bool open = rest.starts_with("%5B");
    const bool bracket = open || rest.starts_with("%5D");
    text += bracket ? (open ? '[' : ']') : rest.front();
    rest.remove_prefix(bracket ? 3 : 1);
  }
  const auto parsed = ParseHostPort(text);
  if (!parsed.ok()) return std::nullopt;
  boost::system::error_code error;
  const auto address = asio::ip::make_address(parsed->host, error);
  if (error) return std::nullopt;
  return Canonical({address, parsed->port});
}

}  // namespace

Result<std::unique_ptr<ConnectionGate>> ConnectionGate::Listen(const std::string& address,
                                                               const Options& options) {
  auto gate = std::unique_ptr<ConnectionGate>(new ConnectionGate(options));
  if (const Status bound = gate->Bind(address); !bound.ok())
    return bound.error().WithContext("cannot listen on " + address);
  return gate;
}

Status ConnectionGate::Bind(const std::string& address) {
  FEDMETA_ASSIGN_OR_RETURN(const HostPort wanted, ParseHostPort(address));
  boost::system::error_code error;
  tcp::resolver resolver(io_);
  const auto found =
      resolver.resolve(wanted.host, std::to_string(wanted.port), tcp::resolver::passive, error);
  if (error) {
    return Error(ErrorCode::kUnavailable, "the host name is unknown (" + error.message() + ")");
  }
  port_ = wanted.port;
  for (const auto& entry : found) {
    tcp::endpoint at = entry.endpoint();
    at.port(static_cast<std::uint16_t>(port_));  // of the first, if any was asked for
    tcp::acceptor& listener = listeners_.emplace_back(io_);
    listener.open(at.protocol(), error);
    if (!error) listener.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && at.address().is_v6()) {
      listener.set_option(asio::ip::v6_only(!at.address().is_unspecified()), error);
    }
    if (!error) listener.bind(at, error);
    if (!error) listener.listen(kBacklog, error);
    if (!error) listener.non_blocking(true, error);
    if (error == asio::error::address_in_use) {
      return Error(ErrorCode::kUnavailable,
                   "port " + std::to_string(at.port()) +
                       " is in use: another coordinator runs, or choose another port");
    }
    if (error) return Error(ErrorCode::kUnavailable, error.message());
    port_ = listener.local_endpoint().port();
  }
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return Error(ErrorCode::kUnavailable, "no file descriptor is left");
  return {};
}

ConnectionGate::~ConnectionGate() {
  Close();
  if (wake_ >= 0) ::close(wake_);
}

void ConnectionGate::Open(Receiver receiver) {
  thread_ = std::jthread([this, receiver = std::move(receiver)] { Run(receiver); });
}

void ConnectionGate::Close() {
  if (thread_.joinable()) {
    (void)::eventfd_write(wake_, 1);
    thread_.join();
  }
  listeners_.clear();
}

void ConnectionGate::Run(const Receiver& receiver) {
  std::vector<pollfd> watched = {{.fd = wake_, .events = POLLIN, .revents = 0}};
  for (tcp::acceptor& listener : listeners_)
    watched.push_back({.fd = listener.native_handle(), .events = POLLIN, .revents = 0});
  for (;;) {
    const int ready = ::poll(watched.data(), watched.size(), Watches() ? options_.look_ms : -1);
    if (ready < 0) continue;
    if (watched.front().revents != 0) return;
    LookForThoseWhoLeft();
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      if (watched[i + 1].revents != 0) AcceptAll(listeners_[i], receiver);
    }
  }
}

void ConnectionGate::AcceptAll(tcp::acceptor& listener, const Receiver& receiver) {
  // Not for ever: Close must be heard.
  for (int taken = 0; taken < kBacklog; ++taken) {
    const int connection =
        ::accept4(listener.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) Pause(kPauseMs);
      return;
    }
    // The kernel gives the lowest free number: this one says how many are open at least.
    const auto peer = PeerOf(connection);
    if (!peer || connection >= options_.descriptors) {
      ::close(connection);
      continue;
    }
    const int on = 1;
    ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const std::size_t allowed = Note(*peer, connection);
    receiver(listener.native_handle(), connection);
    if (static_cast<std::size_t>(connection) > allowed) Pause(kLagMs);
  }
}

void ConnectionGate::Pause(int milliseconds) const {
  pollfd wake{.fd = wake_, .events = POLLIN, .revents = 0};
  ::poll(&wake, 1, milliseconds);
}

/// Returns how many descriptors are open at most if gRPC keeps up with closing.
std::size_t ConnectionGate::Note(const Endpoint& peer, int descriptor) {
  const std::lock_guard lock(mutex_);
  Connection& connection = connections_[peer];
  if (!connection.client.empty()) --proven_;  // closed, and its port dials again
  connection = {.descriptor = descriptor, .number = ++last_number_, .client = {}};
  unproven_[NetworkOf(peer)].push_back({peer, last_number_});
  if (++unproven_count_ > options_.unproven) CloseOneUnproven();
  return kOtherDescriptors + proven_ + options_.unproven + options_.unproven / 4;
}

void ConnectionGate::CloseOneUnproven() {
  const auto most = std::max_element(
      unproven_.begin(), unproven_.end(),
      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  const Named oldest = most->second.front();
  CountLeft(most->first);
  NoLongerUnproven(oldest);
  Shut(oldest);
}

void ConnectionGate::NoLongerUnproven(const Named& named) {
  const auto network = unproven_.find(NetworkOf(named.peer));
  if (network == unproven_.end()) return;
  unproven_count_ -= std::erase_if(
      network->second, [&](const Named& other) { return other.number == named.number; });
  if (network->second.empty()) unproven_.erase(network);
}

const ConnectionGate::Connection* ConnectionGate::Find(const Named& named) const {
  const auto found = connections_.find(named.peer);
  if (found == connections_.end() || found->second.number != named.number) return nullptr;
  return &found->second;
}

/// Whether the descriptor still belongs to that connection.
bool ConnectionGate::IsOurs(const Named& named) const {
  const Connection* connection = Find(named);
  return connection != nullptr && PeerOf(connection->descriptor) == named.peer;
}

bool ConnectionGate::IsOpen(const Named& named) const {
  if (!IsOurs(named)) return false;
  tcp_info info{};
  socklen_t size = sizeof(info);
  return ::getsockopt(Find(named)->descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
         info.tcpi_state == TCP_ESTABLISHED;
}

/// Ends a connection and forgets it; gRPC, whose descriptor it is, closes it. In the moment between
/// the look and the end another socket may take the number: that one would be dialled anew.
void ConnectionGate::Shut(const Named& named) {
  if (IsOurs(named)) ::shutdown(Find(named)->descriptor, SHUT_RDWR);
  if (Find(named) == nullptr) return;
  if (!Find(named)->client.empty()) --proven_;
  connections_.erase(named.peer);
}

void ConnectionGate::ForgetClosed(std::vector<Named>& connections) {
  std::erase_if(connections, [&](const Named& named) {
    if (IsOpen(named)) return false;
    Shut(named);
    return true;
  });
}

Status ConnectionGate::Proven(const ClientId& client, const std::string& peer) {
  const auto from = ParsePeer(peer);
  if (!from) return {};
  const std::lock_guard lock(mutex_);
  const auto found = connections_.find(*from);
  if (found == connections_.end() || !found->second.client.empty()) return {};
  if (proven_ >= options_.proven) {
    for (auto at = of_client_.begin(); at != of_client_.end();) {
      ForgetClosed(at->second);
      at = at->second.empty() ? of_client_.erase(at) : std::next(at);
    }
  }
  if (proven_ >= options_.proven) {
    return Error(ErrorCode::kResourceExhausted,
                 "limits.connections: there are " + std::to_string(proven_) + " already");
  }
  NoLongerUnproven({*from, found->second.number});
  found->second.client = client.value();
  ++proven_;
  std::vector<Named>& own = of_client_[client.value()];
  ForgetClosed(own);
  own.push_back({*from, found->second.number});
  if (own.size() > options_.per_client) {
    Shut(own.front());
    own.erase(own.begin());
  }
  return {};
}

/// Whether there is anything to look for, or still to be told.
bool ConnectionGate::Watches() {
  const std::lock_guard lock(mutex_);
  return options_.left_unproven && (unproven_count_ > 0 || !left_.empty());
}

void ConnectionGate::LookForThoseWhoLeft() {
  if (!options_.left_unproven || std::chrono::steady_clock::now() < next_look_) return;
  next_look_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(options_.look_ms);
  Left told;
  {
    const std::lock_guard lock(mutex_);
    std::vector<Named> left;
    for (const auto& [network, connections] : unproven_) {
      std::copy_if(connections.begin(), connections.end(), std::back_inserter(left),
                   [&](const Named& named) { return !IsOpen(named); });
    }
    for (const Named& named : left) {
      NoLongerUnproven(named);
      Shut(named);
      CountLeft(NetworkOf(named.peer));
    }
    told = TakeLeft();
  }
  for (const auto& [address, connections] : told) options_.left_unproven(address, connections);
}

void ConnectionGate::CountLeft(const asio::ip::address& network) {
  if (!options_.left_unproven) return;
  const std::string address = network.to_string() + (network.is_v6() ? "/64" : "");
  const bool named = left_.contains(address) || left_.size() < kAddressesNamed;
  ++left_[named ? address : "others"].connections;
}

ConnectionGate::Left ConnectionGate::TakeLeft() {
  constexpr std::uint64_t kQuietLooks = 12;
  ++look_;
  Left told;
  for (auto at = left_.begin(); at != left_.end();) {
    auto& [address, leavings] = *at;
    if (leavings.quiet_until > look_) {
      ++at;
    } else if (leavings.connections == 0) {
      at = left_.erase(at);
    } else {
      told.emplace_back(address, std::exchange(leavings.connections, 0));
      leavings.quiet_until = look_ + kQuietLooks;
      ++at;
    }
  }
  return told;
}

bool ConnectionGate::HasOther(const ClientId& client, const std::string& peer) {
  const auto at = ParsePeer(peer);
  const std::lock_guard lock(mutex_);
  const auto found = of_client_.find(client.value());
  if (found == of_client_.end()) return false;
  ForgetClosed(found->second);
  return std::any_of(found->second.begin(), found->second.end(),
                     [&](const Named& named) { return named.peer != at; });
}

}  // namespace fedmeta

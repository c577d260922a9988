#include "relay.h"

#include <array>

namespace fedmeta {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class Relay::Pair : public std::enable_shared_from_this<Pair> {
 public:
  Pair(Relay& relay, tcp::socket near_end)
      : relay_(relay), near_(std::move(near_end)), far_(relay.io_) {}

  void Start() {
    far_.async_connect(relay_.to_, [self = shared_from_this()](error_code error) {
      if (error) return self->Close();
      self->Pump(self->near_, self->far_, self->up_);
      self->Pump(self->far_, self->near_, self->down_);
    });
  }
  void Close() {
    error_code ignored;
    near_.set_option(asio::socket_base::linger(true, 0),
                     ignored);  // a reset, as when a cable is pulled and plugged
    far_.set_option(asio::socket_base::linger(true, 0), ignored);
    near_.close(ignored);
    far_.close(ignored);
  }

 private:
  using Buffer = std::array<char, 16384>;
  struct Way {
    explicit Way(asio::io_context& io) : pause(io) {}
    Buffer buffer{};
    asio::steady_timer pause;
  };

  void Pump(tcp::socket& from, tcp::socket& to, Way& way) {
    if (relay_.held_ || relay_.throttled_) {
      way.pause.expires_after(std::chrono::milliseconds(10));
      way.pause.async_wait([this, self = shared_from_this(), &from, &to, &way](error_code) {
        relay_.held_ ? Pump(from, to, way) : Carry(from, to, way);
      });
      return;
    }
    Carry(from, to, way);
  }
  void Carry(tcp::socket& from, tcp::socket& to, Way& way) {
    from.async_read_some(asio::buffer(way.buffer), [this, self = shared_from_this(), &from, &to,
                                                    &way](error_code error, std::size_t size) {
      if (error) return Close();
      carried_ += size;
      if (relay_.cuts_left_ > 0 && carried_ > relay_.cut_after_) {
        --relay_.cuts_left_;
        return Close();
      }
      asio::async_write(to, asio::buffer(way.buffer, size),
                        [this, self, &from, &to, &way](error_code failed, std::size_t) {
                          if (failed) return Close();
                          Pump(from, to, way);
                        });
    });
  }

  Relay& relay_;
  tcp::socket near_, far_;
  Way up_{relay_.io_}, down_{relay_.io_};
  std::uint64_t carried_ = 0;
};

Relay::Relay(int to_port)
    : to_(asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(to_port)) {
  const tcp::endpoint any(asio::ip::address_v4::loopback(), 0);
  acceptor_.open(any.protocol());
  acceptor_.bind(any);
  acceptor_.listen();
  port_ = acceptor_.local_endpoint().port();
  Accept();
  thread_ = std::jthread([this] { io_.run(); });
}

Relay::~Relay() { io_.stop(); }

void Relay::Accept() {
  acceptor_.async_accept([this](error_code error, tcp::socket socket) {
    if (error) return;
    auto pair = std::make_shared<Pair>(*this, std::move(socket));
    pairs_.push_back(pair);
    pair->Start();
    Accept();
  });
}

void Relay::Cut() {
  asio::post(io_, [this] {
    for (const auto& weak : pairs_) {
      if (const auto pair = weak.lock()) pair->Close();
    }
    pairs_.clear();
  });
}

void Relay::CutAfter(std::uint64_t bytes, int times) {
  asio::post(io_, [this, bytes, times] {
    cut_after_ = bytes;
    cuts_left_ = times;
  });
}

void Relay::Hold() {
  asio::post(io_, [this] { held_ = true; });
}
void Relay::Resume() {
  asio::post(io_, [this] { held_ = false; });
}
void Relay::Throttle() {
  asio::post(io_, [this] { throttled_ = true; });
}

}  // namespace fedmeta

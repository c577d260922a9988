#include "fedmeta/site/control_socket.h"

#include <chrono>
#include <fcntl.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

#include "fedmeta/core/file_descriptor.h"

namespace fedmeta {
namespace {

namespace asio = boost::asio;
using Protocol = asio::local::stream_protocol;
using boost::system::error_code;

constexpr std::size_t kLongestRequest = 64 * 1024;
constexpr std::chrono::seconds kSlowestRequest{10};
constexpr std::string_view kStranger =
    R"({"error":{"code":"permission_denied","message":"this client runs as another user"}})";

std::string NameOf(uid_t user) {
  std::string text = "user " + std::to_string(user);
  char buffer[1024];
  struct passwd entry {};
  struct passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, buffer, sizeof(buffer), &found) == 0 && found != nullptr)
    text += std::string(" (") + found->pw_name + ")";
  return text;
}

/// A socket's address has room for 107 characters, and folders may have longer names: then the
/// folder is opened, and the address goes through it.
class SocketAddress {
 public:
  explicit SocketAddress(const std::filesystem::path& path) : text_(path.string()) {
    if (text_.size() < sizeof(sockaddr_un::sun_path)) return;
    folder_ = FileDescriptor(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    text_ = "/proc/self/fd/" + std::to_string(folder_.get()) + "/" + path.filename().string();
  }
  Protocol::endpoint endpoint() const { return Protocol::endpoint(text_); }

 private:
  FileDescriptor folder_;
  std::string text_;
};

bool OwnUserOrRoot(uid_t user) { return user == ::geteuid() || user == 0; }

/// One caller: a line in, a line out.
class Caller : public std::enable_shared_from_this<Caller> {
 public:
  Caller(Protocol::socket socket, const ControlSocket::Options& options)
      : socket_(std::move(socket)), deadline_(socket_.get_executor()), options_(options) {}

  void Serve() {
    struct ucred peer {};
    socklen_t size = sizeof(peer);
    if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
    deadline_.expires_after(kSlowestRequest);
    deadline_.async_wait([self = shared_from_this()](const error_code& error) {
      error_code ignored;
      if (!error) self->socket_.close(ignored);
    });
    // Also of a stranger: an answer to a line that was not read may be lost with it.
    asio::async_read_until(
        socket_, request_, '\n',
        [self = shared_from_this(), user = peer.uid](const error_code& error, std::size_t bytes) {
          if (error) {
            self->deadline_.cancel();
            return;
          }
          const auto* line = static_cast<const char*>(self->request_.data().data());
          self->Reply(self->options_.allowed(user)
                          ? self->options_.answer({line, bytes - 1}, NameOf(user))
                          : std::string(kStranger));
        });
  }

 private:
  void Reply(std::string line) {
    reply_ = std::move(line) + "\n";
    asio::async_write(
        socket_, asio::buffer(reply_),
        [self = shared_from_this()](const error_code&, std::size_t) { self->deadline_.cancel(); });
  }

  Protocol::socket socket_;
  asio::steady_timer deadline_;
  const ControlSocket::Options& options_;
  asio::streambuf request_{kLongestRequest};
  std::string reply_;
};

}  // namespace

std::filesystem::path ControlSocketPath(const std::filesystem::path& state_dir) {
  return state_dir / "control.sock";
}

class ControlSocket::Implementation {
 public:
  explicit Implementation(Options options) : options_(std::move(options)) {
    if (!options_.allowed) options_.allowed = OwnUserOrRoot;
  }

  ~Implementation() {
    context_.stop();
    if (thread_.joinable()) thread_.join();
    if (listening_) ::unlink(options_.path.c_str());
  }

  Status Start() {
    FEDMETA_RETURN_IF_ERROR(Listen());
    thread_ = std::thread([this] { context_.run(); });
    return {};
  }

 private:
  Status Listen() {
    const auto failed = [&](const char* doing, const error_code& error) {
      return Error(ErrorCode::kInternal,
                   options_.path.string() + ": cannot " + doing + ": " + error.message());
    };
    ::unlink(options_.path.c_str());  // of a process that was killed
    error_code error;
    acceptor_.open(Protocol(), error);
    if (error) return failed("open a socket", error);
    acceptor_.bind(SocketAddress(options_.path).endpoint(), error);
    if (error) return failed("bind", error);
    // Nobody can connect before it listens.
    if (::chmod(options_.path.c_str(), 0600) != 0)
      return failed("restrict", error_code(errno, boost::system::system_category()));
    acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return failed("listen", error);
    listening_ = true;
    Accept();
    return {};
  }

  void Accept() {
    acceptor_.async_accept([this](const error_code& error, Protocol::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error) std::make_shared<Caller>(std::move(socket), options_)->Serve();
      Accept();
    });
  }

  Options options_;
  asio::io_context context_{1};
  Protocol::acceptor acceptor_{context_};
  bool listening_ = false;
  std::thread thread_;
};

ControlSocket::ControlSocket(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
ControlSocket::~ControlSocket() = default;

Result<std::unique_ptr<ControlSocket>> ControlSocket::Start(Options options) {
  auto implementation = std::make_unique<Implementation>(std::move(options));
  FEDMETA_RETURN_IF_ERROR(implementation->Start());
  return std::unique_ptr<ControlSocket>(new ControlSocket(std::move(implementation)));
}

Result<std::string> AskSite(const std::filesystem::path& path, std::string_view request) {
  asio::io_context context(1);
  Protocol::socket socket(context);
  error_code error;
  socket.connect(SocketAddress(path).endpoint(), error);
  if (error == boost::system::errc::permission_denied) {
    return Error(ErrorCode::kPermissionDenied,
                 path.string() + ": belongs to another user; run this as the client's user");
  }
  if (error) {
    return Error(ErrorCode::kNotFound, path.string() + ": no client runs on this state folder (" +
                                           error.message() + "): start `fedmeta client`");
  }
  const std::string line = std::string(request) + "\n";
  asio::write(socket, asio::buffer(line), error);
  asio::streambuf reply;
  if (!error) asio::read_until(socket, reply, '\n', error);
  if (error) {
    return Error(ErrorCode::kUnavailable,
                 path.string() + ": the client did not answer: " + error.message());
  }
  const auto* data = static_cast<const char*>(reply.data().data());
  return std::string(data, std::string_view(data, reply.size()).find('\n'));
}

}  // namespace fedmeta

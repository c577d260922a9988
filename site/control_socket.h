#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// "control.sock" in a site's state folder.
std::filesystem::path ControlSocketPath(const std::filesystem::path& state_dir);

/// The local socket over which `fedmeta site` reaches a running client: one line of JSON in, one
/// out, mode 0600. The system says who calls: only this process's own user and root are answered.
/// A request larger than 64 KiB, or slower than 10 s, is cut off. On a thread of its own. The
/// process holds the state folder (SiteControl::Open): a socket that is there is a dead one's.
class ControlSocket {
 public:
  struct Options {
    std::filesystem::path path;
    /// Called with a line and who sent it ("user 1000 (ann)"), on the socket's thread.
    std::function<std::string(std::string_view request, const std::string& who)> answer;
    /// Who is answered; by default this process's own user and root.
    std::function<bool(uid_t)> allowed = {};
  };
  /// An error when it cannot be made.
  static Result<std::unique_ptr<ControlSocket>> Start(Options options);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

 private:
  class Implementation;
  explicit ControlSocket(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

/// One request to the client behind a socket; blocks. kNotFound: no client runs there;
/// kPermissionDenied: it runs as another user.
Result<std::string> AskSite(const std::filesystem::path& socket, std::string_view request);

}  // namespace fedmeta

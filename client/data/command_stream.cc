#include "fedmeta/client/data/command_stream.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "fedmeta/core/file_descriptor.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

Error System(const char* what, int code) {
  return {code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kInternal,
          std::string(what) + ": " + std::strerror(code)};
}

/// Owns a process that leads a group.
class ProcessGroup {
 public:
  explicit ProcessGroup(pid_t leader) : leader_(leader) {}
  ProcessGroup(ProcessGroup&& other) noexcept : leader_(std::exchange(other.leader_, -1)) {}
  ProcessGroup& operator=(ProcessGroup&&) = delete;
  ~ProcessGroup() { End(); }

  pid_t leader() const { return leader_; }
  /// Kills what is left of the group and says how its leader ended. Once.
  int End() {
    if (leader_ < 0) return 0;
    // The leader is not reaped before, so that the group's number is still its own.
    ::kill(-leader_, SIGKILL);
    int status = 0;
    while (::waitpid(leader_, &status, 0) < 0 && errno == EINTR) {
    }
    leader_ = -1;
    return status;
  }

 private:
  pid_t leader_;
};

class CommandStream final : public ByteStream {
 public:
  CommandStream(CommandOptions options, FileDescriptor output, ProcessGroup process)
      : options_(std::move(options)),
        deadline_(clock_.Now() + options_.timeout),
        output_(std::move(output)),
        process_(std::move(process)) {}

  Result<std::size_t> Read(std::span<char> into) override {
    for (;;) {
      FEDMETA_RETURN_IF_ERROR(Await(output_.get()));
      const ssize_t got = ::read(output_.get(), into.data(), into.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return System("cannot read the program's output", errno);
      if (got == 0) {
        FEDMETA_RETURN_IF_ERROR(AwaitEnd());
        return std::size_t{0};
      }
      bytes_ += static_cast<std::uint64_t>(got);
      if (bytes_ > options_.output_bytes) {
        process_.End();
        return Error(ErrorCode::kResourceExhausted,
                     "the program wrote more than " + FormatBytes(options_.output_bytes) +
                         " and was killed: let it write less, or raise source.output_mib");
      }
      return static_cast<std::size_t>(got);
    }
  }

 private:
  Status Await(int descriptor) {
    for (;;) {
      const Duration left = deadline_ - clock_.Now();
      pollfd waited{.fd = descriptor, .events = POLLIN, .revents = 0};
      constexpr std::int64_t kLongestWaitMs = 60'000;
      const auto wait = std::clamp<std::int64_t>(left.count(), 0, kLongestWaitMs);
      const int ready = ::poll(&waited, 1, static_cast<int>(wait));
      if (ready > 0) return {};
      if (ready < 0 && errno != EINTR) return System("cannot wait for the program", errno);
      if (left <= Duration::zero()) {
        process_.End();
        return Error(ErrorCode::kDeadlineExceeded,
                     "the program did not end within " + FormatDuration(Seconds(options_.timeout)) +
                         " and was killed: make it faster, or raise source.timeout");
      }
    }
  }

  /// It has closed its output; only when it ends well was that all.
  Status AwaitEnd() {
    if (process_.leader() < 0) return {};
    const FileDescriptor leader(static_cast<int>(::syscall(SYS_pidfd_open, process_.leader(), 0)));
    if (leader.get() < 0) return System("cannot wait for the program", errno);
    FEDMETA_RETURN_IF_ERROR(Await(leader.get()));
    siginfo_t ended{};
    if (::waitid(P_PID, static_cast<id_t>(process_.leader()), &ended, WEXITED | WNOWAIT) != 0)
      return System("cannot wait for the program", errno);
    process_.End();
    if (ended.si_code == CLD_EXITED && ended.si_status == 0) return {};
    return Error(ErrorCode::kFailedPrecondition,
                 (ended.si_code == CLD_EXITED ? "the program ended with exit status "
                                              : "the program was ended by signal ") +
                     std::to_string(ended.si_status) +
                     "; its output is not used. Run it by hand to see why");
  }

  const SystemClock clock_;
  const CommandOptions options_;
  const TimePoint deadline_;
  FileDescriptor output_;
  ProcessGroup process_;
  std::uint64_t bytes_ = 0;
};

/// What the child is started with; owns the two lists.
class SpawnSettings {
 public:
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

}  // namespace

Result<std::unique_ptr<ByteStream>> StartCommand(CommandOptions options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return System("cannot make a pipe", errno);
  FileDescriptor output(ends[0]);
  const FileDescriptor input(ends[1]);
  SpawnSettings settings;
  ::posix_spawn_file_actions_addopen(&settings.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&settings.actions, input.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&settings.actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addchdir_np(&settings.actions, options.working_directory.c_str());
  // Signals that this process blocks or ignores are its own affair.
  sigset_t none;
  ::sigemptyset(&none);
  sigset_t usual;
  ::sigfillset(&usual);
  ::posix_spawnattr_setsigmask(&settings.attributes, &none);
  ::posix_spawnattr_setsigdefault(&settings.attributes, &usual);
  ::posix_spawnattr_setpgroup(&settings.attributes, 0);
  ::posix_spawnattr_setflags(
      &settings.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> argv;
  for (std::string& argument : options.argv) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t leader = -1;
  const int code = ::posix_spawnp(&leader, argv[0], &settings.actions, &settings.attributes,
                                  argv.data(), environ);
  if (code != 0) return System("cannot start the program", code);
  ProcessGroup process(leader);
  return std::unique_ptr<ByteStream>(
      std::make_unique<CommandStream>(std::move(options), std::move(output), std::move(process)));
}

}  // namespace fedmeta

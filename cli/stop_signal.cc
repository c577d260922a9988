#include "fedmeta/cli/stop_signal.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <thread>
#include <unistd.h>

#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

// Libraries start threads before main (OpenBLAS), so blocking the signals and waiting for them in
// one thread would miss those delivered to the others: a handler hands each over through a pipe.
int pipe_to_thread[2] = {-1, -1};

extern "C" void HandOver(int) {
  const int saved = errno;
  const char byte = 's';
  [[maybe_unused]] const ssize_t written = ::write(pipe_to_thread[1], &byte, 1);
  errno = saved;
}

void Install(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  FEDMETA_CHECK(sigaction(signal, &action, nullptr) == 0);
}

}  // namespace

struct StopSignal::Thread {
  std::thread thread;
};

StopSignal::StopSignal() : thread_(std::make_unique<Thread>()) {
  FEDMETA_CHECK(::pipe2(pipe_to_thread, O_CLOEXEC) == 0);
  Install(SIGINT, HandOver);
  Install(SIGTERM, HandOver);
  Install(SIGPIPE, SIG_IGN);
  thread_->thread = std::thread([this] {
    char byte = 0;
    while (::read(pipe_to_thread[0], &byte, 1) == 1 && byte == 's') {
      if (source_.stop_requested()) _exit(130);
      source_.request_stop();
    }
  });
}

StopSignal::~StopSignal() {
  const char byte = 'q';
  [[maybe_unused]] const ssize_t written = ::write(pipe_to_thread[1], &byte, 1);
  thread_->thread.join();
  Install(SIGINT, SIG_DFL);
  Install(SIGTERM, SIG_DFL);
  ::close(pipe_to_thread[0]);
  ::close(pipe_to_thread[1]);
}

}  // namespace fedmeta

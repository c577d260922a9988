#include "fedmeta/cli/stop_signal.h"

#include <csignal>
#include <pthread.h>
#include <thread>
#include <unistd.h>

namespace fedmeta {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR2);  // ends the waiting thread
  return signals;
}

}  // namespace

struct StopSignal::Thread {
  std::thread thread;
};

StopSignal::StopSignal() : thread_(std::make_unique<Thread>()) {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  thread_->thread = std::thread([this, signals] {
    for (;;) {
      int signal = 0;
      if (sigwait(&signals, &signal) != 0 || signal == SIGUSR2) return;
      if (source_.stop_requested()) _exit(130);
      source_.request_stop();
    }
  });
}

StopSignal::~StopSignal() {
  pthread_kill(thread_->thread.native_handle(), SIGUSR2);
  thread_->thread.join();
}

}  // namespace fedmeta

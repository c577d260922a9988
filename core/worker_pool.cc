#include "fedmeta/core/worker_pool.h"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace fedmeta {

struct WorkerPool::Shared {
  std::mutex callers;  // one ForEach at a time
  std::mutex mutex;
  std::condition_variable work_ready;
  std::condition_variable work_done;
  const std::function<void(std::size_t, std::size_t)>* body = nullptr;
  std::size_t count = 0;
  std::size_t next = 0;
  std::size_t running = 0;
  std::exception_ptr failure;
  std::size_t failed_index = SIZE_MAX;
  bool stop = false;
  std::vector<std::thread> threads;

  void Run(std::size_t worker) {
    std::unique_lock lock(mutex);
    for (;;) {
      work_ready.wait(lock, [this] { return stop || (body != nullptr && next < count); });
      if (stop) return;
      const std::size_t index = next++;
      ++running;
      const auto* current = body;
      lock.unlock();
      std::exception_ptr error;
      try {
        (*current)(index, worker);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error && index < failed_index) {
        failure = error;
        failed_index = index;
      }
      --running;
      if (running == 0 && next >= count) work_done.notify_all();
    }
  }
};

WorkerPool::WorkerPool(std::size_t threads, std::function<void()> thread_start)
    : shared_(std::make_unique<Shared>()) {
  if (threads == 0) threads = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  for (std::size_t i = 0; i < threads; ++i) {
    shared_->threads.emplace_back([shared = shared_.get(), thread_start, i] {
      if (thread_start) thread_start();
      shared->Run(i);
    });
  }
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stop = true;
  }
  shared_->work_ready.notify_all();
  for (std::thread& thread : shared_->threads) thread.join();
}

std::size_t WorkerPool::size() const { return shared_->threads.size(); }

void WorkerPool::ForEach(std::size_t count,
                         const std::function<void(std::size_t, std::size_t)>& body) {
  if (count == 0) return;
  const std::lock_guard caller(shared_->callers);
  std::unique_lock lock(shared_->mutex);
  shared_->body = &body;
  shared_->count = count;
  shared_->next = 0;
  shared_->failure = nullptr;
  shared_->failed_index = SIZE_MAX;
  shared_->work_ready.notify_all();
  shared_->work_done.wait(
      lock, [this] { return shared_->next >= shared_->count && shared_->running == 0; });
  shared_->body = nullptr;
  if (shared_->failure) std::rethrow_exception(shared_->failure);
}

}  // namespace fedmeta

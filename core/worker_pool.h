#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace fedmeta {

/// A fixed set of threads for independent pieces of work. Results must not depend on which thread
/// runs what. Thread-safe, but ForEach calls do not overlap: a second caller waits.
class WorkerPool {
 public:
  /// 0: one a core. `thread_start` runs first on each worker (LibTorch: one thread of its own
  /// each).
  explicit WorkerPool(std::size_t threads, std::function<void()> thread_start = {});
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  std::size_t size() const;
  /// Calls body(index, worker) for every index in [0, count), worker in [0, size()); returns when
  /// all are done. An exception of a body is rethrown here, after all indices ran (the one of the
  /// lowest index). Not from within a body: it would wait for itself.
  void ForEach(std::size_t count,
               const std::function<void(std::size_t index, std::size_t worker)>& body);

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace fedmeta

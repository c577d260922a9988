#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "fedmeta/core/clock.h"

namespace fedmeta {

/// A stream that a stalling peer must not keep open.
class Stallable {
 public:
  virtual ~Stallable() = default;
  /// Ends the stream if its peer stalls. Called on the watch's thread; does not block.
  virtual void EndIfStalled(TimePoint now) = 0;
};

/// Looks at all open streams every so often, on one thread of its own. Thread-safe.
class StallWatch {
 public:
  StallWatch(const Clock& clock, Duration interval);
  ~StallWatch();
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;

  void Add(std::weak_ptr<Stallable> stream);

 private:
  void Run(const std::stop_token& stop);

  const Clock& clock_;
  const Duration interval_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<std::weak_ptr<Stallable>> streams_;
  std::jthread thread_;
};

}  // namespace fedmeta

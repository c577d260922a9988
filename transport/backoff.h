#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string_view>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {

/// Waits between tries: 1 s doubling to 30 s, each shortened by up to half, so that sites that lost
/// one coordinator at one moment do not come back at one moment. Not thread-safe.
class Backoff {
 public:
  /// Two clients draw differently.
  explicit Backoff(std::string_view client)
      : rng_({.seed = 0, .purpose = "backoff", .client = client}) {}

  /// False if stopped meanwhile.
  bool Wait(const std::stop_token& stop) {
    constexpr Duration kLongest{30'000};
    const auto span = std::chrono::duration_cast<Duration>(next_ * (1.0 - 0.5 * rng_.Uniform()));
    next_ = std::min(2 * next_, kLongest);
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, span, [] { return false; });
    return !stop.stop_requested();
  }

 private:
  Rng rng_;
  Duration next_{1000};
};

}  // namespace fedmeta

#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "fedmeta/core/clock.h"
#include "fedmeta/transport/coordinator_endpoint.h"

namespace fedmeta {

/// What is known of a peer's speed on one stream, in either direction. Not thread-safe.
class StreamPace {
 public:
  /// `what`: "upload" or "download".
  StreamPace(const char* what, const TransportLimits& limits) : what_(what), limits_(limits) {}

  void Started(TimePoint now) { started_ = now; }
  /// The next step is the peer's.
  void WaitsForPeer(TimePoint now) { waits_since_ = now, waiting_ = true; }
  void Moved(std::uint64_t bytes) { waiting_ = false, bytes_ += bytes; }

  /// Why the stream is to end now; empty: it is not.
  std::string Stall(TimePoint now) const {
    const Duration idle(limits_.stream_idle_ms);
    if (!waiting_) return "";
    if (now - waits_since_ > idle)
      return Text("moved nothing for " + std::to_string(idle.count()) + " ms");
    const Duration took = now - started_;
    const bool crawls = took > idle && bytes_ * 1000 < limits_.minimum_bytes_per_second *
                                                           static_cast<std::uint64_t>(took.count());
    if (!crawls) return "";
    return Text("is slower than " + std::to_string(limits_.minimum_bytes_per_second) +
                " bytes a second");
  }

 private:
  std::string Text(const std::string& how) const {
    return std::string("the ") + what_ + " " + how + "; resume it";
  }

  const char* const what_;
  const TransportLimits& limits_;
  TimePoint started_{}, waits_since_{};
  std::uint64_t bytes_ = 0;
  bool waiting_ = false;
};

}  // namespace fedmeta

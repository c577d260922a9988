#pragma once

#include <chrono>
#include <string>

namespace fedmeta {

using Duration = std::chrono::milliseconds;
/// Monotonic: deadlines and heartbeats do not jump when a machine's date is set.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

/// For records, metrics and people.
inline double Seconds(Duration duration) { return static_cast<double>(duration.count()) / 1000.0; }

/// Injected wherever logic needs the time. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
  virtual WallTime Wall() const = 0;  ///< for people: names, logs, certificates
};

class SystemClock final : public Clock {
 public:
  TimePoint Now() const override;
  WallTime Wall() const override;
};

/// Stands still until told. Not thread-safe.
class ManualClock final : public Clock {
 public:
  TimePoint Now() const override { return now_; }
  WallTime Wall() const override { return WallTime(now_.time_since_epoch()); }
  void Advance(Duration by) { now_ += by; }

 private:
  TimePoint now_{};
};

/// RFC 3339 in UTC, "2026-11-24T18:41:52Z".
std::string FormatUtc(WallTime time);
/// "20261124T184152Z", for file names.
std::string FormatUtcCompact(WallTime time);
/// "3 min 10 s", "1.5 s", "2 h 5 min": for people. "an unknown time" for what is not finite.
std::string FormatDuration(double seconds);

}  // namespace fedmeta

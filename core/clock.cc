#include "fedmeta/core/clock.h"

#include <cmath>
#include <cstdio>
#include <ctime>

namespace fedmeta {
namespace {
std::string Format(WallTime time, const char* pattern) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof(text), pattern, &parts);
  return {text, length};
}
}  // namespace

TimePoint SystemClock::Now() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
}
WallTime SystemClock::Wall() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

std::string FormatUtc(WallTime time) { return Format(time, "%Y-%m-%dT%H:%M:%SZ"); }
std::string FormatUtcCompact(WallTime time) { return Format(time, "%Y%m%dT%H%M%SZ"); }

std::string FormatDuration(double seconds) {
  if (!std::isfinite(seconds)) return "an unknown time";
  char text[64];
  if (seconds < 9.95) {
    std::snprintf(text, sizeof(text), "%.1f s", seconds);
    return text;
  }
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 60) {
    std::snprintf(text, sizeof(text), "%lld s", whole);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof(text), "%lld min %lld s", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof(text), "%lld h %lld min", whole / 3600, whole % 3600 / 60);
  }
  return text;
}

}  // namespace fedmeta

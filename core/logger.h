#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "fedmeta/core/clock.h"

namespace fedmeta {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };
enum class LogFormat : std::uint8_t { kText, kJson };

struct LogField {
  std::string_view key;
  std::string value;
};

/// One line an event: time, level, event, key=value fields (or a JSON object). Thread-safe.
/// No line contains a value from data, a row identifier, a file name below a data root or a secret,
/// at any level.
class Logger {
 public:
  virtual ~Logger() = default;
  virtual void Log(LogLevel level, std::string_view event,
                   std::initializer_list<LogField> fields) = 0;
};

/// To standard error.
std::unique_ptr<Logger> MakeStderrLogger(const Clock& clock, LogLevel least, LogFormat format);
/// Discards.
std::unique_ptr<Logger> MakeNullLogger();

}  // namespace fedmeta

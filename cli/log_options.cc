#include "fedmeta/cli/log_options.h"

namespace fedmeta {

std::unique_ptr<Logger> MakeLogger(const v1::Log& log, const Clock& clock) {
  const LogLevel level = log.level() == "debug"     ? LogLevel::kDebug
                         : log.level() == "warning" ? LogLevel::kWarning
                         : log.level() == "error"   ? LogLevel::kError
                                                    : LogLevel::kInfo;
  return MakeStderrLogger(clock, level,
                          log.format() == "json" ? LogFormat::kJson : LogFormat::kText);
}

}  // namespace fedmeta

#include "fedmeta/core/logger.h"

#include <array>
#include <cstdio>

namespace fedmeta {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 127) return true;
  }
  return false;
}

class StderrLogger final : public Logger {
 public:
  StderrLogger(const Clock& clock, LogLevel least, LogFormat format) : clock_(clock), least_(least), format_(format) {}

  void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) override {
    if (level < least_) return;
    const std::string time = FormatUtc(clock_.Wall());
    const std::string_view name = kLevelNames[static_cast<std::size_t>(level)];
    std::string line;
    if (format_ == LogFormat::kJson) {
      line = "{\"time\":" + Quoted(time) + ",\"level\":" + Quoted(name) + ",\"event\":" + Quoted(event);
      for (const LogField& field : fields) line += "," + Quoted(field.key) + ":" + Quoted(field.value);
      line += "}\n";
    } else {
      line = time + " " + std::string(name) + " " + std::string(event);
      for (const LogField& field : fields) {
        line += " " + std::string(field.key) + "=" + (NeedsQuotes(field.value) ? Quoted(field.value) : field.value);
      }
      line += "\n";
    }
    std::fwrite(line.data(), 1, line.size(), stderr);  // one call: lines of several threads do not mix
  }

 private:
  const Clock& clock_;
  const LogLevel least_;
  const LogFormat format_;
};

class NullLogger final : public Logger {
 public:
  void Log(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

}  // namespace

std::unique_ptr<Logger> MakeStderrLogger(const Clock& clock, LogLevel least, LogFormat format) {
  return std::make_unique<StderrLogger>(clock, least, format);
}
std::unique_ptr<Logger> MakeNullLogger() { return std::make_unique<NullLogger>(); }

}  // namespace fedmeta

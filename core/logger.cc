#include "fedmeta/core/logger.h"

#include <array>
#include <cstdio>

namespace fedmeta {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};

/// Bytes of the UTF-8 character at the front; 0 where there is none or a control character (a
/// peer's text must not move a terminal's cursor, nor make a line that is not JSON).
std::size_t PrintableLength(std::string_view text) {
  const auto byte = [text](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7F ? 1 : 0;
  if (lead < 0xE0) return lead >= 0xC2 && continues(1) && (lead != 0xC2 || byte(1) >= 0xA0) ? 2 : 0;
  if (lead < 0xF0) {
    const bool shortest = lead != 0xE0 || byte(1) >= 0xA0;
    const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
    return shortest && !surrogate && continues(1) && continues(2) ? 3 : 0;
  }
  const bool in_range =
      (lead != 0xF0 || byte(1) >= 0x90) && (lead < 0xF4 || (lead == 0xF4 && byte(1) < 0x90));
  return in_range && continues(1) && continues(2) && continues(3) ? 4 : 0;
}

std::string Escaped(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    std::size_t length = PrintableLength(text);
    if (length == 0) {
      char code[8];
      std::snprintf(code, sizeof(code), "\\u%04x",
                    static_cast<unsigned>(static_cast<unsigned char>(text[0])));
      escaped += code;
      length = 1;
    } else {
      if (text[0] == '"' || text[0] == '\\') escaped += '\\';
      escaped += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return escaped;
}

std::string Quoted(std::string_view text) { return '"' + Escaped(text) + '"'; }

/// A value of key=value: as it is, if a reader can still tell where it ends.
std::string Value(std::string_view text) {
  const bool plain =
      !text.empty() && text.find_first_of(" =") == text.npos && Escaped(text) == text;
  return plain ? std::string(text) : Quoted(text);
}

class StderrLogger final : public Logger {
 public:
  StderrLogger(const Clock& clock, LogLevel least, LogFormat format)
      : clock_(clock), least_(least), format_(format) {}

  void Log(LogLevel level, std::string_view event,
           std::initializer_list<LogField> fields) override {
    if (level < least_) return;
    const std::string time = FormatUtc(clock_.Wall());
    const std::string_view name = kLevelNames[static_cast<std::size_t>(level)];
    std::string line;
    if (format_ == LogFormat::kJson) {
      line = "{\"time\":" + Quoted(time) + ",\"level\":" + Quoted(name) +
             ",\"event\":" + Quoted(event);
      for (const LogField& field : fields)
        line += "," + Quoted(field.key) + ":" + Quoted(field.value);
      line += "}\n";
    } else {
      line = time + " " + std::string(name) + " " + Escaped(event);
      for (const LogField& field : fields) {
        line += " " + std::string(field.key) + "=" + Value(field.value);
      }
      line += "\n";
    }
    std::fwrite(line.data(), 1, line.size(),
                stderr);  // one call: lines of several threads do not mix
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

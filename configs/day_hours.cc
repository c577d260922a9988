#include "fedmeta/configs/day_hours.h"

#include <cstddef>

namespace fedmeta {
namespace {

/// "06:30" -> 390; "24:00" ends a day.
std::optional<int> ParseMinute(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  int digits[4];
  std::size_t at = 0;
  for (const std::size_t i : {0U, 1U, 3U, 4U}) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    digits[at++] = text[i] - '0';
  }
  const int hour = digits[0] * 10 + digits[1], minute = digits[2] * 10 + digits[3];
  if (minute > 59 || hour > 24 || (hour == 24 && minute > 0)) return std::nullopt;
  return (hour * 60 + minute) % (24 * 60);
}

}  // namespace

std::optional<DayHours> ParseDayHours(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto begin = ParseMinute(text.substr(0, dash)), end = ParseMinute(text.substr(dash + 1));
  if (!begin || !end) return std::nullopt;
  return DayHours{.begin = *begin, .end = *end};
}

}  // namespace fedmeta

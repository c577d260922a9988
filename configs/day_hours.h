#pragma once

#include <optional>
#include <string_view>

namespace fedmeta {

/// A part of every day, from `begin` up to but without `end`, in minutes after midnight; over
/// midnight where the end comes first; the whole day where both are equal.
struct DayHours {
  int begin = 0, end = 0;
  bool Contains(int minute) const {
    if (begin == end) return true;
    return begin < end ? minute >= begin && minute < end : minute >= begin || minute < end;
  }
};
/// "20:00-06:00"; nothing for another form.
std::optional<DayHours> ParseDayHours(std::string_view text);

}  // namespace fedmeta

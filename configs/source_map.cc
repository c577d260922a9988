#include "fedmeta/configs/source_map.h"

namespace fedmeta {

std::string Place::ToString() const {
  if (line == 0) return file;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

Place SourceMap::Find(std::string_view path) const {
  for (;;) {
    if (const auto found = places_.find(std::string(path)); found != places_.end()) {
      return found->second;
    }
    if (path.empty()) return {};
    // "a.b[1].c" -> "a.b[1]" -> "a.b" -> "a" -> "", the file itself.
    const std::size_t end = path.find_last_of(".[");
    path = end == std::string_view::npos ? std::string_view() : path.substr(0, end);
  }
}

}  // namespace fedmeta

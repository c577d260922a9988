#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace fedmeta {

/// A cell as a finite number, `mark` before its fraction; nothing for anything else.
std::optional<double> ParseCell(std::string_view cell, char mark);
/// Without blanks at either end.
std::string_view TrimCell(std::string_view cell);

/// Numbers for texts. Texts that are the same number count as the same: "1" finds "1.0", since
/// programs that export tables differ in this.
class CellCodes {
 public:
  /// The first of equal texts stays.
  void Add(const std::string& text, std::size_t code);
  std::optional<std::size_t> Find(std::string_view cell, char mark) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> texts_;
  std::map<double, std::size_t> numbers_;
};

}  // namespace fedmeta

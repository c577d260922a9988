#include "fedmeta/client/data/cell_codes.h"

#include <algorithm>
#include <cmath>

#include "fedmeta/core/text.h"

namespace fedmeta {

std::optional<double> ParseCell(std::string_view cell, char mark) {
  if (cell.starts_with('+')) cell.remove_prefix(1);
  std::string point;
  if (mark != '.') {
    if (cell.find('.') != std::string_view::npos) return std::nullopt;
    point.assign(cell);
    std::replace(point.begin(), point.end(), mark, '.');
    cell = point;
  }
  const auto number = ParseNumber(cell);
  return number && std::isfinite(*number) ? number : std::nullopt;
}

std::string_view TrimCell(std::string_view cell) {
  constexpr std::string_view kBlanks = " \t";
  const std::size_t from = cell.find_first_not_of(kBlanks);
  if (from == std::string_view::npos) return {};
  return cell.substr(from, cell.find_last_not_of(kBlanks) + 1 - from);
}

void CellCodes::Add(const std::string& text, std::size_t code) {
  texts_.emplace(text, code);
  if (const auto number = ParseCell(text, '.')) numbers_.emplace(*number, code);
}

std::optional<std::size_t> CellCodes::Find(std::string_view cell, char mark) const {
  if (const auto found = texts_.find(cell); found != texts_.end()) return found->second;
  if (numbers_.empty()) return std::nullopt;
  const auto number = ParseCell(cell, mark);
  if (!number) return std::nullopt;
  const auto found = numbers_.find(*number);
  return found == numbers_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace fedmeta

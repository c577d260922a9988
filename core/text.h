#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fedmeta {

/// Shortest text that reads back as the same double: "0.1", "1e-08", "3".
std::string FormatNumber(double value);
/// The whole text as a finite or infinite double in C locale; nothing otherwise.
std::optional<double> ParseNumber(std::string_view text);
/// 28485 -> "28,485".
std::string FormatCount(std::uint64_t count);
/// 1234567 -> "1.2 MB" (powers of ten).
std::string FormatBytes(std::uint64_t bytes);
/// The candidate nearest by edit distance, if it is near enough to be what was meant.
std::optional<std::string> NearestName(std::string_view name,
                                       std::span<const std::string> candidates);
/// "a, b, c".
std::string Join(std::span<const std::string> parts, std::string_view separator);

}  // namespace fedmeta

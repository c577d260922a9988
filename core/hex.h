#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fedmeta {

/// Two lower-case hexadecimal digits a byte.
std::string ToHex(std::string_view bytes);
/// The bytes again; nothing for what is not such a text.
std::optional<std::string> FromHex(std::string_view hex);

}  // namespace fedmeta

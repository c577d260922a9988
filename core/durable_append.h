#pragma once

#include <filesystem>
#include <string_view>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// As AppendFile, and on disk when it returns success: a loss of power takes nothing of it away. A
/// new file is readable by its owner only.
Status AppendDurably(const std::filesystem::path& path, std::string_view content);

}  // namespace fedmeta

#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// The whole file. Errors name the path and what the system said.
Result<std::string> ReadFile(const std::filesystem::path& path);
/// Written beside `path` under a temporary name, synced, renamed: after a crash `path` holds the
/// old content or the new one, never a part. `mode` is the permission of a new file.
Status WriteFileAtomically(const std::filesystem::path& path, std::span<const std::byte> content,
                           unsigned mode = 0644);
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view content,
                           unsigned mode = 0644);
/// Appends whole lines to a growing record that has one writer. If the system takes only a part
/// (disk full), the part is removed again: the record ends with a whole line.
Status AppendFile(const std::filesystem::path& path, std::string_view content);
/// With parents; an error if it cannot be made or is not writable.
Status MakeWritableFolder(const std::filesystem::path& path, unsigned mode = 0755);

}  // namespace fedmeta

#pragma once

#include <filesystem>
#include <string>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// Expands ${FEDMETA_DATA}, makes the path absolute against `base` and normalises it. The variable
/// comes from the environment; without it, it is shared/data beside the checkout that
/// `config_folder` lies in. Errors stand behind the field's path: "uses ${HOME}; only
/// ${FEDMETA_DATA} is expanded".
Result<std::string> ResolvePath(const std::string& text, const std::filesystem::path& base,
                                const std::filesystem::path& config_folder);

}  // namespace fedmeta

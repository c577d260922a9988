#include "fedmeta/configs/paths.h"

#include <cstdlib>
#include <string_view>
#include <system_error>

namespace fedmeta {
namespace {

/// The checkout is some folder above the file; beside it lies shared/data.
Result<std::string> DataFolder(const std::filesystem::path& config_folder) {
  if (const char* set = std::getenv("FEDMETA_DATA"); set != nullptr && *set != '\0') {
    return std::filesystem::absolute(set).string();
  }
  std::error_code ignored;
  for (std::filesystem::path folder = config_folder; folder != folder.root_path();
       folder = folder.parent_path()) {
    const std::filesystem::path data = folder.parent_path() / "shared" / "data";
    if (std::filesystem::is_directory(data, ignored)) return data.string();
  }
  return Error(ErrorCode::kInvalidArgument,
               "uses ${FEDMETA_DATA}, which is not set, and there is no shared/data beside the "
               "checkout; set FEDMETA_DATA to the folder that holds the data");
}

}  // namespace

Result<std::string> ResolvePath(const std::string& text, const std::filesystem::path& base,
                                const std::filesystem::path& config_folder) {
  std::string expanded = text;
  for (std::size_t at = expanded.find("${"); at != std::string::npos;
       at = expanded.find("${", at)) {
    const std::size_t end = expanded.find('}', at);
    if (end == std::string::npos) {
      return Error(ErrorCode::kInvalidArgument, "has '${' without '}', got '" + text + "'");
    }
    const std::string variable = expanded.substr(at, end + 1 - at);
    if (variable != "${FEDMETA_DATA}") {
      return Error(ErrorCode::kInvalidArgument,
                   "uses " + variable + "; only ${FEDMETA_DATA} is expanded, got '" + text + "'");
    }
    FEDMETA_ASSIGN_OR_RETURN(const std::string data, DataFolder(config_folder));
    expanded.replace(at, variable.size(), data);
    at += data.size();
  }
  return (base / expanded).lexically_normal().string();
}

}  // namespace fedmeta

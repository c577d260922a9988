#include "fedmeta/coordinator/round_store.h"

#include "fedmeta/core/file.h"

namespace fedmeta {

Result<std::optional<std::filesystem::path>> StorePath(const std::string& store,
                                                       const std::filesystem::path& folder) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (store == "memory") return std::optional<std::filesystem::path>();
  if (store.starts_with(kSqlite) && store.size() > kSqlite.size()) {
    return std::optional(folder / store.substr(kSqlite.size()));
  }
  return Error(ErrorCode::kInvalidArgument,
               "store: '" + store + "' is neither memory nor sqlite:PATH");
}

Result<std::unique_ptr<RoundStore>> OpenRoundStore(const std::optional<std::filesystem::path>& path,
                                                   Durability durability) {
  if (!path) return MakeMemoryStore();
  if (const Status made = MakeWritableFolder(path->parent_path()); !made.ok()) {
    return made.error().WithContext("store");
  }
  return OpenSqliteStore(*path, durability);
}

}  // namespace fedmeta

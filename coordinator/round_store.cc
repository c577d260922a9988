#include "fedmeta/coordinator/round_store.h"

namespace fedmeta {

Result<std::unique_ptr<RoundStore>> OpenRoundStore(const std::string& store,
                                                   const std::filesystem::path& folder,
                                                   Durability durability) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (store == "memory") return MakeMemoryStore();
  if (store.starts_with(kSqlite) && store.size() > kSqlite.size()) {
    return OpenSqliteStore(folder / store.substr(kSqlite.size()), durability);
  }
  return Error(ErrorCode::kInvalidArgument,
               "store: '" + store + "' is neither memory nor sqlite:PATH");
}

}  // namespace fedmeta

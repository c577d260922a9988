#include "fedmeta/cli/coordinator_backup.h"

#include <cstdio>
#include <filesystem>
#include <optional>

#include "fedmeta/cli/coordinator_files.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/file.h"
#include "fedmeta/identity/credentials.h"

namespace fedmeta {
namespace {

Result<StoreFiles> FilesOf(const v1::CoordinatorFile& config, const std::string& file) {
  FEDMETA_ASSIGN_OR_RETURN(const std::optional<std::filesystem::path> store,
                           StorePath(config.store(), FolderOfFile(file)));
  if (!store) {
    return Error(ErrorCode::kInvalidArgument,
                 file + ": store is memory: there is nothing to back up or restore");
  }
  return StoreFiles{.store = *store, .audit = AuditFile(config, store, {})};
}

}  // namespace

Status BackUpCoordinator(const PluginTables& schema, const std::string& file,
                         const std::string& folder) {
  FEDMETA_ASSIGN_OR_RETURN(const auto config, Loader(schema).LoadCoordinator(file));
  FEDMETA_ASSIGN_OR_RETURN(const StoreFiles files, FilesOf(*config, file));
  FEDMETA_RETURN_IF_ERROR(BackupStore(files, folder));
  std::printf("%s  holds the store and its audit record\n", folder.c_str());
  return {};
}

Status RestoreCoordinator(const PluginTables& schema, const std::string& file,
                          const std::string& folder, const std::string& epoch_file) {
  const SystemClock clock;
  if (epoch_file.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "restore needs --new-epoch EPOCHFILE: sites refuse a restored coordinator without "
                 "the authority's word (`fedmeta pki epoch`)");
  }
  FEDMETA_ASSIGN_OR_RETURN(const auto config, Loader(schema).LoadCoordinator(file));
  FEDMETA_ASSIGN_OR_RETURN(const StoreFiles files, FilesOf(*config, file));
  FEDMETA_ASSIGN_OR_RETURN(const Credentials credentials,
                           LoadCredentials(config->identity(), IdentityRole::kCoordinator, clock));
  RestoreOptions options{.folder = folder,
                         .signed_epoch = {},
                         .coordinator = credentials.identity.ToString(),
                         .trust_pem = credentials.trust_pem};
  FEDMETA_ASSIGN_OR_RETURN(options.signed_epoch, ReadFile(epoch_file));
  FEDMETA_ASSIGN_OR_RETURN(const std::uint64_t epoch, RestoreStore(files, options, clock));
  std::printf("%s  restored, epoch %llu; what was there is kept beside it\n", files.store.c_str(),
              static_cast<unsigned long long>(epoch));
  return {};
}

}  // namespace fedmeta

#include "fedmeta/client/client_state_store.h"

#include <algorithm>
#include <string>
#include <system_error>

#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

std::string NameOf(const char* what, const RoundKey& key) {
  return std::string(what) + std::to_string(key.round) + "." + std::to_string(key.attempt);
}

Error DiskError(const std::filesystem::path& path, const std::error_code& error) {
  return {ErrorCode::kInternal, path.string() + ": " + error.message()};
}

}  // namespace

Result<Bytes> ClientStateStore::Current(const ExperimentId& leg,
                                        const std::optional<RoundKey>& last_counted) {
  const std::filesystem::path folder = Folder(leg);
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) return Bytes();
  const std::string current = last_counted ? NameOf("current-", *last_counted) : std::string();
  if (last_counted) {
    const std::filesystem::path staged = folder / NameOf("staged-", *last_counted);
    if (std::filesystem::exists(staged, error)) {
      std::filesystem::rename(staged, folder / current, error);
      if (error) return DiskError(staged, error);
    }
  }
  bool dropped_current = false, found = false;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name == current) {
      found = true;
      continue;
    }
    dropped_current = dropped_current || name.starts_with("current-");
    std::filesystem::remove(entry.path(), error);
  }
  if (error) return DiskError(folder, error);
  if (!found) {
    if (last_counted && dropped_current) {
      return Error(ErrorCode::kDataLoss,
                   folder.string() + ": this site was counted in " + last_counted->ToString() +
                       ", but what it kept from it is not here: the state folder was lost or "
                       "replaced by an older one");
    }
    return Bytes();
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::string content, ReadFile(folder / current));
  const auto bytes = AsBytes(std::string_view(content));
  return Bytes(bytes.begin(), bytes.end());
}

Status ClientStateStore::Stage(const RoundKey& attempt, std::span<const std::byte> state) {
  const std::filesystem::path folder = Folder(attempt.experiment);
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(folder, 0700));
  return WriteFileAtomically(folder / NameOf("staged-", attempt), state, 0600);
}

/// "fashion-maml/maml" is one folder; names hold letters, digits, '-', '_'.
std::filesystem::path ClientStateStore::Folder(const ExperimentId& leg) const {
  std::string name = leg.value();
  std::replace(name.begin(), name.end(), '/', '+');
  return dir_ / name;
}

}  // namespace fedmeta

#pragma once

#include <filesystem>
#include <optional>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_key.h"

namespace fedmeta {

/// What a client keeps between the rounds of a leg (control variates, its own tensors), in files of
/// its state folder: <dir>/<leg>/current-R.A and staged-R.A, R the round, A the attempt. What a
/// round makes is staged; it becomes current once an instruction names that attempt as the last one
/// in which this client was counted, also after either side was restarted. The rest is dropped. Not
/// thread-safe; one process a folder.
class ClientStateStore {
 public:
  explicit ClientStateStore(std::filesystem::path dir) : dir_(std::move(dir)) {}

  /// Empty: the client keeps nothing. kDataLoss when it was counted in a round of which it has
  /// nothing although it kept something before: the folder was lost or rolled back.
  Result<Bytes> Current(const ExperimentId& leg, const std::optional<RoundKey>& last_counted);
  /// On disk when this returns, before the upload.
  Status Stage(const RoundKey& attempt, std::span<const std::byte> state);

 private:
  std::filesystem::path Folder(const ExperimentId& leg) const;
  const std::filesystem::path dir_;
};

}  // namespace fedmeta

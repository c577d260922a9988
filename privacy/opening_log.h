#pragma once

#include <filesystem>
#include <memory>

#include "fedmeta/core/result.h"
#include "fedmeta/privacy/opening_latch.h"

namespace fedmeta {

/// The OpeningLatch of a site: a file that only grows, one checksummed line a record, synced before
/// the call returns. A torn last line (power was lost in the middle of a write, so nothing was
/// sent) is cut off; any other damage refuses the file. One process at a time (the caller locks
/// its folder).
struct OpeningLogOptions {
  std::filesystem::path path;
  std::uint32_t same_model = 0;  ///< further rounds in which others may be asked the same model
  std::uint32_t reopen = 0;      ///< further openings of one round, after its sum was lost
};
Result<std::unique_ptr<OpeningLatch>> OpenOpeningLog(const OpeningLogOptions& options);

/// The same rules without a file: simulation.
std::unique_ptr<OpeningLatch> OpeningsInMemory();

}  // namespace fedmeta

// A site's log of openings, as whoever can write to its disk may leave it: refused, or read.
#include <cstdint>
#include <filesystem>
#include <string>
#include <unistd.h>

#include "fedmeta/core/check.h"
#include "fedmeta/core/file.h"
#include "fedmeta/privacy/opening_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fedmeta;
  static const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("opening_log_fuzz-" + std::to_string(::getpid()));
  const std::string content(reinterpret_cast<const char*>(data), size);
  FEDMETA_CHECK(WriteFileAtomically(path, content).ok());
  const auto log = OpenOpeningLog({.path = path});
  if (!log.ok()) return 0;
  const SessionFacts facts{.key = {.experiment = ExperimentId("heart/maml"), .round = 1}};
  if ((*log)->RecordMasked(facts).ok() && (*log)->RecordOpened(facts).ok())
    FEDMETA_CHECK(!(*log)->CheckStart(facts).ok());
  return 0;
}

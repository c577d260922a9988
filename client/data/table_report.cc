#include "fedmeta/client/data/table_report.h"

#include "fedmeta/core/text.h"

namespace fedmeta {

std::string ShownCount(std::uint64_t count) {
  constexpr std::uint64_t kLeastShown = 10;
  return count > 0 && count < kLeastShown ? "<10" : FormatCount(count);
}

}  // namespace fedmeta

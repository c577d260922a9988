#include "fedmeta/records/run_records.h"

#include <algorithm>
#include <cmath>

#include "fedmeta/core/check.h"

namespace fedmeta {

double TenthPercentile(std::vector<double> values) {
  FEDMETA_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const double position = 0.1 * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (position - std::floor(position)) * (values[above] - values[below]);
}

std::string RunStatusName(RunStatus status) {
  switch (status) {
    case RunStatus::kCompleted:
      return "completed";
    case RunStatus::kFailed:
      return "failed";
    case RunStatus::kCancelled:
      return "cancelled";
    case RunStatus::kInterrupted:
      return "interrupted";
  }
  FEDMETA_CHECK(false);
}

}  // namespace fedmeta

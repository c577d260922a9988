#include "fedmeta/records/run_records.h"

#include "fedmeta/core/check.h"

namespace fedmeta {

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
    case RunStatus::kPaused:
      return "paused";
    case RunStatus::kBudgetSpent:
      return "budget_spent";
  }
  FEDMETA_CHECK(false);
}

}  // namespace fedmeta

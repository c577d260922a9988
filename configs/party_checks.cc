#include "fedmeta/configs/party_checks.h"

#include <optional>
#include <string>

#include "fedmeta/configs/text_checks.h"

namespace fedmeta {
namespace {

void Report(const std::string& path, const std::optional<std::string>& refused,
            const SourceMap& places, std::vector<Problem>& problems) {
  if (refused) problems.push_back({places.Find(path), path + " " + *refused});
}

void CheckMetrics(const v1::Metrics& metrics, const SourceMap& places,
                  std::vector<Problem>& problems) {
  if (!metrics.has_listen()) return;
  Report("metrics.listen", WhyNoAddress(metrics.listen(), 0), places, problems);
}

}  // namespace

void CheckClient(const v1::ClientFile& file, const SourceMap& places,
                 std::vector<Problem>& problems) {
  const v1::CoordinatorAddress& coordinator = file.coordinator();
  if (coordinator.has_address()) {
    Report("coordinator.address", WhyNoAddress(coordinator.address(), 1), places, problems);
  }
  if (coordinator.has_proxy()) {
    Report("coordinator.proxy", WhyNoProxy(coordinator.proxy()), places, problems);
  } else if (coordinator.has_proxy_password_file()) {
    Report("coordinator.proxy_password_file", "needs coordinator.proxy", places, problems);
  }
  if (file.has_metrics()) CheckMetrics(file.metrics(), places, problems);
  for (const auto& [name, data] : file.data()) {
    Report("data." + name, WhyNoName(name), places, problems);
    for (const auto& [feature, column] : data.columns()) {
      if (!column.has_scale() || column.scale() != 0) continue;
      Report("data." + name + ".columns." + feature + ".scale", "must not be 0", places, problems);
    }
  }
}

void CheckCoordinator(const v1::CoordinatorFile& file, const SourceMap& places,
                      std::vector<Problem>& problems) {
  if (file.has_listen()) Report("listen", WhyNoAddress(file.listen(), 0), places, problems);
  if (file.has_metrics()) CheckMetrics(file.metrics(), places, problems);
  for (int i = 0; i < file.members_size(); ++i) {
    Report("members[" + std::to_string(i) + "]", WhyNoMember(file.members(i)), places, problems);
  }
}

}  // namespace fedmeta

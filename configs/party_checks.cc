#include "fedmeta/configs/party_checks.h"

#include <cstdint>
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

template <typename Check>
void CheckEach(const std::string& path,
               const google::protobuf::RepeatedPtrField<std::string>& values, Check why_not,
               const SourceMap& places, std::vector<Problem>& problems) {
  for (int i = 0; i < values.size(); ++i) {
    Report(path + "[" + std::to_string(i) + "]", why_not(values[i]), places, problems);
  }
}

void CheckPolicy(const v1::Policy& policy, const SourceMap& places,
                 std::vector<Problem>& problems) {
  CheckEach("policy.hashes", policy.hashes(), WhyNoHash, places, problems);
  CheckEach("policy.members", policy.members(), WhyNoMember, places, problems);
  CheckEach("policy.allow.researchers", policy.allow().researchers(), WhyNoMember, places,
            problems);
  if (policy.approve() == "hashes" && policy.hashes().empty()) {
    Report("policy.approve", "is 'hashes', and policy.hashes names none", places, problems);
  }
  constexpr std::uint32_t kLeastSecure = 3;
  if (policy.require().secure_aggregation() && policy.has_minimum_cohort() &&
      policy.minimum_cohort() < kLeastSecure) {
    Report("policy.minimum_cohort",
           "must be >= 3 with policy.require.secure_aggregation: of a sum of two, each of them "
           "knows the other; got " +
               std::to_string(policy.minimum_cohort()),
           places, problems);
  }
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
  CheckPolicy(file.policy(), places, problems);
  if (file.resources().has_hours()) {
    Report("resources.hours", WhyNoHours(file.resources().hours()), places, problems);
  }
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
  CheckEach("members", file.members(), WhyNoMember, places, problems);
}

}  // namespace fedmeta

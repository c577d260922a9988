#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/v1/round.pb.h"

// For this room only.
namespace fedmeta {

/// What a client writes down in its state folder for people and scripts: outbound.jsonl, a line
/// before anything leaves, and figures.jsonl, this site's own figures. Thread-safe. Errors are
/// kInternal: a missing folder must not read as the coordinator's "not found", which ends an
/// attempt in silence.
class SiteRecords {
 public:
  SiteRecords(std::filesystem::path state_dir, const Clock& clock)
      : state_dir_(std::move(state_dir)), clock_(clock) {}

  /// Of outbound.jsonl: a report that is no answer to a plan.
  Status Message(const v1::Report& report, const std::string& kind, nlohmann::json fields) const;
  /// Of outbound.jsonl: what is sent for a plan; `key`: of the attempt or of a session of it.
  Status Payload(const RoundPlan& plan, const v1::RoundKey& key, const std::string& kind,
                 std::size_t bytes, const Digest& digest, nlohmann::json fields) const;
  /// Of figures.jsonl: the metric cells of a plan.
  Status Figures(const RoundPlan& plan, const std::vector<MetricSums>& metrics) const;

 private:
  nlohmann::json Line(const v1::RoundKey& key, const std::string& kind, std::size_t bytes,
                      nlohmann::json fields) const;
  Status Append(const char* file, const nlohmann::json& line) const;

  const std::filesystem::path state_dir_;
  const Clock& clock_;
};

}  // namespace fedmeta

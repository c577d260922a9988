#include "fedmeta/client/site_records.h"

#include <cstdint>

#include <nlohmann/json.hpp>

#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

constexpr char kOutbound[] = "outbound.jsonl";

}  // namespace

nlohmann::json SiteRecords::Line(const v1::RoundKey& key, const std::string& kind,
                                 std::size_t bytes, nlohmann::json fields) const {
  nlohmann::json line = {{"time", FormatUtc(clock_.Wall())},
                         {"experiment", key.experiment()},
                         {"round", key.round()},
                         {"attempt", key.attempt()},
                         {"kind", kind},
                         {"fields", std::move(fields)},
                         {"bytes", bytes}};
  if (key.session() > 0) line["session"] = key.session();
  return line;
}

Status SiteRecords::Message(const v1::Report& report, const std::string& kind,
                            nlohmann::json fields) const {
  return Append(kOutbound, Line(report.key(), kind, report.ByteSizeLong(), std::move(fields)));
}

Status SiteRecords::Payload(const RoundPlan& plan, const v1::RoundKey& key, const std::string& kind,
                            std::size_t bytes, const Digest& digest, nlohmann::json fields) const {
  nlohmann::json line = Line(key, kind, bytes, std::move(fields));
  line["purpose"] = plan.message().has_train() ? "train" : "evaluate";
  line["sha256"] = digest.hex();
  return Append(kOutbound, line);
}

Status SiteRecords::Figures(const RoundPlan& plan, const std::vector<MetricSums>& metrics) const {
  nlohmann::json cells = nlohmann::json::array();
  for (const MetricSums& cell : metrics) {
    cells.push_back({{"examples", cell.examples},
                     {"loss", cell.mean_loss},
                     {"accuracy", cell.mean_correct},
                     {"diverged_tasks", cell.diverged_tasks}});
  }
  nlohmann::json line = {{"experiment", plan.key().experiment.value()},
                         {"round", plan.key().round},
                         {"attempt", plan.key().attempt}};
  if (plan.message().has_evaluate()) {
    const v1::Evaluate& evaluate = plan.message().evaluate();
    line["purpose"] = evaluate.part() == v1::PART_VALIDATION ? "validation" : "test";
    line["shots"] = std::vector<std::uint32_t>(evaluate.shots().begin(), evaluate.shots().end());
    line["learning_rates"] =
        std::vector<double>(evaluate.learning_rates().begin(), evaluate.learning_rates().end());
    line["steps"] = std::vector<std::uint32_t>(evaluate.steps().begin(), evaluate.steps().end());
  } else {
    line["purpose"] = "train";
  }
  line["cells"] = std::move(cells);
  return Append("figures.jsonl", line);
}

Status SiteRecords::Append(const char* file, const nlohmann::json& line) const {
  const Status written = AppendFile(state_dir_ / file, line.dump() + "\n");
  return written.ok() ? Status() : Error(ErrorCode::kInternal, written.error().message());
}

}  // namespace fedmeta

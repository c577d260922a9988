#include "fedmeta/records/run_log.h"

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

class RunLog final : public RunObserver {
 public:
  explicit RunLog(Logger& logger) : logger_(logger) {}

  Status Started(const RunHeading& heading) override {
    logger_.Log(LogLevel::kInfo, "run_started",
                {{"experiment", heading.experiment}, {"rounds", std::to_string(heading.rounds)}});
    return {};
  }
  Status LegStarted(const std::string& leg, const std::string& method,
                    std::uint64_t rounds) override {
    if (history_) return {};
    logger_.Log(LogLevel::kInfo, "leg_started",
                {{"leg", leg}, {"method", method}, {"rounds", std::to_string(rounds)}});
    return {};
  }
  Status RoundDone(const RoundRecord& record) override {
    if (history_) return {};
    const std::string round = std::to_string(record.round);
    const std::string attempt = std::to_string(record.attempt);
    for (const DroppedClient& dropped : record.dropped) {
      logger_.Log(LogLevel::kWarning, "client_dropped",
                  {{"leg", record.leg},
                   {"round", round},
                   {"attempt", attempt},
                   {"client", dropped.client},
                   {"phase", dropped.phase},
                   {"reason", dropped.reason}});
    }
    const std::string reported =
        std::to_string(record.reported.size()) + "/" + std::to_string(record.cohort.size());
    if (record.committed) {
      logger_.Log(LogLevel::kDebug, "round_committed",
                  {{"leg", record.leg},
                   {"round", round},
                   {"attempt", attempt},
                   {"reported", reported},
                   {"wall_s", FormatNumber(record.wall_s)}});
    } else {
      logger_.Log(LogLevel::kWarning, "attempt_abandoned",
                  {{"leg", record.leg},
                   {"round", round},
                   {"attempt", attempt},
                   {"reported", reported},
                   {"reason", record.reason}});
    }
    return {};
  }
  Status Evaluated(std::span<const EvaluationRecord> records) override {
    if (history_ || records.empty()) return {};
    logger_.Log(LogLevel::kDebug, "evaluated",
                {{"leg", records.front().leg},
                 {"round", std::to_string(records.front().round)},
                 {"part", records.front().holdout ? "test" : "validation"}});
    return {};
  }
  Status Checkpoint(const std::string& name, const StateLayout&, std::span<const float>,
                    const std::map<std::string, std::string>&) override {
    logger_.Log(LogLevel::kDebug, "checkpoint", {{"name", name}});
    return {};
  }
  Status HistoryBegins() override {
    history_ = true;
    return {};
  }
  Status HistoryEnds(const std::string& leg, std::uint64_t rounds) override {
    history_ = false;
    logger_.Log(LogLevel::kInfo, "run_resumed", {{"leg", leg}, {"round", std::to_string(rounds)}});
    return {};
  }
  Status Paused(const RunSummary& summary) override {
    logger_.Log(LogLevel::kWarning, "run_paused", {{"reason", summary.reason}});
    return {};
  }
  Status Note(const std::string&) override { return {}; }
  Status Finished(const RunSummary& summary) override {
    const bool well = summary.status == RunStatus::kCompleted;
    logger_.Log(well ? LogLevel::kInfo : LogLevel::kWarning, "run_finished",
                {{"status", RunStatusName(summary.status)},
                 {"rounds", std::to_string(summary.rounds)},
                 {"reason", summary.reason}});
    return {};
  }

 private:
  Logger& logger_;
  bool history_ = false;
};

}  // namespace

std::unique_ptr<RunObserver> MakeRunLog(Logger& logger) { return std::make_unique<RunLog>(logger); }

}  // namespace fedmeta

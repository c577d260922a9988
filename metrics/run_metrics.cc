#include "fedmeta/metrics/run_metrics.h"

#include <utility>

namespace fedmeta {
namespace {

const std::vector<double> kSecondsBounds = {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1,    2.5,
                                            5,     10,    30,   60,   300, 900, 3600, 14400};

double SecondsSince1970(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

class RunMetrics final : public RunObserver {
 public:
  RunMetrics(RunMetricsOptions options, MetricRegistry& registry, const Clock& clock)
      : options_(std::move(options)), registry_(registry), clock_(clock) {}

  Status Started(const RunHeading& heading) override {
    parameters_.With().Set(static_cast<double>(heading.parameters));
    SetState("running");
    return {};
  }

  Status LegStarted(const std::string& leg, const std::string&, std::uint64_t rounds) override {
    for (const std::string& each : options_.legs) leg_active_.With(each).Set(each == leg ? 1 : 0);
    rounds_planned_.With().Set(static_cast<double>(rounds));
    round_.With().Set(0);
    return {};
  }

  Status RoundDone(const RoundRecord& record) override {
    if (history_) return {};  // counted by an earlier process
    SetState("running");
    (record.committed ? committed_ : abandoned_).With(record.leg).Add();
    if (record.committed) {
      round_.With().Set(static_cast<double>(record.round));
      last_commit_.With().Set(SecondsSince1970(clock_.Wall()));
    } else if (record.reported.size() < options_.minimum_cohort) {
      quorum_misses_.With().Add();
    }
    cohort_.With().Set(static_cast<double>(record.cohort.size()));
    reported_.With().Set(static_cast<double>(record.reported.size()));
    reports_.With().Add(static_cast<double>(record.reported.size()));
    for (const DroppedClient& client : record.dropped) dropped_.With(client.phase).Add();
    bytes_.With("down").Add(static_cast<double>(record.bytes_down));
    bytes_.With("up").Add(static_cast<double>(record.bytes_up));
    diverged_.With().Add(record.metrics.diverged_tasks);
    round_seconds_.With().Observe(record.wall_s);
    for (const auto& [part, seconds] : record.parts_s) part_seconds_.With(part).Observe(seconds);
    return {};
  }

  /// Of the setting with the lowest loss: for watching, not for comparing methods.
  Status Evaluated(std::span<const EvaluationRecord> records) override {
    if (records.empty()) return {};
    const MetricSums* best = nullptr;
    for (const EvaluationCell& cell : records.front().cells) {
      const MetricSums& sums = cell.sums;
      if (sums.clients <= 0) continue;
      if (best == nullptr || sums.mean_loss / sums.clients < best->mean_loss / best->clients) {
        best = &sums;
      }
    }
    if (best == nullptr) return {};
    const bool test = records.front().holdout;
    (test ? test_loss_ : validation_loss_)
        .With(records.front().leg)
        .Set(best->mean_loss / best->clients);
    (test ? test_accuracy_ : validation_accuracy_)
        .With(records.front().leg)
        .Set(best->mean_correct / best->clients);
    return {};
  }

  Status Checkpoint(const std::string&, const StateLayout&, std::span<const float>,
                    const std::map<std::string, std::string>&) override {
    checkpoints_.With().Add();
    return {};
  }
  Status HistoryBegins() override {
    history_ = true;
    return {};
  }
  Status HistoryEnds(const std::string&, std::uint64_t rounds) override {
    history_ = false;
    round_.With().Set(static_cast<double>(rounds));
    return {};
  }
  Status Paused(const RunSummary&) override {
    SetState("paused");
    return {};
  }
  Status Note(const std::string&) override { return {}; }

  Status Finished(const RunSummary& summary) override {
    SetState(RunStatusName(summary.status));
    return {};
  }

 private:
  void SetState(std::string_view now) {
    for (const std::string& each : kStates) state_.With(each).Set(each == now ? 1 : 0);
  }

  MetricLabel Leg() const { return {.name = "leg", .values = options_.legs}; }

  const std::vector<std::string> kStates = {"running", "paused",    "completed",
                                            "failed",  "cancelled", "interrupted"};
  const RunMetricsOptions options_;
  bool history_ = false;
  MetricRegistry& registry_;
  const Clock& clock_;

  MetricFamily<Gauge>& state_ = registry_.AddGauge(
      "fedmeta_run_state", "1 for the state that the run is in.", {"state", kStates});
  MetricFamily<Gauge>& parameters_ =
      registry_.AddGauge("fedmeta_model_parameters", "Parameters of the model.");
  MetricFamily<Gauge>& leg_active_ =
      registry_.AddGauge("fedmeta_leg_active", "1 for the method that is being trained.", Leg());
  MetricFamily<Gauge>& rounds_planned_ =
      registry_.AddGauge("fedmeta_rounds_planned", "Rounds that this leg trains.");
  MetricFamily<Gauge>& round_ =
      registry_.AddGauge("fedmeta_round", "Last committed round of this leg.");
  MetricFamily<Counter>& committed_ =
      registry_.AddCounter("fedmeta_rounds_committed_total", "Training rounds committed.", Leg());
  MetricFamily<Counter>& abandoned_ = registry_.AddCounter(
      "fedmeta_attempts_abandoned_total", "Attempts at a training round given up.", Leg());
  MetricFamily<Counter>& quorum_misses_ = registry_.AddCounter(
      "fedmeta_quorum_misses_total", "Attempts that ended with fewer reports than minimum_cohort.");
  MetricFamily<Gauge>& last_commit_ =
      registry_.AddGauge("fedmeta_last_commit_timestamp_seconds",
                         "When a training round was last committed, since 1970; 0: never yet.");
  MetricFamily<Gauge>& cohort_ =
      registry_.AddGauge("fedmeta_cohort_clients", "Clients asked in the last training attempt.");
  MetricFamily<Gauge>& reported_ = registry_.AddGauge(
      "fedmeta_reported_clients", "Clients that reported in the last training attempt.");
  MetricFamily<Counter>& reports_ =
      registry_.AddCounter("fedmeta_reports_total", "Reports of clients in training attempts.");
  MetricFamily<Counter>& dropped_ = registry_.AddCounter(
      "fedmeta_dropped_clients_total", "Clients that training attempts went on without, by phase.",
      {"phase", {"lost", "deadline", "upload", "client", "downloading", "training", "uploading"}});
  MetricFamily<Counter>& bytes_ = registry_.AddCounter(
      "fedmeta_round_bytes_total", "State, plan and payload bytes of training attempts.",
      {"direction", {"down", "up"}});
  MetricFamily<Counter>& diverged_ = registry_.AddCounter(
      "fedmeta_diverged_tasks_total", "Tasks left out because their inner loop diverged.");
  MetricFamily<Histogram>& round_seconds_ = registry_.AddHistogram(
      "fedmeta_round_seconds", "Duration of training attempts.", kSecondsBounds);
  MetricFamily<Histogram>& part_seconds_ = registry_.AddHistogram(
      "fedmeta_round_part_seconds",
      "Parts of a training attempt: waiting for clients, adding uploads, applying the server "
      "rules.",
      kSecondsBounds, {"part", {"wait", "add", "apply"}});
  MetricFamily<Counter>& checkpoints_ =
      registry_.AddCounter("fedmeta_checkpoints_total", "Checkpoints written.");
  MetricFamily<Gauge>& validation_loss_ = registry_.AddGauge(
      "fedmeta_validation_loss", "Mean loss over clients, of the last validation.", Leg());
  MetricFamily<Gauge>& validation_accuracy_ = registry_.AddGauge(
      "fedmeta_validation_accuracy", "Mean accuracy over clients, of the last validation.", Leg());
  MetricFamily<Gauge>& test_loss_ =
      registry_.AddGauge("fedmeta_test_loss", "Mean loss over clients, of the last test.", Leg());
  MetricFamily<Gauge>& test_accuracy_ = registry_.AddGauge(
      "fedmeta_test_accuracy", "Mean accuracy over clients, of the last test.", Leg());
};

}  // namespace

std::unique_ptr<RunObserver> MakeRunMetrics(RunMetricsOptions options, MetricRegistry& registry,
                                            const Clock& clock) {
  return std::make_unique<RunMetrics>(std::move(options), registry, clock);
}

}  // namespace fedmeta

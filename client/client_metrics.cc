#include "fedmeta/client/client_metrics.h"

#include <atomic>
#include <utility>

namespace fedmeta {
struct ClientMetrics::Figures {
  Figures(const Clock& the_clock, MetricRegistry& registry)
      : clock(the_clock),
        connected(registry.AddGauge("fedmeta_client_connected", "1 while the coordinator answers.")
                      .With()),
        reconnects(registry
                       .AddCounter("fedmeta_client_reconnects_total",
                                   "Times that a lost coordinator was reached again.")
                       .With()),
        last_contact(registry
                         .AddGauge("fedmeta_client_last_contact_timestamp_seconds",
                                   "When the coordinator last answered, since 1970.")
                         .With()),
        joins(registry.AddCounter("fedmeta_client_joins_total", "Times that this client joined.")
                  .With()),
        rounds(registry.AddCounter(
            "fedmeta_client_rounds_total",
            "Training attempts of this client: taken part (an update was sent), counted, dropped.",
            {"outcome", {"taken_part", "counted", "dropped"}})),
        failures(registry.AddCounter("fedmeta_client_failures_total",
                                     "Attempts that this client reported as failed, by code.",
                                     CodeLabel())),
        training(registry
                     .AddHistogram("fedmeta_client_training_seconds",
                                   "From having plan and state to having the update.",
                                   {0.01, 0.1, 1, 10, 60, 300, 900, 3600, 14400})
                     .With()),
        bytes(registry.AddCounter("fedmeta_client_bytes_total",
                                  "State, assignment and payload bytes.",
                                  {"direction", {"down", "up"}})) {}

  void Answered() {
    last_contact.Set(std::chrono::duration<double>(clock.Wall().time_since_epoch()).count());
  }

  const Clock& clock;
  Gauge& connected;
  Counter& reconnects;
  Gauge& last_contact;
  Counter& joins;
  MetricFamily<Counter>& rounds;
  MetricFamily<Counter>& failures;
  Histogram& training;
  MetricFamily<Counter>& bytes;
  std::atomic<bool> reached = false, reached_before = false;
};

namespace {

class CountedLink final : public CoordinatorLink {
 public:
  CountedLink(CoordinatorLink& link, ClientMetrics::Figures& figures)
      : link_(link), figures_(figures) {}

  Result<v1::Welcome> Join(const v1::ClientHello& hello, std::stop_token stop) override {
    auto welcome = link_.Join(hello, std::move(stop));
    if (welcome.ok()) {
      figures_.Answered();
      figures_.joins.Add();
    }
    return welcome;
  }

  Result<v1::Instruction> Next(const v1::NextRequest& request, std::stop_token stop) override {
    auto instruction = link_.Next(request, std::move(stop));
    if (!instruction.ok()) return instruction;
    figures_.Answered();
    work_since_ = figures_.clock.Now();
    const v1::Closed& closed = instruction->closed();
    if (instruction->has_closed() && !closed.all_done() &&
        closed.key().purpose() == v1::PURPOSE_TRAIN) {
      figures_.rounds.With(closed.counted() ? "counted" : "dropped").Add();
    }
    return instruction;
  }

  Status Send(const v1::Report& report, std::stop_token stop) override {
    if (report.has_failed()) figures_.failures.With(report.failed().code()).Add();
    Status status = link_.Send(report, std::move(stop));
    if (status.ok()) figures_.Answered();
    return status;
  }

  Status Download(const Digest& digest, std::span<std::byte> content,
                  std::stop_token stop) override {
    Status status = link_.Download(digest, content, std::move(stop));
    if (status.ok()) {
      figures_.Answered();
      figures_.bytes.With("down").Add(static_cast<double>(content.size()));
    }
    work_since_ = figures_.clock.Now();
    return status;
  }

  Status Upload(const v1::UploadHeader& header, std::span<const std::byte> payload,
                std::stop_token stop) override {
    const bool trained = header.key().purpose() == v1::PURPOSE_TRAIN;
    if (trained) {
      figures_.training.Observe(Seconds(figures_.clock.Now() - work_since_));
    }
    Status status = link_.Upload(header, payload, std::move(stop));
    if (status.ok()) {
      figures_.Answered();
      figures_.bytes.With("up").Add(static_cast<double>(payload.size()));
      if (trained) figures_.rounds.With("taken_part").Add();
    }
    return status;
  }

 private:
  CoordinatorLink& link_;
  ClientMetrics::Figures& figures_;
  TimePoint work_since_{};
};

}  // namespace

ClientMetrics::ClientMetrics(const Clock& clock, MetricRegistry& registry)
    : figures_(std::make_unique<Figures>(clock, registry)) {}
ClientMetrics::~ClientMetrics() = default;

void ClientMetrics::Reached(bool reached) {
  figures_->reached = reached;
  figures_->connected.Set(reached ? 1 : 0);
  if (reached && figures_->reached_before.exchange(true)) figures_->reconnects.Add();
}
bool ClientMetrics::reached() const { return figures_->reached; }

std::unique_ptr<CoordinatorLink> ClientMetrics::Wrap(CoordinatorLink& link) {
  return std::make_unique<CountedLink>(link, *figures_);
}

}  // namespace fedmeta

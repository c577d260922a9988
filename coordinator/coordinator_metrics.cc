#include "fedmeta/coordinator/coordinator_metrics.h"

#include <string>
#include <utility>

namespace fedmeta {
namespace {

// A stream that ended before it was whole; the client resumes it.
constexpr char kBroken[] = "broken";
constexpr char kLate[] = "late";

template <typename T>
std::string_view CodeOf(const Result<T>& result) {
  return result.ok() ? "ok" : ErrorCodeName(result.error().code());
}

struct UploadCounters {
  MetricFamily<Counter>& uploads;
  Counter& bytes;
};

/// Counts the bytes and the outcome of one stream. Holds its counters by reference: the registry
/// outlives every call.
class CountedSink final : public UploadSink {
 public:
  CountedSink(std::shared_ptr<UploadSink> sink, const UploadCounters& counters)
      : sink_(std::move(sink)), counters_(counters) {}
  ~CountedSink() override {
    if (!answered_) counters_.uploads.With(kBroken).Add();
  }
  Status Write(std::span<const std::byte> data) override {
    Status status = sink_->Write(data);
    if (status.ok()) {
      counters_.bytes.Add(static_cast<double>(data.size()));
    } else {
      counters_.uploads.With(ErrorCodeName(status.error().code())).Add();
      answered_ = true;
    }
    return status;
  }
  void Finish(Done<v1::UploadPosition> done) override {
    answered_ = true;
    sink_->Finish(
        [counters = counters_, done = std::move(done)](Result<v1::UploadPosition> position) {
          counters.uploads.With(CodeOf(position)).Add();
          done(std::move(position));
        });
  }

 private:
  const std::shared_ptr<UploadSink> sink_;
  const UploadCounters counters_;
  bool answered_ = false;
};

class Metrics final : public CoordinatorMetrics {
 public:
  Metrics(LiveCoordinator& coordinator, std::uint32_t staging_slots, MetricRegistry& registry)
      : coordinator_(coordinator),
        joins_(registry.AddCounter("fedmeta_joins_total", "Clients that asked to join, by answer.",
                                   CodeLabel({"ok"}))),
        refused_(registry.AddCounter(
            "fedmeta_calls_refused_total",
            "Calls of peers that are no members, or beyond a quota, before any handler.",
            CodeLabel())),
        upload_counters_{
            .uploads = registry.AddCounter(
                "fedmeta_uploads_total",
                "Upload streams by answer; broken: ended early, the client resumes it.",
                CodeLabel({"ok", kLate, kBroken})),
            .bytes = registry.AddCounter("fedmeta_upload_bytes_total", "Payload bytes received.")
                         .With()} {
    registry.AddGauge("fedmeta_staging_slots", "Uploads that may be received at a time.")
        .With()
        .Set(staging_slots);
    registry.AddReadGauge("fedmeta_staging_slots_in_use", "Uploads being received or added.", {},
                          [this]() -> MetricRegistry::Reading {
                            const auto used = coordinator_.vitals().staging_slots_in_use;
                            return {{"", static_cast<double>(used)}};
                          });
    registry.AddReadGauge("fedmeta_clients", "Clients present, by role.",
                          {"role", {"train", "validation", "holdout"}},
                          [this] { return Present(); });
  }

  void Refused(ErrorCode code) override { refused_.With(ErrorCodeName(code)).Add(); }

  void Join(const ClientId& client, const v1::ClientHello& hello, Done<v1::Welcome> done) override {
    coordinator_.Join(client, hello,
                      [&joins = joins_, done = std::move(done)](Result<v1::Welcome> welcome) {
                        joins.With(CodeOf(welcome)).Add();
                        done(std::move(welcome));
                      });
  }
  void Next(const ClientId& client, const v1::NextRequest& request,
            Done<v1::Instruction> done) override {
    coordinator_.Next(client, request, std::move(done));
  }
  void Send(const ClientId& client, const v1::Report& report,
            Done<v1::Acknowledgement> done) override {
    coordinator_.Send(client, report, std::move(done));
  }
  Result<std::shared_ptr<const Bytes>> FindBlob(const ClientId& client,
                                                const Digest& digest) override {
    return coordinator_.FindBlob(client, digest);
  }
  Result<v1::UploadPosition> UploadStatus(const ClientId& client,
                                          const v1::UploadHeader& header) override {
    return coordinator_.UploadStatus(client, header);
  }
  void OpenUpload(const ClientId& client, const v1::UploadHeader& header,
                  Done<std::shared_ptr<UploadSink>> done) override {
    coordinator_.OpenUpload(client, header,
                            [counters = upload_counters_,
                             done = std::move(done)](Result<std::shared_ptr<UploadSink>> sink) {
                              if (!sink.ok()) {
                                counters.uploads.With(CodeOf(sink)).Add();
                                done(sink.error());
                                return;
                              }
                              if (const auto known = (*sink)->already()) {
                                counters.uploads.With(known->discarded() ? kLate : "ok").Add();
                                done(std::move(sink));
                                return;
                              }
                              done(std::shared_ptr<UploadSink>(
                                  std::make_shared<CountedSink>(std::move(*sink), counters)));
                            });
  }
  void Heard(const ClientId& client) override { coordinator_.Heard(client); }
  void Gone(const ClientId& client) override { coordinator_.Gone(client); }

 private:
  MetricRegistry::Reading Present() const {
    const LiveCoordinator::Vitals vitals = coordinator_.vitals();
    const auto of = [&](v1::Role role) {
      const auto found = vitals.clients.find(role);
      return found == vitals.clients.end() ? 0.0 : static_cast<double>(found->second);
    };
    return {{"train", of(v1::ROLE_TRAIN)},
            {"validation", of(v1::ROLE_VALIDATION)},
            {"holdout", of(v1::ROLE_HOLDOUT)}};
  }

  LiveCoordinator& coordinator_;
  MetricFamily<Counter>& joins_;
  MetricFamily<Counter>& refused_;
  const UploadCounters upload_counters_;
};

}  // namespace

std::function<void(Duration took, bool ok)> MakeStoreMetrics(MetricRegistry& registry) {
  Histogram& seconds =
      registry
          .AddHistogram("fedmeta_store_seconds", "Writing a round's begin or end to the store.",
                        {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30})
          .With();
  Counter& errors =
      registry.AddCounter("fedmeta_store_errors_total", "Writes that the store refused.").With();
  return [&](Duration took, bool ok) {
    seconds.Observe(Seconds(took));
    if (!ok) errors.Add();
  };
}

std::unique_ptr<CoordinatorMetrics> CoordinatorMetrics::Create(LiveCoordinator& coordinator,
                                                               std::uint32_t staging_slots,
                                                               MetricRegistry& registry) {
  return std::make_unique<Metrics>(coordinator, staging_slots, registry);
}

}  // namespace fedmeta

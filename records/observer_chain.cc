#include <utility>

#include "fedmeta/records/progress.h"

namespace fedmeta {
namespace {

class ObserverChain final : public RunObserver {
 public:
  explicit ObserverChain(std::vector<std::unique_ptr<RunObserver>> observers)
      : observers_(std::move(observers)) {}

  Status Started(const RunHeading& heading) override {
    return Each([&](RunObserver& observer) { return observer.Started(heading); });
  }
  Status LegStarted(const std::string& leg, const std::string& method,
                    std::uint64_t rounds) override {
    return Each([&](RunObserver& observer) { return observer.LegStarted(leg, method, rounds); });
  }
  Status RoundDone(const RoundRecord& record) override {
    return Each([&](RunObserver& observer) { return observer.RoundDone(record); });
  }
  Status Evaluated(std::span<const EvaluationRecord> records) override {
    return Each([&](RunObserver& observer) { return observer.Evaluated(records); });
  }
  Status Checkpoint(const std::string& name, const StateLayout& layout,
                    std::span<const float> state,
                    const std::map<std::string, std::string>& metadata) override {
    return Each(
        [&](RunObserver& observer) { return observer.Checkpoint(name, layout, state, metadata); });
  }
  Status HistoryBegins() override {
    return Each([&](RunObserver& observer) { return observer.HistoryBegins(); });
  }
  Status HistoryEnds(const std::string& leg, std::uint64_t rounds) override {
    return Each([&](RunObserver& observer) { return observer.HistoryEnds(leg, rounds); });
  }
  Status Paused(const RunSummary& summary) override {
    return Each([&](RunObserver& observer) { return observer.Paused(summary); });
  }
  Status Note(const std::string& text) override {
    return Each([&](RunObserver& observer) { return observer.Note(text); });
  }
  Status Finished(const RunSummary& summary) override {
    return Each([&](RunObserver& observer) { return observer.Finished(summary); });
  }

 private:
  /// Stops at the first error: it ends the run, and those behind do not report a success that is
  /// not on disk.
  template <typename Tell>
  Status Each(Tell tell) {
    for (const std::unique_ptr<RunObserver>& observer : observers_)
      FEDMETA_RETURN_IF_ERROR(tell(*observer));
    return {};
  }

  const std::vector<std::unique_ptr<RunObserver>> observers_;
};

}  // namespace

std::unique_ptr<RunObserver> MakeObserverChain(
    std::vector<std::unique_ptr<RunObserver>> observers) {
  return std::make_unique<ObserverChain>(std::move(observers));
}

}  // namespace fedmeta

#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fedmeta/coordinator/leg.h"
#include "fedmeta/records/run_observer.h"
#include "fedmeta/transport/coordinator_endpoint.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// A leg of one tensor "w" of `size` coordinates, all zero, averaged with weight 1 and applied by
/// sgd at rate 1.
Leg TinyLeg(const std::string& name, std::int64_t size = 4);
/// The wire form of an update that is `value` everywhere, for training, or of metrics alone.
Bytes TinyUpload(const v1::RoundPlan& plan, float value, double accuracy = 0.5);

/// Keeps what it hears, as lines. Thread-safe.
class RecordingObserver final : public RunObserver {
 public:
  Status Started(const RunHeading& heading) override;
  Status LegStarted(const std::string& leg, const std::string& method,
                    std::uint64_t rounds) override;
  Status RoundDone(const RoundRecord& record) override;
  Status Evaluated(std::span<const EvaluationRecord> records) override;
  Status Checkpoint(const std::string& name, const StateLayout& layout,
                    std::span<const float> state,
                    const std::map<std::string, std::string>& metadata) override;
  Status HistoryBegins() override;
  Status HistoryEnds(const std::string& leg, std::uint64_t rounds) override;
  Status Paused(const RunSummary& summary) override;
  Status Note(const std::string& text) override;
  Status Finished(const RunSummary& summary) override;

  std::vector<std::string> lines() const;
  /// Blocks until a line that starts so was heard.
  void WaitFor(const std::string& prefix);
  std::vector<float> checkpoint(const std::string& name) const;
  std::map<std::string, std::string> metadata(const std::string& name) const;
  std::string failing;  ///< a call whose line starts so fails

 private:
  Status Hear(const std::string& line);
  mutable std::mutex mutex_;
  std::condition_variable heard_;
  std::vector<std::string> lines_;
  std::map<std::string, std::vector<float>> checkpoints_;
  std::map<std::string, std::map<std::string, std::string>> metadata_;
};

/// A client on a thread of its own: joins, polls, downloads, uploads `update` everywhere; no gRPC.
class FakeClient {
 public:
  struct Options {
    std::string name;
    float update = 0;
    v1::Role role = v1::ROLE_TRAIN;
    /// Called with each plan; false: the client disappears without a word.
    std::function<bool(const v1::RoundPlan&)> on_plan = [](const v1::RoundPlan&) { return true; };
    /// Set: the client decides on the offer. Called with it after joining, says what it sends.
    std::function<void(const std::string& offer, const std::function<void(v1::Report)>& send)>
        on_offer = nullptr;
  };
  FakeClient(CoordinatorEndpoint& endpoint, Options options);
  ~FakeClient();
  /// Waits until it was told that all is done, or disappeared.
  void Wait();
  bool told_all_done() const { return told_all_done_; }
  bool told_failed() const { return told_failed_; }
  std::uint64_t counted() const { return counted_; }

 private:
  void Run();
  bool Work(const v1::RoundPlan& plan, const std::string& bytes);
  CoordinatorEndpoint& endpoint_;
  const Options options_;
  std::atomic<bool> told_all_done_ = false, told_failed_ = false;
  std::atomic<std::uint64_t> counted_ = 0;
  std::thread thread_;
};

/// Calls `start` with a Done and blocks for its answer.
template <typename T>
Result<T> Await(const std::function<void(Done<T>)>& start) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<T>> result;
  };
  const auto shared = std::make_shared<Shared>();
  start([shared](Result<T> result) {
    const std::lock_guard lock(shared->mutex);
    shared->result = std::move(result);
    shared->changed.notify_all();
  });
  std::unique_lock lock(shared->mutex);
  shared->changed.wait(lock, [&] { return shared->result.has_value(); });
  return *std::move(shared->result);
}

}  // namespace fedmeta

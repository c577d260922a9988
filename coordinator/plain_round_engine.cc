#include "fedmeta/coordinator/plain_round_engine.h"

#include <deque>
#include <map>
#include <utility>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

class PlainRoundEngine final : public AttemptEngine {
 public:
  PlainRoundEngine(Attempt attempt, Tickets& tickets)
      : AttemptEngine(std::move(attempt), tickets) {}

 private:
  bool Settled() const override { return adds_.empty(); }
  void Proceed(TimePoint now) override { Close(now); }

  void OnOther(const Event& event, TimePoint now) override {
    if (const auto* staged = std::get_if<UploadStaged>(&event)) {
      Take(*staged, now);
    } else if (const auto* finished = std::get_if<WorkFinished>(&event)) {
      Added(*finished, now);
    }
  }

  void Take(const UploadStaged& fact, TimePoint now) {
    if (fact.key != key() || !gathering() || !Awaits(fact.client)) return;
    if (attempt().enough > 0 && in_hand() >= attempt().enough) {
      spare_.push_back(fact);
    } else {
      Add(fact, now);
    }
  }

  void Add(const UploadStaged& fact, TimePoint now) {
    Set(fact.client, Standing::kInHand);
    if (adds_.empty()) adding_since_ = now;
    const std::uint64_t ticket = NextTicket();
    adds_.emplace(ticket, fact.client);
    Out(RunWork{.ticket = ticket,
                .work = Work::kAddUpload,
                .plan = attempt().plan,
                .slot = fact.slot,
                .client = fact.client,
                .population = attempt().population});
  }

  void Added(const WorkFinished& fact, TimePoint now) {
    const auto add = adds_.find(fact.ticket);
    if (add == adds_.end()) return;
    const ClientId client = add->second;
    adds_.erase(add);
    if (adds_.empty()) add_time_ += now - adding_since_;
    if (at() != Phase::kGather) return;
    if (fact.status.ok()) {
      Set(client, Standing::kReported);
    } else {
      Drop(client, "upload", fact.status.error().message());
      AddSpare(now);
    }
    Consider(now);
  }

  /// An upload of the sum's number turned out to be bad: one that came beyond it takes its place.
  void AddSpare(TimePoint now) {
    if (spare_.empty()) return;
    const UploadStaged spare = spare_.front();
    spare_.pop_front();
    if (Awaits(spare.client)) Add(spare, now);
  }

  void EndGathering(TimePoint now) override {
    if (!adds_.empty()) add_time_ += now - adding_since_;
    parts_["add"] = Seconds(add_time_);
    parts_["wait"] = SecondsSince(now) - Seconds(add_time_);
  }

  std::map<std::uint64_t, ClientId> adds_;  // kAddUpload that are out
  std::deque<UploadStaged> spare_;          // whole, beyond `enough`
  TimePoint adding_since_{};
  Duration add_time_{};
};

}  // namespace

std::unique_ptr<RoundEngine> MakePlainRoundEngine(Attempt attempt, Tickets& tickets) {
  return std::make_unique<PlainRoundEngine>(std::move(attempt), tickets);
}

}  // namespace fedmeta

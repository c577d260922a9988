#include "fake_run.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/protocol/version.h"

namespace fedmeta {

Leg TinyLeg(const std::string& name, std::int64_t size) {
  Leg leg;
  leg.name = name;
  leg.method = name.substr(0, name.find('-'));
  leg.main = true;
  Result<StateLayout> layout = StateLayout::Create(
      {{.name = "theta",
        .rule = ServerRule::kOptimize,
        .scale = 1.0,
        .tensors = {{.name = "w", .shape = {size}, .kind = TensorKind::kBody}}}});
  leg.layout = layout.value();
  leg.initial_state.assign(leg.layout.size(), 0.0F);
  v1::Assignment assignment;
  assignment.set_experiment("demo/" + name);
  assignment.set_data("numbers");
  assignment.set_layout_fingerprint(leg.layout.fingerprint().bytes());
  leg.assignment = assignment.SerializeAsString();
  leg.aggregation.set_name("weighted_mean");
  leg.optimizer.set_name("sgd");
  return leg;
}

Bytes TinyUpload(const v1::RoundPlan& plan, float value, double accuracy) {
  const bool train = plan.has_train();
  const Leg leg = TinyLeg("any", static_cast<std::int64_t>(plan.state_coordinates()));
  const std::size_t cells = MetricCells(plan);
  Result<ContributionCodec> codec =
      ContributionCodec::Create({.layout = train ? &leg.layout : nullptr,
                                 .metric_cells = cells,
                                 .maximum_weight = plan.maximum_weight(),
                                 .maximum_contributors = 100});
  MetricSums metrics;
  metrics.examples = 4;
  metrics.correct = 4 * accuracy;
  metrics.query_loss = 4;
  metrics.tasks = 1;
  metrics.FinishClient();
  Contribution contribution{
      .update = {}, .weight = 1, .metrics = std::vector<MetricSums>(cells, metrics)};
  if (train) contribution.update.assign(leg.layout.size(), value);
  return codec->ToWire(contribution).value();
}

Status RecordingObserver::Started(const RunHeading& heading) {
  return Hear("started " + heading.experiment);
}
Status RecordingObserver::LegStarted(const std::string& leg, const std::string&,
                                     std::uint64_t rounds) {
  return Hear("leg " + leg + " " + std::to_string(rounds));
}
Status RecordingObserver::RoundDone(const RoundRecord& record) {
  std::string dropped;
  for (const DroppedClient& client : record.dropped)
    dropped += " dropped " + client.client + " (" + client.phase + ")";
  return Hear("round " + record.leg + " " + std::to_string(record.round) + "." +
              std::to_string(record.attempt) + " " + std::to_string(record.reported.size()) +
              " reported" + dropped + (record.committed ? "" : " abandoned"));
}
Status RecordingObserver::Evaluated(std::span<const EvaluationRecord> records) {
  return Hear("evaluation " + std::to_string(records.front().round) +
              (records.front().holdout ? " test" : " validation"));
}
Status RecordingObserver::Checkpoint(const std::string& name, const StateLayout&,
                                     std::span<const float> state,
                                     const std::map<std::string, std::string>& metadata) {
  {
    const std::lock_guard lock(mutex_);
    checkpoints_[name].assign(state.begin(), state.end());
    metadata_[name] = metadata;
  }
  return Hear("checkpoint " + name);
}
Status RecordingObserver::HistoryBegins() { return Hear("history begins"); }
Status RecordingObserver::HistoryEnds(const std::string& leg, std::uint64_t rounds) {
  return Hear("history ends " + leg + " " + std::to_string(rounds));
}
Status RecordingObserver::Paused(const RunSummary& summary) {
  return Hear("paused " + summary.reason);
}
Status RecordingObserver::Note(const std::string& text) { return Hear("note " + text); }
Status RecordingObserver::Finished(const RunSummary& summary) {
  return Hear("finished " + std::to_string(static_cast<int>(summary.status)));
}

Status RecordingObserver::Hear(const std::string& line) {
  const std::lock_guard lock(mutex_);
  lines_.push_back(line);
  heard_.notify_all();
  if (!failing.empty() && line.starts_with(failing))
    return Error(ErrorCode::kInternal, "disk full");
  return {};
}

std::vector<std::string> RecordingObserver::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

void RecordingObserver::WaitFor(const std::string& prefix) {
  std::unique_lock lock(mutex_);
  heard_.wait(lock, [&] {
    return std::any_of(lines_.begin(), lines_.end(),
                       [&](const std::string& line) { return line.starts_with(prefix); });
  });
}

std::vector<float> RecordingObserver::checkpoint(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = checkpoints_.find(name);
  return found == checkpoints_.end() ? std::vector<float>() : found->second;
}

std::map<std::string, std::string> RecordingObserver::metadata(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = metadata_.find(name);
  return found == metadata_.end() ? std::map<std::string, std::string>() : found->second;
}

FakeClient::FakeClient(CoordinatorEndpoint& endpoint, Options options)
    : endpoint_(endpoint), options_(std::move(options)), thread_([this] { Run(); }) {}
FakeClient::~FakeClient() { Wait(); }

void FakeClient::Wait() {
  if (thread_.joinable()) thread_.join();
}

void FakeClient::Run() {
  const ClientId id(options_.name);
  v1::ClientHello hello;
  *hello.mutable_version() = OwnVersion();
  (*hello.mutable_data())["numbers"] = options_.role;
  hello.set_decides_on_offer(options_.on_offer != nullptr);
  v1::NextRequest request;
  for (bool joined = false;;) {
    if (!joined) {
      const auto welcome =
          Await<v1::Welcome>([&](auto done) { endpoint_.Join(id, hello, std::move(done)); });
      if (!welcome.ok() && welcome.error().code() != ErrorCode::kUnavailable) return;
      if (!welcome.ok()) {
        std::this_thread::yield();
        continue;
      }
      request.set_session_id(welcome->session_id());
      joined = true;
      if (options_.on_offer) {
        options_.on_offer(welcome->offer(), [&](const v1::Report& report) {
          EXPECT_TRUE(Await<v1::Acknowledgement>([&](auto done) {
                        endpoint_.Send(id, report, std::move(done));
                      }).ok());
        });
      }
    }
    const auto next =
        Await<v1::Instruction>([&](auto done) { endpoint_.Next(id, request, std::move(done)); });
    if (!next.ok()) {
      if (next.error().code() != ErrorCode::kFailedPrecondition) return;
      joined = false;
    } else if (next->has_closed()) {
      if (next->closed().counted() && next->closed().key().purpose() == v1::PURPOSE_TRAIN)
        ++counted_;
      if (next->closed().all_done()) {
        told_failed_ = next->closed().failed();
        told_all_done_ = true;
        return;
      }
    } else if (next->has_plan()) {
      v1::RoundPlan plan;
      EXPECT_TRUE(plan.ParseFromString(next->plan()));
      *request.mutable_seen() = plan.key();
      if (!options_.on_plan(plan)) return;
      if (!Work(plan, next->plan())) return;
    }
  }
}

bool FakeClient::Work(const v1::RoundPlan& plan, const std::string& bytes) {
  const ClientId id(options_.name);
  for (const std::string& digest : {plan.state_hash(), plan.assignment_hash()}) {
    // A plan may have been closed meanwhile; then there is nothing to do for it.
    const auto blob = endpoint_.FindBlob(id, Digest::FromBytes(digest).value());
    if (!blob.ok()) return true;
    EXPECT_EQ(Digest::Of(**blob).bytes(), digest);
  }
  const Bytes payload = TinyUpload(plan, options_.update);
  v1::UploadHeader header;
  *header.mutable_key() = plan.key();
  header.set_plan_hash(Digest::Of(bytes).bytes());
  header.set_size(payload.size());
  header.set_sha256(Digest::Of(payload).bytes());
  const auto sink = Await<std::shared_ptr<UploadSink>>(
      [&](auto done) { endpoint_.OpenUpload(id, header, std::move(done)); });
  if (!sink.ok()) return true;
  if (!(*sink)->Write(payload).ok()) return true;
  (void)Await<v1::UploadPosition>([&](auto done) { (*sink)->Finish(std::move(done)); });
  return true;
}

}  // namespace fedmeta

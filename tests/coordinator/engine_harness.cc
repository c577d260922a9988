#include "engine_harness.h"

#include <algorithm>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

std::string Names(const std::vector<ClientId>& clients) {
  std::vector<std::string> names;
  for (const ClientId& client : clients) names.push_back(client.value());
  return Join(names, ",");
}

struct Describer {
  std::string operator()(const StartLeg& i) const {
    return "leg " + std::to_string(i.leg) + (i.head ? " from " + i.head->ToString() : "");
  }
  std::string operator()(const SendPlan& i) const {
    return "plan " + Names(i.clients) + " " + i.plan.key().ToString();
  }
  std::string operator()(const CloseFor& i) const {
    return "close " + Names(i.clients) + " " + i.key.ToString() +
           (i.counted ? " counted" : " not counted: " + i.reason);
  }
  std::string operator()(const SendPhase& i) const {
    return i.phase + " " + Names(i.clients) + " " + i.key.ToString() + "/" +
           std::to_string(i.key.session);
  }
  std::string operator()(const ExpectUploads& i) const {
    return "expect " + Names(i.clients) + " " + i.key.ToString() + "/" +
           std::to_string(i.key.session);
  }
  std::string operator()(const EndSession& i) const {
    return "end " + Names(i.clients) + " " + i.key.ToString() + "/" +
           std::to_string(i.key.session) + " " + i.reason;
  }
  std::string operator()(const SetTimer& i) const {
    return "timer at " + std::to_string(i.at.time_since_epoch().count());
  }
  std::string operator()(const Persist& i) const {
    const char* what = i.record == Record::kBeginAttempt    ? "begin "
                       : i.record == Record::kCommitRound   ? "commit "
                       : i.record == Record::kEndEvaluation ? "figures "
                       : i.record == Record::kChargePrivacy ? "charge "
                       : i.record == Record::kResumeAttempt ? "resume "
                                                            : "abandon ";
    const std::string reason = i.outcome ? i.outcome->reason : "";
    return "persist " + std::string(what) + i.plan.key().ToString() +
           (reason.empty() ? "" : ": " + reason);
  }
  std::string operator()(const RunWork& i) const {
    if (i.work == Work::kAddUpload) return "add " + i.client.value();
    return "sum of " + std::to_string(i.reported) + " " + i.plan.key().ToString();
  }
  std::string operator()(const HistoryBegins&) const { return "history begins"; }
  std::string operator()(const TellMore&) const { return "tell more"; }
  std::string operator()(const HistoryEnds& i) const {
    return "history ends " + std::to_string(i.leg) + " " + std::to_string(i.rounds);
  }
  std::string operator()(const ReportLeg& i) const { return "report leg " + std::to_string(i.leg); }
  std::string operator()(const ReportRound& i) const {
    return "round " + i.record.leg + " " + std::to_string(i.record.round) + "." +
           std::to_string(i.record.attempt) +
           (i.record.committed ? " committed" : " abandoned: " + i.record.reason);
  }
  std::string operator()(const ReportEvaluation& i) const {
    const EvaluationRecord& record = i.records.front();
    return "evaluation " + record.leg + " " + std::to_string(record.round) +
           (record.holdout ? " test" : " validation");
  }
  std::string operator()(const ReportCheckpoint& i) const {
    return "checkpoint " + std::to_string(i.leg) + " " + i.name;
  }
  std::string operator()(const ReportNote& i) const { return "note " + i.text; }
  std::string operator()(const ReportPause& i) const { return "pause " + i.summary.reason; }
  std::string operator()(const Finish& i) const {
    return "finish " + std::to_string(static_cast<int>(i.summary.status)) +
           (i.status.ok() ? "" : " " + std::string(ErrorCodeName(i.status.error().code())));
  }
};

}  // namespace

std::string Describe(const Instruction& instruction) {
  return std::visit(Describer(), instruction);
}

RunHistory HistoryOf(const std::vector<AttemptRecord>& records) {
  std::vector<JournalEntry> journal;
  for (const AttemptRecord& record : records) {
    journal.push_back({.key = record.key, .outcome = SerializeRecord(record)});
  }
  return RunHistory::Create(std::move(journal)).value();
}

std::vector<std::string> Describe(const std::vector<Instruction>& instructions) {
  std::vector<std::string> lines;
  for (const Instruction& instruction : instructions) lines.push_back(Describe(instruction));
  return lines;
}

std::vector<MetricSums> Cells(std::size_t count, double clients, double loss, double accuracy) {
  MetricSums cell;
  cell.examples = 10 * clients;
  cell.query_loss = 10 * clients * loss;
  cell.correct = 10 * clients * accuracy;
  cell.clients = clients;
  cell.mean_loss = clients * loss;
  cell.mean_correct = clients * accuracy;
  cell.tasks = clients;
  return std::vector<MetricSums>(count, cell);
}

v1::Experiment DemoExperiment(std::uint64_t rounds, std::uint32_t cohort, std::uint32_t minimum) {
  v1::Experiment experiment;
  experiment.set_name("demo");
  experiment.set_seed(7);
  v1::Federation& federation = *experiment.mutable_federation();
  federation.set_rounds(rounds);
  federation.set_cohort(cohort);
  federation.set_minimum_cohort(minimum);
  federation.set_retries(2);
  federation.mutable_report_deadline()->set_seconds(60);
  federation.mutable_join_deadline()->set_seconds(600);
  federation.mutable_lost_after()->set_seconds(5);
  v1::Evaluation& evaluation = *experiment.mutable_evaluation();
  evaluation.add_shots(1);
  evaluation.add_learning_rates(0.1);
  evaluation.add_learning_rates(0.2);
  evaluation.add_steps(0);
  evaluation.add_steps(1);
  evaluation.set_episodes(2);
  evaluation.mutable_select()->set_metric("accuracy_mean");
  return experiment;
}

LegFacts DemoLeg(const std::string& name, bool main, bool trains) {
  return {.name = name,
          .method = name.substr(0, name.find('-')),
          .main = main,
          .trains = trains,
          .assignment_hash = Digest::Of(name),
          .assignment_size = 100,
          .coordinates = 10,
          .maximum_weight = 1,
          .adaptation_rate = 0.1,
          .state_hash = Digest::Of("state of " + name)};
}

EngineHarness::EngineHarness(const v1::Experiment& experiment, std::vector<LegFacts> legs,
                             SmallGroups small_groups)
    : engine_(experiment, std::move(legs), small_groups) {}

void EngineHarness::Join(const std::string& client, v1::Role role) {
  Give(ClientJoined{ClientId(client), role});
}

void EngineHarness::Give(const Event& event) { Take(engine_.Handle(event, now_)); }

void EngineHarness::Run(std::size_t steps) {
  if (!started_) {
    started_ = true;
    Take(engine_.Start(now_));
  }
  for (std::size_t step = 0; step < steps && !engine_.finished(); ++step) {
    if (!events_.empty()) {
      const Event event = events_.front();
      events_.pop_front();
      Give(event);
    } else if (!timers_.empty()) {
      const auto next = timers_.begin();
      now_ = std::max(now_, next->first);
      const TimerFired fired{next->second};
      timers_.erase(next);
      Give(fired);
    } else {
      return;
    }
  }
}

void EngineHarness::Take(std::vector<Instruction> instructions_out) {
  for (const Instruction& instruction : instructions_out) {
    instructions.push_back(instruction);
    if (on_instruction) on_instruction(instruction);
    Carry(instruction);
  }
}

void EngineHarness::Carry(const Instruction& instruction) {
  if (std::holds_alternative<TellMore>(instruction)) {
    events_.emplace_back(ToldMore{});
  } else if (const auto* timer = std::get_if<SetTimer>(&instruction)) {
    timers_.emplace(timer->at, timer->timer);
  } else if (const auto* plan = std::get_if<SendPlan>(&instruction)) {
    for (const ClientId& client : plan->clients) {
      if (silent.contains(client.value())) continue;
      events_.emplace_back(UploadStaged{plan->plan.key(), client, 0});
    }
  } else if (const auto* persist = std::get_if<Persist>(&instruction)) {
    Status status;
    if (failing.contains(persist->record)) status = Error(ErrorCode::kInternal, "disk full");
    if (status.ok()) Store(*persist);
    events_.emplace_back(StoreFinished{persist->ticket, status});
  } else if (const auto* work = std::get_if<RunWork>(&instruction)) {
    if (work->work == Work::kAddUpload) {
      Status status;
      if (hostile.contains(work->client.value())) {
        status = Error(ErrorCode::kInvalidArgument, "not finite");
      }
      events_.emplace_back(WorkFinished{work->ticket, status, std::nullopt});
    } else {
      RoundResult result;
      if (close) {
        result = close(*work);
      } else {
        result.metrics = Cells(MetricCells(work->plan.message()), work->reported, 1, 0.5);
      }
      events_.emplace_back(WorkFinished{work->ticket, {}, std::move(result)});
    }
  }
}

void EngineHarness::Store(const Persist& persist) {
  if (!persist.outcome) {
    open = persist.plan.key();
    if (persist.presence) present = *persist.presence;
    return;
  }
  open.reset();
  journal.push_back(*persist.outcome);
  if (persist.record != Record::kCommitRound) return;
  journal.back().state_hash = Digest::Of("state after " + std::to_string(persist.plan.key().round));
  engine_.SetStateHash(journal.back().state_hash);
}

std::vector<std::string> EngineHarness::LinesWith(const std::string& prefix) const {
  std::vector<std::string> lines;
  for (const std::string& line : Lines()) {
    if (line.starts_with(prefix)) lines.push_back(line);
  }
  return lines;
}

const Finish* EngineHarness::finish() const {
  return instructions.empty() ? nullptr : std::get_if<Finish>(&instructions.back());
}

}  // namespace fedmeta

#include "fedmeta/coordinator/experiment_engine.h"

#include <algorithm>
#include <map>
#include <utility>

#include "fedmeta/coordinator/cohort.h"
#include "fedmeta/coordinator/leg_course.h"
#include "fedmeta/coordinator/plain_round_engine.h"
#include "fedmeta/coordinator/presence.h"
#include "fedmeta/core/check.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

constexpr double kDivergedWarning = 0.05;

double Seconds(Duration duration) { return static_cast<double>(duration.count()) / 1000.0; }

}  // namespace

class ExperimentEngine::Implementation {
 public:
  Implementation(const v1::Experiment& experiment, std::vector<LegFacts> legs,
                 SmallGroups small_groups)
      : experiment_(experiment), small_groups_(small_groups) {
    FEDMETA_CHECK(!legs.empty());
    for (const bool main : {true, false}) {
      for (std::size_t i = 0; i < legs.size(); ++i) {
        if (legs[i].main != main) continue;
        if (main) ++main_legs_;
        order_.push_back(i);
        courses_.emplace_back(experiment_, legs[i]);
      }
    }
  }

  std::vector<Instruction> Start(TimePoint now) {
    started_ = now;
    where_ = Where::kWaiting;
    if (cancelled_) {
      EndCancelled(now);
    } else {
      BeginLeg(now);
    }
    return std::exchange(out_, {});
  }

  std::vector<Instruction> Handle(const Event& event, TimePoint now) {
    if (where_ == Where::kFinished) return {};
    Notice(event);
    if (where_ == Where::kWaiting) {
      HandleWaiting(event, now);
    } else if (where_ == Where::kAttempt) {
      Forward(attempt_->Handle(event, now), now);
    }
    return std::exchange(out_, {});
  }

  void SetStateHash(const Digest& digest) { state_hash_ = digest; }
  bool finished() const { return where_ == Where::kFinished; }
  std::string_view phase() const {
    switch (where_) {
      case Where::kNotStarted:
        return "not started";
      case Where::kWaiting:
        return "waiting for clients";
      case Where::kAttempt:
        return attempt_->phase();
      case Where::kFinished:
        break;
    }
    return "finished";
  }

 private:
  enum class Where : std::uint8_t { kNotStarted, kWaiting, kAttempt, kFinished };

  LegCourse& course() { return courses_[leg_]; }
  std::uint64_t rounds() { return course().facts().trains ? experiment_.federation().rounds() : 0; }
  std::uint32_t minimum() const {
    const v1::Federation& federation = experiment_.federation();
    return federation.has_minimum_cohort() ? federation.minimum_cohort() : federation.cohort();
  }

  void Notice(const Event& event) {
    if (const auto* joined = std::get_if<ClientJoined>(&event)) {
      presence_.Join(joined->client, joined->role);
    } else if (const auto* lost = std::get_if<ClientLost>(&event)) {
      presence_.Lose(lost->client);
    } else if (const auto* cancel = std::get_if<CancelAsked>(&event)) {
      if (!cancelled_) cancelled_ = *cancel;
    }
  }

  void HandleWaiting(const Event& event, TimePoint now) {
    if (cancelled_) {
      EndCancelled(now);
    } else if (const auto* failed = std::get_if<DriverFailed>(&event)) {
      End(RunStatus::kFailed, failed->error, now);
    } else if (std::holds_alternative<ClientJoined>(event)) {
      if (presence_.For(step_).size() >= Wanted()) Launch(now);
    } else if (const auto* timer = std::get_if<TimerFired>(&event)) {
      if (timer->timer == join_timer_) JoinDeadlinePassed(now);
    }
  }

  void BeginLeg(TimePoint now) {
    out_.emplace_back(StartLeg{order_[leg_]});
    state_hash_ = course().facts().state_hash;
    round_ = 1;
    warned_of_divergence_ = false;
    BeginStep(rounds() > 0 ? Step::kTrain : Step::kValidate, now);
  }

  void BeginStep(Step step, TimePoint now) {
    step_ = step;
    try_ = 0;
    BeginTry(now);
  }

  /// Clients that must be present before an attempt begins.
  std::size_t Wanted() const {
    if (!cohort_gathered_) return experiment_.federation().cohort();
    return step_ == Step::kTrain ? minimum() : 1;
  }

  void BeginTry(TimePoint now) {
    if (presence_.For(step_).size() >= Wanted()) {
      Launch(now);
      return;
    }
    where_ = Where::kWaiting;
    join_timer_ = tickets_.Next();
    out_.emplace_back(
        SetTimer{join_timer_, now + ToDuration(experiment_.federation().join_deadline())});
  }

  void JoinDeadlinePassed(TimePoint now) {
    const std::size_t present = presence_.For(step_).size();
    const std::size_t needed = step_ == Step::kTrain ? minimum() : 1;
    const std::string figures =
        std::to_string(present) + " of " + std::to_string(Wanted()) +
        (step_ == Step::kTrain ? " training" : "") + " clients present after " +
        FormatDuration(Seconds(ToDuration(experiment_.federation().join_deadline())));
    if (present >= needed) {
      out_.emplace_back(ReportNote{figures + ": going on with these"});
      Launch(now);
    } else {
      End(RunStatus::kFailed,
          Error(ErrorCode::kFederationFailed,
                Describe() + ": " + figures + " (federation.join_deadline), at least " +
                    std::to_string(needed) +
                    " needed: start more clients, or lower federation.minimum_cohort"),
          now);
    }
  }

  void Launch(TimePoint now) {
    cohort_gathered_ = true;
    const Population& pool = presence_.For(step_);
    if (step_ == Step::kTest) tested_on_training_sites_ = !presence_.has_holdouts();
    cohort_ = step_ == Step::kTrain ? DrawCohort(pool, experiment_.federation().cohort(),
                                                 experiment_.seed(), course().facts().name, round_)
                                    : pool.All();
    Result<RoundPlan> plan = MakePlan();
    if (!plan.ok()) {
      End(RunStatus::kFailed, plan.error().WithContext(Describe()), now);
      return;
    }
    where_ = Where::kAttempt;
    plan_ = *plan;
    attempt_began_ = now;
    attempt_ = MakePlainRoundEngine(
        {.plan = *plan,
         .cohort = cohort_,
         .minimum = step_ == Step::kTrain ? minimum() : 1,
         .population = static_cast<std::uint32_t>(presence_.training().size()),
         .report_deadline = ToDuration(experiment_.federation().report_deadline())},
        tickets_);
    Forward(attempt_->Start(now), now);
  }

  Result<RoundPlan> MakePlan() {
    const PlanFactory& plans = course().plans();
    if (step_ == Step::kTrain) {
      return plans.Train(round_, try_ + 1, course().head(), state_hash_);
    }
    const bool test = step_ == Step::kTest;
    return plans.Evaluate(test ? v1::PART_TEST : v1::PART_VALIDATION, course().committed(),
                          2 * try_ + (test ? 2 : 1), course().head(), state_hash_);
  }

  void Forward(std::vector<Instruction> instructions, TimePoint now) {
    std::move(instructions.begin(), instructions.end(), std::back_inserter(out_));
    if (!attempt_->outcome()) return;
    const AttemptOutcome outcome = *attempt_->outcome();
    attempt_.reset();
    where_ = Where::kWaiting;
    if (step_ == Step::kTrain) ReportTraining(outcome, now);
    if (!outcome.environment.ok()) {
      End(RunStatus::kFailed, outcome.environment.error().WithContext(Describe()), now);
    } else if (!outcome.committed) {
      if (cancelled_) {
        EndCancelled(now);
      } else {
        Retry(outcome.reason, now);
      }
    } else {
      Continue(*outcome.result, now);
    }
  }

  void ReportTraining(const AttemptOutcome& outcome, TimePoint now) {
    RoundRecord record = course().Record(*plan_, cohort_, outcome, Seconds(now - attempt_began_));
    const MetricSums& metrics = record.metrics;
    if (metrics.diverged_tasks > kDivergedWarning * metrics.tasks && !warned_of_divergence_) {
      warned_of_divergence_ = true;
      out_.emplace_back(ReportNote{
          Describe() + ": " + FormatNumber(metrics.diverged_tasks) + " of " +
          FormatNumber(metrics.tasks) +
          " tasks diverged in the inner loop and were left out: lower inner_learning_rate"});
    }
    out_.emplace_back(ReportRound{std::move(record)});
  }

  void Retry(const std::string& reason, TimePoint now) {
    const std::uint32_t tries = experiment_.federation().retries() + 1;
    if (try_ + 1 < tries) {
      ++try_;
      BeginTry(now);
      return;
    }
    End(RunStatus::kFailed,
        Error(ErrorCode::kFederationFailed, Describe() + " failed in " + std::to_string(tries) +
                                                (tries == 1 ? " attempt: " : " attempts: ") +
                                                reason),
        now);
  }

  /// An attempt succeeded: what it brought is taken in, and what comes next begins.
  void Continue(const RoundResult& result, TimePoint now) {
    switch (step_) {
      case Step::kTrain:
        if (cancelled_) {
          EndCancelled(now);
        } else if (EvaluationDue()) {
          BeginStep(Step::kValidate, now);
        } else {
          ++round_;
          BeginStep(Step::kTrain, now);
        }
        break;
      case Step::kValidate:
        TakeValidation(result);
        BeginOrEnd(Step::kTest, now);
        break;
      case Step::kTest:
        ReportResult(true, result);
        course().TakeTest(result, small_groups_);
        if (round_ < rounds()) {
          ++round_;
          BeginOrEnd(Step::kTrain, now);
        } else {
          EndLeg(now);
        }
        break;
    }
  }

  void BeginOrEnd(Step step, TimePoint now) {
    if (cancelled_) {
      EndCancelled(now);
    } else {
      BeginStep(step, now);
    }
  }

  bool EvaluationDue() {
    const std::uint64_t every = experiment_.evaluation().every();
    return round_ == rounds() || (every > 0 && round_ % every == 0);
  }

  void ReportResult(bool holdout, const RoundResult& result) {
    out_.emplace_back(
        ReportEvaluation{order_[leg_], course().Records(course().committed(), holdout, result)});
  }

  void TakeValidation(const RoundResult& result) {
    ReportResult(false, result);
    const std::uint64_t round = course().committed();
    const bool improved = course().TakeValidation(round, result.metrics);
    const LegFacts& facts = course().facts();
    if (facts.main) {
      const std::string prefix = main_legs_ > 1 ? facts.name + "-" : "";
      Checkpoint(prefix + "round-" + std::to_string(round));
    }
    if (!improved) return;
    std::optional<Score>& best = best_[facts.main ? "" : facts.method];
    if (best && !Better(*course().best_score(), *best, course().selection())) return;
    best = course().best_score();
    if (facts.main) best_main_ = leg_;
    Checkpoint(facts.main ? "best" : "baseline-" + facts.method);
  }

  void Checkpoint(const std::string& name) {
    out_.emplace_back(
        ReportCheckpoint{order_[leg_], name, course().Metadata(course().committed())});
  }

  void EndLeg(TimePoint now) {
    if (course().facts().main && best_main_ == leg_) Checkpoint("final");
    if (cancelled_) {
      EndCancelled(now);
    } else if (leg_ + 1 < courses_.size()) {
      ++leg_;
      BeginLeg(now);
    } else {
      End(RunStatus::kCompleted, {}, now);
    }
  }

  void EndCancelled(TimePoint now) {
    End(cancelled_->interrupted ? RunStatus::kInterrupted : RunStatus::kCancelled,
        Error(ErrorCode::kCancelled, cancelled_->reason), now);
  }

  void End(RunStatus status, Status reason, TimePoint now) {
    where_ = Where::kFinished;
    const LegCourse& main = courses_[best_main_];
    RunSummary summary{.status = status,
                       .reason = reason.ok() ? "" : reason.error().message(),
                       .rounds = main.committed(),
                       .parameters = main.facts().coordinates,
                       .reports = main.reports(),
                       .dropped = main.dropped(),
                       .wall_s = Seconds(now - started_),
                       .tested_on_training_sites = tested_on_training_sites_,
                       .main = main.Summary(),
                       .baselines = SummariseBaselines(courses_)};
    out_.emplace_back(Finish{std::move(summary), std::move(reason)});
  }

  /// "fashion/maml round 12", "fashion/maml validation after round 12".
  std::string Describe() {
    const std::string leg = course().plans().experiment_id().value();
    if (step_ == Step::kTrain) return leg + " round " + std::to_string(round_);
    return leg + (step_ == Step::kTest ? " test" : " validation") + " after round " +
           std::to_string(course().committed());
  }

  const v1::Experiment experiment_;
  const SmallGroups small_groups_;
  std::vector<std::size_t> order_;  // position in the run -> leg as given
  std::vector<LegCourse> courses_;  // in the order of the run
  std::size_t main_legs_ = 0;
  Presence presence_;
  Tickets tickets_;

  Where where_ = Where::kNotStarted;
  TimePoint started_{};
  std::optional<CancelAsked> cancelled_;
  bool tested_on_training_sites_ = false;
  bool cohort_gathered_ = false;
  std::uint64_t join_timer_ = 0;

  std::size_t leg_ = 0;
  Digest state_hash_;
  std::uint64_t round_ = 1;
  Step step_ = Step::kTrain;
  std::uint32_t try_ = 0;
  bool warned_of_divergence_ = false;
  std::unique_ptr<RoundEngine> attempt_;
  std::optional<RoundPlan> plan_;  // of the attempt
  std::vector<ClientId> cohort_;
  TimePoint attempt_began_{};

  std::map<std::string, std::optional<Score>> best_;  // by baseline method; "": over the main legs
  std::size_t best_main_ = 0;
  std::vector<Instruction> out_;
};

ExperimentEngine::ExperimentEngine(const v1::Experiment& experiment, std::vector<LegFacts> legs,
                                   SmallGroups small_groups)
    : implementation_(std::make_unique<Implementation>(experiment, std::move(legs), small_groups)) {
}
ExperimentEngine::~ExperimentEngine() = default;

std::vector<Instruction> ExperimentEngine::Start(TimePoint now) {
  return implementation_->Start(now);
}
std::vector<Instruction> ExperimentEngine::Handle(const Event& event, TimePoint now) {
  return implementation_->Handle(event, now);
}
void ExperimentEngine::SetStateHash(const Digest& digest) { implementation_->SetStateHash(digest); }
bool ExperimentEngine::finished() const { return implementation_->finished(); }
std::string_view ExperimentEngine::phase() const { return implementation_->phase(); }

}  // namespace fedmeta

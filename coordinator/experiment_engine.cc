#include "fedmeta/coordinator/experiment_engine.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "fedmeta/coordinator/asked_members.h"
#include "fedmeta/coordinator/cohort.h"
#include "fedmeta/coordinator/leg_course.h"
#include "fedmeta/coordinator/plain_round_engine.h"
#include "fedmeta/coordinator/presence.h"
#include "fedmeta/coordinator/privacy_summary.h"
#include "fedmeta/coordinator/secure_conduct.h"
#include "fedmeta/coordinator/secure_round_engine.h"
#include "fedmeta/core/check.h"
#include "fedmeta/core/text.h"
#include "fedmeta/privacy/privacy_account.h"
#include "fedmeta/privacy/secure_terms.h"

namespace fedmeta {
namespace {

constexpr double kDivergedWarning = 0.05;
// Rounds in succession that were opened without a usable sum.
constexpr std::uint32_t kSpentAtMost = 3;

}  // namespace

class ExperimentEngine::Implementation {
 public:
  Implementation(const v1::Experiment& experiment, std::vector<LegFacts> legs,
                 SmallGroups small_groups, SecureParties parties)
      : experiment_(experiment), small_groups_(small_groups), parties_(std::move(parties)) {
    FEDMETA_CHECK(!legs.empty());
    Result<std::optional<PrivacyAccount>> account = PrivacyAccount::Of(experiment_);
    FEDMETA_CHECK(account.ok());  // the loader has refused what has none
    account_ = *std::move(account);
    for (const bool main : {true, false}) {
      for (std::size_t i = 0; i < legs.size(); ++i) {
        if (legs[i].main != main) continue;
        if (main) ++main_legs_;
        order_.push_back(i);
        courses_.emplace_back(experiment_, legs[i]);
      }
    }
  }

  Status Restore(RunHistory history, std::vector<ClientId> present, std::uint64_t charged,
                 std::optional<ChargedAttempt> interrupted) {
    charged_ = charged;
    interrupted_ = std::move(interrupted);
    presence_.Await(present);
    cohort_gathered_ = !history.empty() || interrupted_;
    wall_before_s_ = history.wall_s();
    std::set<ExperimentId> legs;
    for (const LegCourse& course : courses_) legs.insert(course.plans().experiment_id());
    FEDMETA_RETURN_IF_ERROR(history.CheckLegs(legs));
    history_ = std::move(history);
    return {};
  }

  std::vector<Instruction> Start(TimePoint now) {
    started_ = now;
    where_ = Where::kWaiting;
    if (cancelled_) {
      EndCancelled(now);
    } else {
      if (!presence_.AllBack()) {
        rejoin_timer_ = tickets_.Next();
        out_.emplace_back(
            SetTimer{rejoin_timer_, now + ToDuration(experiment_.federation().lost_after())});
      }
      BeginLeg(now);
    }
    return std::exchange(out_, {});
  }

  std::vector<Instruction> Handle(const Event& event, TimePoint now) {
    if (where_ == Where::kFinished) return {};
    Notice(event);
    if (where_ == Where::kWaiting || where_ == Where::kPaused) {
      HandleWaiting(event, now);
    } else if (where_ == Where::kHistory) {
      HandleHistory(event, now);
    } else if (where_ == Where::kAttempt) {
      Forward(attempt_->Handle(event, now), now);
    }
    return std::exchange(out_, {});
  }

  void ChargeFurther(std::uint64_t releases) { charged_ += releases; }

  void SetStateHash(const Digest& digest, const std::optional<Digest>& sent) {
    state_hash_ = digest;
    sent_hash_ = sent;
  }
  bool finished() const { return where_ == Where::kFinished; }
  bool paused() const { return where_ == Where::kPaused; }
  std::string_view phase() const {
    switch (where_) {
      case Where::kNotStarted:
        return "not started";
      case Where::kWaiting:
        return "waiting for clients";
      case Where::kHistory:
        return "reading its history";
      case Where::kAttempt:
        return attempt_->phase();
      case Where::kPaused:
        return "paused";
      case Where::kFinished:
        break;
    }
    return "finished";
  }

 private:
  enum class Where : std::uint8_t { kNotStarted, kHistory, kWaiting, kAttempt, kPaused, kFinished };

  LegCourse& course() { return courses_[leg_]; }
  std::uint64_t rounds() { return course().facts().trains ? experiment_.federation().rounds() : 0; }
  std::uint32_t minimum() const {
    const v1::Federation& federation = experiment_.federation();
    return federation.has_minimum_cohort() ? federation.minimum_cohort() : federation.cohort();
  }
  /// A spent round is one of those that sites have agreed to.
  bool rounds_used() { return course().next_round() > rounds(); }
  const std::optional<LegFacts::Secure>& secure() const { return courses_[leg_].facts().secure; }
  /// Fewest reports of any attempt.
  std::size_t fewest() const { return secure() ? secure()->terms.minimum() : 1; }
  std::size_t needed() const {
    return step_ == Step::kTrain ? std::max<std::size_t>(minimum(), fewest()) : fewest();
  }

  void Notice(const Event& event) {
    if (const auto* joined = std::get_if<ClientJoined>(&event)) {
      presence_.Join(joined->client, joined->role);
    } else if (const auto* lost = std::get_if<ClientLost>(&event)) {
      presence_.Lose(lost->client);
    } else if (const auto* timer = std::get_if<TimerFired>(&event)) {
      if (timer->timer == rejoin_timer_) presence_.Await({});
    } else if (const auto* cancel = std::get_if<CancelAsked>(&event)) {
      if (!cancelled_) cancelled_ = *cancel;
    }
  }

  /// What ends the run whenever no attempt is under way. Whether it did.
  bool HandleEnd(const Event& event, TimePoint now) {
    if (cancelled_) {
      EndCancelled(now);
      return true;
    }
    const auto* failed = std::get_if<DriverFailed>(&event);
    if (failed != nullptr) End(RunStatus::kFailed, failed->error, now);
    return failed != nullptr;
  }

  void HandleHistory(const Event& event, TimePoint now) {
    if (HandleEnd(event, now)) return;
    if (std::holds_alternative<ToldMore>(event)) TellMoreOfLeg(now);
  }

  void HandleWaiting(const Event& event, TimePoint now) {
    if (HandleEnd(event, now)) return;
    if (std::holds_alternative<ClientJoined>(event)) {
      if (!Ready()) return;
      if (where_ == Where::kPaused) {
        out_.emplace_back(ReportNote{"enough clients are present: going on"});
        try_ = 0;
      }
      Launch(now);
    } else if (const auto* timer = std::get_if<TimerFired>(&event)) {
      if (where_ == Where::kPaused) return;
      if (timer->timer == rejoin_timer_ && Ready()) {
        Launch(now);
      } else if (timer->timer == join_timer_) {
        JoinDeadlinePassed(now);
      }
    }
  }

  /// The leg's history is told, then it goes on where that ends.
  void BeginLeg(TimePoint now) {
    TellHistory(history_.Has(course().plans().experiment_id()));
    out_.emplace_back(ReportLeg{order_[leg_]});
    SetStateHash(course().facts().state_hash, course().facts().sent_hash);
    round_ = 1;
    tested_round_ = 0;
    warned_of_divergence_ = false;
    conduct_ = {};
    asked_ = {};
    spent_in_succession_ = 0;
    SetStep(rounds() > 0 ? Step::kTrain : Step::kValidate);
    leg_ended_ = false;
    TellMoreOfLeg(now);
  }

  /// A page of it: what is told has to be written before there is more.
  void TellMoreOfLeg(TimePoint now) {
    constexpr int kPage = 256;
    const ExperimentId& leg = course().plans().experiment_id();
    for (int told = 0; told < kPage && history_.Has(leg); ++told) {
      const AttemptRecord record = *history_.Next(leg);
      step_ = StepOf(record.key);
      if (step_ == Step::kTrain) round_ = record.key.round;
      leg_ended_ = Take(record);
    }
    if (history_.Has(leg)) {
      where_ = Where::kHistory;
      out_.emplace_back(TellMore{});
      return;
    }
    try_ = 0;
    if (leg_ended_) {
      EndLeg(now);
      return;
    }
    TellHistory(false);
    out_.emplace_back(StartLeg{order_[leg_], course().head(), state_hash_});
    if (interrupted_ && interrupted_->plan.key().experiment == course().plans().experiment_id()) {
      Resume(*std::exchange(interrupted_, std::nullopt), now);
    } else {
      BeginTry(now);
    }
  }

  void TellHistory(bool tell) {
    if (tell == telling_history_) return;
    telling_history_ = tell;
    if (tell) {
      out_.emplace_back(HistoryBegins{});
    } else {
      out_.emplace_back(HistoryEnds{order_[leg_], course().committed()});
    }
  }

  void SetStep(Step step) {
    step_ = step;
    try_ = 0;
    attempts_ = 0;
  }

  /// Clients that must be present before an attempt begins.
  std::size_t Wanted() const {
    return cohort_gathered_ ? needed() : experiment_.federation().cohort();
  }
  bool Ready() {
    if (!presence_.AllBack()) return false;
    return MustAskAgain() ? Absent().empty() : Pool().size() >= Wanted();
  }

  /// After a spent round the model is what it was, and sites answer it only to the same members:
  /// all of them are needed, also those who would sit out.
  bool MustAskAgain() { return step_ == Step::kTrain && asked_.All().size() >= needed(); }
  std::vector<ClientId> Absent() const { return asked_.Missing(presence_.training()); }

  /// Who may be asked: those present, without those who sit out.
  const Population& Pool() {
    const Population& present = presence_.For(step_, fewest());
    if (conduct_.nobody_sits_out()) return present;
    pool_ = {};
    for (const ClientId& client : present.All()) {
      if (!conduct_.SitsOut(client.value())) pool_.Add(client);
    }
    return pool_;
  }

  void BeginTry(TimePoint now) {
    if (step_ == Step::kTrain && account_ && !account_->Affords(charged_ + 1)) {
      budget_spent_ = true;
      if (course().head_round() == tested_round_) {
        EndLeg(now);
        return;
      }
      SetStep(Step::kValidate);
    }
    if (Ready()) {
      Launch(now);
      return;
    }
    where_ = Where::kWaiting;
    join_timer_ = tickets_.Next();
    out_.emplace_back(
        SetTimer{join_timer_, now + ToDuration(experiment_.federation().join_deadline())});
  }

  void JoinDeadlinePassed(TimePoint now) {
    const std::vector<ClientId> absent = MustAskAgain() ? Absent() : std::vector<ClientId>();
    if (!absent.empty()) {
      out_.emplace_back(ReportNote{
          Describe() + ": " + absent.front().value() +
          " is not here (federation.join_deadline), who was asked the same model in the spent "
          "round before: asking others. Sites that answered it then refuse, unless their files "
          "say secure_aggregation.same_model"});
    }
    const std::size_t present = Pool().size();
    const std::string figures =
        std::to_string(present) + " of " + std::to_string(Wanted()) +
        (step_ == Step::kTrain ? " training" : "") + " clients present after " +
        FormatDuration(Seconds(ToDuration(experiment_.federation().join_deadline())));
    if (present >= needed()) {
      out_.emplace_back(ReportNote{figures + ": going on with these"});
      Launch(now);
      return;
    }
    const Error error(ErrorCode::kFederationFailed,
                      Describe() + ": " + figures + " (federation.join_deadline), at least " +
                          std::to_string(needed()) +
                          " needed: start more clients, or lower federation.minimum_cohort");
    if (experiment_.federation().on_quorum_miss() == "pause") {
      Pause(error, now);
    } else {
      End(RunStatus::kFailed, error, now);
    }
  }

  void Launch(TimePoint now) {
    cohort_gathered_ = true;
    const Population& pool = Pool();
    const v1::Federation& federation = experiment_.federation();
    const bool trains = step_ == Step::kTrain;
    const bool again = MustAskAgain() && Absent().empty();
    const double asked = std::ceil(federation.cohort() * (1 + federation.over_selection()));
    const std::vector<ClientId> cohort =
        again    ? asked_.All()
        : trains ? DrawCohort(pool, static_cast<std::size_t>(asked), experiment_.seed(),
                              course().facts().name, round_)
                 : pool.All();
    Result<RoundPlan> plan = MakePlan();
    if (!plan.ok()) {
      End(RunStatus::kFailed, plan.error().WithContext(Describe()), now);
      return;
    }
    on_training_sites_ =
        step_ == Step::kTest && &presence_.For(step_, fewest()) == &presence_.training();
    Attempt attempt{
        .plan = *plan,
        .cohort = cohort,
        .minimum = static_cast<std::uint32_t>(again ? cohort.size() : needed()),
        .enough = trains && !again && federation.over_selection() > 0 ? federation.cohort() : 0,
        .population = static_cast<std::uint32_t>(presence_.training().size()),
        .report_deadline = ToDuration(federation.report_deadline())};
    if (!secure()) {
      Begin(MakePlainRoundEngine(std::move(attempt), tickets_), now);
      return;
    }
    SecureAttempt secured = Secured(std::move(attempt));
    if (again) {
      secured.groups = asked_.groups();
      out_.emplace_back(ReportNote{Describe() + " asks exactly the " +
                                   std::to_string(cohort.size()) +
                                   " clients of the spent round before: the model is the same"});
    }
    Begin(MakeSecureRoundEngine(std::move(secured), tickets_), now);
  }

  void Begin(std::unique_ptr<RoundEngine> attempt, TimePoint now) {
    where_ = Where::kAttempt;
    attempt_ = std::move(attempt);
    Forward(attempt_->Start(now), now);
  }

  /// What the process before this one had charged and not committed.
  void Resume(ChargedAttempt charged, TimePoint now) {
    const RoundKey& key = charged.plan.key();
    const std::uint64_t due = step_ == Step::kTrain ? round_ : course().head_round();
    if (!secure() || StepOf(key) != step_ || key.round != due ||
        charged.plan.parent() != course().head() || charged.plan.state_hash() != sent_hash()) {
      End(RunStatus::kFailed,
          Error(ErrorCode::kDataLoss, "store: the opening of " + key.ToString() +
                                          " does not follow from the journal: restore a backup"),
          now);
      return;
    }
    out_.emplace_back(ReportNote{"asking again for the opening of " + key.ToString() +
                                 ", which the coordinator's end interrupted"});
    on_training_sites_ = charged.attempt.on_training_sites;
    SecureAttempt attempt = Secured({.plan = charged.plan,
                                     .cohort = charged.attempt.cohort,
                                     .minimum = charged.minimum,
                                     .population = charged.population});
    attempt.charged = std::move(charged);
    Begin(MakeSecureRoundEngine(std::move(attempt), tickets_), now);
  }

  SecureAttempt Secured(Attempt attempt) {
    FEDMETA_CHECK(parties_.verifier != nullptr);
    const v1::SecureAggregation& keys = experiment_.privacy().secure_aggregation();
    const Digest model_hash = ModelHash(secure()->question, attempt.plan.message());
    return {.attempt = std::move(attempt),
            .settings = {.federation = parties_.federation,
                         .verifier = parties_.verifier,
                         .terms = secure()->terms,
                         .sessions = std::max<std::uint32_t>(1, keys.sessions()),
                         .phase_deadline = ToDuration(keys.phase_deadline())},
            .model_hash = model_hash};
  }

  /// Of the state as clients download it.
  const Digest& sent_hash() const { return sent_hash_ ? *sent_hash_ : state_hash_; }

  /// Attempt numbers count up over a round; those of an evaluation also tell its parts apart.
  Result<RoundPlan> MakePlan() {
    const PlanFactory& plans = course().plans();
    if (step_ == Step::kTrain) {
      return plans.Train(round_, attempts_ + 1, course().head(), sent_hash());
    }
    const bool test = step_ == Step::kTest;
    return plans.Evaluate(test ? v1::PART_TEST : v1::PART_VALIDATION, course().head_round(),
                          2 * attempts_ + (test ? 2 : 1), course().head(), sent_hash());
  }

  void Forward(std::vector<Instruction> instructions, TimePoint now) {
    for (Instruction& instruction : instructions) {
      if (auto* persist = std::get_if<Persist>(&instruction)) Complete(*persist);
      out_.push_back(std::move(instruction));
    }
    if (!attempt_->over()) return;
    const Status status = *attempt_->over();
    attempt_.reset();
    where_ = Where::kWaiting;
    if (!status.ok()) {
      End(RunStatus::kFailed, status.error().WithContext(Describe()), now);
      return;
    }
    AttemptRecord& record = *outcome_;
    record.state_hash = state_hash_;
    record.sent_hash = sent_hash_;
    const bool ended = Take(record);
    if (record.spent) {
      PassSpent(record, ended, now);
    } else if (!record.committed) {
      Retry(record.reason, now);
    } else if (cancelled_) {
      EndCancelled(now);
    } else if (ended) {
      EndLeg(now);
    } else {
      BeginTry(now);
    }
  }

  /// What the round engine does not know of its records.
  void Complete(Persist& persist) {
    if (persist.charge) persist.charge->attempt.on_training_sites = on_training_sites_;
    if (persist.outcome) {
      course().CountBytes(persist.plan, *persist.outcome);
      if (persist.record == Record::kCommitRound && account_) {
        // A masked sum was charged before it was opened.
        if (!secure()) persist.cost = Release(persist.plan.key());
        persist.outcome->epsilon = account_->Epsilon(charged_);
      }
      persist.outcome->on_training_sites = on_training_sites_;
      outcome_ = persist.outcome;
    } else if (persist.record == Record::kBeginAttempt) {
      persist.presence = presence_.TakeChanged();
    } else if (persist.record == Record::kChargePrivacy && account_ && step_ == Step::kTrain) {
      persist.cost = Release(persist.plan.key());
    }
  }

  /// What has been spent with this attempt's release. The groups of one attempt have no client in
  /// common, so that all their sums together cost what one does.
  PrivacyCost Release(const RoundKey& attempt) {
    if (released_ != attempt) ++charged_;
    released_ = attempt;
    return {account_->Epsilon(charged_), account_->delta()};
  }

  /// An attempt is over, now or in the history: what it brought is taken in, and the step that
  /// follows is set. True: the leg is over.
  bool Take(const AttemptRecord& record) {
    attempts_ = step_ == Step::kTrain ? record.key.attempt : (record.key.attempt + 1) / 2;
    conduct_.Take(record);
    if (step_ == Step::kTrain) {
      asked_.Take(record);
      RoundRecord line = course().TakeTraining(record);
      if (record.committed) SetStateHash(record.state_hash, record.sent_hash);
      WarnOfDivergence(line.metrics);
      out_.emplace_back(ReportRound{std::move(line)});
    }
    if (record.spent) return TakeSpent();
    if (!record.committed) return false;
    switch (step_) {
      case Step::kTrain:
        spent_in_succession_ = 0;
        if (EvaluationDue()) {
          SetStep(Step::kValidate);
        } else {
          TrainNext();
        }
        return false;
      case Step::kValidate:
        TakeValidation(record.result);
        SetStep(Step::kTest);
        return false;
      case Step::kTest:
        break;
    }
    tested_on_training_sites_ = record.on_training_sites;
    ReportResult(true, record.result);
    course().TakeTest(record.result, small_groups_);
    tested_round_ = course().head_round();
    if (rounds_used()) return true;
    TrainNext();
    return false;
  }

  void TrainNext() {
    round_ = course().next_round();
    SetStep(Step::kTrain);
  }

  /// Its members have opened it and will not do so again: that round is not asked again.
  bool TakeSpent() {
    const bool trained = step_ == Step::kTrain;
    if (trained) ++spent_in_succession_;
    if (!rounds_used()) {
      TrainNext();
      return false;
    }
    if (!trained || course().head_round() == tested_round_) return true;
    SetStep(Step::kValidate);
    return false;
  }

  void WarnOfDivergence(const MetricSums& metrics) {
    if (metrics.diverged_tasks <= kDivergedWarning * metrics.tasks || warned_of_divergence_) return;
    warned_of_divergence_ = true;
    out_.emplace_back(ReportNote{
        Describe() + ": " + FormatNumber(metrics.diverged_tasks) + " of " +
        FormatNumber(metrics.tasks) +
        " tasks diverged in the inner loop and were left out: lower inner_learning_rate"});
  }

  void Retry(const std::string& reason, TimePoint now) {
    if (cancelled_) {
      EndCancelled(now);
      return;
    }
    const std::string& policy = experiment_.federation().on_quorum_miss();
    const std::uint32_t tries = policy == "fail" ? 1 : experiment_.federation().retries() + 1;
    ++try_;
    if (try_ < tries) {
      out_.emplace_back(ReportNote{Describe() + " missed its quorum (" + reason + "): attempt " +
                                   std::to_string(try_ + 1) + " of " + std::to_string(tries)});
      BeginTry(now);
      return;
    }
    const Error error(ErrorCode::kFederationFailed,
                      Describe() + " failed in " + std::to_string(tries) +
                          (tries == 1 ? " attempt: " : " attempts: ") + reason);
    if (policy == "pause") {
      Pause(error, now);
    } else {
      End(RunStatus::kFailed, error, now);
    }
  }

  void PassSpent(const AttemptRecord& record, bool ended, TimePoint now) {
    const std::string what = "opened without a usable sum (" + record.reason + ")";
    if (cancelled_) {
      EndCancelled(now);
    } else if (spent_in_succession_ >= kSpentAtMost) {
      End(RunStatus::kFailed,
          Error(ErrorCode::kFederationFailed,
                std::to_string(spent_in_succession_) + " rounds in succession were " + what),
          now);
    } else if (ended && StepOf(record.key) != Step::kTrain) {
      End(RunStatus::kFailed,
          Error(ErrorCode::kFederationFailed, "the last evaluation was " + what), now);
    } else {
      out_.emplace_back(
          ReportNote{record.key.ToString() + " was " + what + ": going on without it"});
      ended ? EndLeg(now) : BeginTry(now);
    }
  }

  void Pause(const Error& reason, TimePoint now) {
    where_ = Where::kPaused;
    paused_because_ = reason;
    out_.emplace_back(ReportNote{"paused: " + reason.message()});
    out_.emplace_back(ReportPause{Summary(RunStatus::kPaused, reason, now)});
  }

  bool EvaluationDue() {
    const std::uint64_t every = experiment_.evaluation().every();
    const std::uint64_t committed = course().committed();
    return rounds_used() || (every > 0 && committed % every == 0);
  }

  void ReportResult(bool holdout, const RoundResult& result) {
    out_.emplace_back(
        ReportEvaluation{order_[leg_], course().Records(course().head_round(), holdout, result)});
  }

  void TakeValidation(const RoundResult& result) {
    ReportResult(false, result);
    const std::uint64_t round = course().head_round();
    const bool improved = course().TakeValidation(round, result.metrics);
    const LegFacts& facts = course().facts();
    if (facts.main) {
      const std::string prefix = main_legs_ > 1 ? facts.name + "-" : "";
      Checkpoint(prefix + "round-" + std::to_string(round));
    }
    if (!improved || !standings_.Take(leg_, course())) return;
    Checkpoint(facts.main ? "best" : "baseline-" + facts.method);
  }

  void Checkpoint(const std::string& name) {
    out_.emplace_back(ReportCheckpoint{order_[leg_], name, course().Metadata(course().head_round()),
                                       state_hash_});
  }

  void EndLeg(TimePoint now) {
    if (course().facts().main && standings_.best_main() == leg_) Checkpoint("final");
    if (cancelled_) {
      EndCancelled(now);
    } else if (leg_ + 1 < courses_.size()) {
      ++leg_;
      BeginLeg(now);
    } else if (budget_spent_) {
      End(RunStatus::kBudgetSpent, BudgetSpent(), now);
    } else {
      End(RunStatus::kCompleted, {}, now);
    }
  }

  Error BudgetSpent() const {
    return {ErrorCode::kPermissionDenied,
            "the privacy budget is spent: " + std::to_string(charged_) + " releases cost epsilon " +
                FormatNumber(account_->Epsilon(charged_)) + " at delta " +
                FormatNumber(account_->delta()) + ", another would pass " +
                FormatNumber(account_->budget()->epsilon()) + " at delta " +
                FormatNumber(account_->budget()->delta()) +
                " (privacy.differential_privacy.budget); everything up to there is saved"};
  }

  void EndCancelled(TimePoint now) {
    if (where_ == Where::kPaused) {
      End(RunStatus::kPaused, *paused_because_, now);
    } else {
      End(cancelled_->interrupted ? RunStatus::kInterrupted : RunStatus::kCancelled,
          Error(ErrorCode::kCancelled, cancelled_->reason), now);
    }
  }

  RunSummary Summary(RunStatus status, const Status& reason, TimePoint now) const {
    RunSummary summary = Summarize(courses_, standings_.best_main());
    summary.status = status;
    if (!reason.ok()) summary.reason = reason.error().message();
    summary.wall_s = wall_before_s_ + Seconds(now - started_);
    summary.tested_on_training_sites = tested_on_training_sites_;
    summary.privacy = DescribePrivacy(experiment_, account_, charged_);
    return summary;
  }

  void End(RunStatus status, Status reason, TimePoint now) {
    TellHistory(false);
    where_ = Where::kFinished;
    out_.emplace_back(Finish{Summary(status, reason, now), std::move(reason)});
  }

  /// "fashion/maml round 12", "fashion/maml validation after round 12".
  std::string Describe() {
    const std::string leg = course().plans().experiment_id().value();
    if (step_ == Step::kTrain) return leg + " round " + std::to_string(round_);
    return leg + (step_ == Step::kTest ? " test" : " validation") + " after round " +
           std::to_string(course().head_round());
  }

  const v1::Experiment experiment_;
  const SmallGroups small_groups_;
  const SecureParties parties_;
  std::vector<std::size_t> order_;  // position in the run -> leg as given
  std::vector<LegCourse> courses_;  // in the order of the run
  std::size_t main_legs_ = 0;
  Presence presence_;
  Tickets tickets_;

  // Of a run that goes on.
  RunHistory history_;
  bool leg_ended_ = false;  // by what was told of it
  std::optional<ChargedAttempt> interrupted_;
  bool telling_history_ = false;
  std::uint64_t rejoin_timer_ = 0;
  double wall_before_s_ = 0;

  Where where_ = Where::kNotStarted;
  TimePoint started_{};
  std::optional<Error> paused_because_;
  std::optional<CancelAsked> cancelled_;
  bool tested_on_training_sites_ = false;
  bool cohort_gathered_ = false;
  std::uint64_t join_timer_ = 0;

  std::size_t leg_ = 0;
  Digest state_hash_;
  std::optional<Digest> sent_hash_;  // where clients download another form
  std::uint64_t round_ = 1;
  Step step_ = Step::kTrain;
  std::uint32_t try_ = 0;       // of federation.retries + 1
  std::uint32_t attempts_ = 0;  // numbers used, at this step
  bool warned_of_divergence_ = false;
  std::uint64_t tested_round_ = 0;  // of the leg, at its last test
  SecureConduct conduct_;
  AskedMembers asked_;
  Population pool_;  // of the latest Pool(), where somebody sits out
  std::uint32_t spent_in_succession_ = 0;
  std::unique_ptr<RoundEngine> attempt_;
  bool on_training_sites_ = false;        // of the attempt: a test without hold-outs
  std::optional<AttemptRecord> outcome_;  // as it was given out to be persisted

  std::optional<PrivacyAccount> account_;
  std::uint64_t charged_ = 0;         // releases, all legs together
  std::optional<RoundKey> released_;  // attempt of the last one
  bool budget_spent_ = false;

  Standings standings_;
  std::vector<Instruction> out_;
};

ExperimentEngine::ExperimentEngine(const v1::Experiment& experiment, std::vector<LegFacts> legs,
                                   SmallGroups small_groups, SecureParties parties)
    : implementation_(std::make_unique<Implementation>(experiment, std::move(legs), small_groups,
                                                       std::move(parties))) {}
ExperimentEngine::~ExperimentEngine() = default;

std::vector<Instruction> ExperimentEngine::Start(TimePoint now) {
  return implementation_->Start(now);
}
std::vector<Instruction> ExperimentEngine::Handle(const Event& event, TimePoint now) {
  return implementation_->Handle(event, now);
}
void ExperimentEngine::SetStateHash(const Digest& digest, const std::optional<Digest>& sent) {
  implementation_->SetStateHash(digest, sent);
}
Status ExperimentEngine::Restore(RunHistory history, std::vector<ClientId> present,
                                 std::uint64_t charged, std::optional<ChargedAttempt> interrupted) {
  return implementation_->Restore(std::move(history), std::move(present), charged,
                                  std::move(interrupted));
}
void ExperimentEngine::ChargeFurther(std::uint64_t releases) {
  implementation_->ChargeFurther(releases);
}
bool ExperimentEngine::paused() const { return implementation_->paused(); }
bool ExperimentEngine::finished() const { return implementation_->finished(); }
std::string_view ExperimentEngine::phase() const { return implementation_->phase(); }

}  // namespace fedmeta

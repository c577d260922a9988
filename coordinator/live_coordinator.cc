#include "fedmeta/coordinator/live_coordinator.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <malloc.h>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/coordinator/offer.h"
#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/coordinator/published_blobs.h"
#include "fedmeta/coordinator/round_worker.h"
#include "fedmeta/coordinator/round_writer.h"
#include "fedmeta/coordinator/run_recorder.h"
#include "fedmeta/coordinator/session_table.h"
#include "fedmeta/coordinator/told_charges.h"
#include "fedmeta/coordinator/upload_staging.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/phases.h"

namespace fedmeta {
namespace {

namespace asio = boost::asio;

// How finely timers, held polls and silence are looked at.
constexpr auto kTick = std::chrono::milliseconds(50);
// For countersignatures of the record's end, once everybody has heard that all is done.
constexpr Duration kCountersigning{5'000};
constexpr std::size_t kLongestReason = 300;
constexpr std::uint64_t kMebibyte = 1024 * 1024;

/// A peer's words, fit for records and terminals.
std::string Printable(const std::string& text) {
  std::string clean = text.substr(0, kLongestReason);
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return clean;
}

std::string RoleText(v1::Role role) {
  if (role == v1::ROLE_VALIDATION) return " (validation)";
  return role == v1::ROLE_HOLDOUT ? " (holdout)" : "";
}

/// Threads: `io_` has one and is the strand of the engine; the store and the observer share one, so
/// that what they hear keeps its order; the worker has one. What gRPC's threads touch (sessions,
/// staging, blobs) guards itself.
class Live final : public LiveCoordinator {
 public:
  Live(Options options, OpenedRun run, RoundStore& store, RunObserver& observer, const Clock& clock,
       Logger& logger)
      : options_(std::move(options)),
        offer_(options_.experiment, options_.legs),
        lost_after_(ToDuration(options_.experiment.federation().lost_after())),
        observer_(observer),
        clock_(clock),
        logger_(logger),
        sessions_({.data_name = options_.experiment.data().name(),
                   .maximum_sessions = options_.limits.connections(),
                   .lost_after = lost_after_,
                   .secure = SecureFactsOf(options_.legs.front()).has_value()}),
        staging_({.slots = std::max<std::size_t>(1, options_.limits.staging_slots()),
                  .staged =
                      [this](const RoundKey& key, const ClientId& client, std::uint32_t slot,
                             const Digest& digest) {
                        // Of a session, the receipt is the answer.
                        if (key.session == 0) sessions_.Answered(client, key);
                        Post(UploadStaged{key, client, slot, digest});
                      },
                  .heard = [this](const ClientId& client) { Heard(client); }}),
        worker_(options_.legs, options_.registry, options_.experiment.federation().rounds()),
        writer_(store, run.lease, worker_),
        recorder_(options_.legs, options_.experiment.federation().rounds(), store, run.lease,
                  observer),
        engine_(options_.experiment, FactsOf(options_.legs), SmallGroups::kHide, options_.parties) {
    told_bounds_.rounds = options_.experiment.federation().rounds();
    told_bounds_.retries = options_.experiment.federation().retries();
    for (const Leg& leg : options_.legs) {
      told_bounds_.legs.insert(LegId(options_.experiment, leg.name));
      const std::optional<LegFacts::Secure> secure = SecureFactsOf(leg);
      terms_.emplace(LegId(options_.experiment, leg.name),
                     secure ? std::optional(secure->terms) : std::nullopt);
    }
    sessions_.Remember(run.history.last_counted(), run.present);
    restored_ = engine_.Restore(std::move(run.history), std::move(run.present), run.charged,
                                std::move(run.interrupted));
  }

  ~Live() override {
    sessions_.Shut(Error(ErrorCode::kUnavailable, "the coordinator stops"));
    io_.stop();
    if (io_thread_.joinable()) io_thread_.join();
    store_pool_.join();
    work_pool_.join();
  }

  const Status& restored() const { return restored_; }

  void Start() override {
    io_thread_ = std::thread([this] { io_.run(); });
    asio::post(io_, [this] {
      Execute(engine_.Start(clock_.Now()));
      if (const Status fits = CheckSizes(); !fits.ok()) Fail(fits.error());
      Tick();
    });
  }

  Vitals vitals() const override {
    return {.clients = sessions_.Present(), .staging_slots_in_use = staging_.slots_in_use()};
  }

  void Probe(std::function<void()> answered) override { asio::post(io_, std::move(answered)); }

  void Cancel(const std::string& reason, bool interrupted) override {
    Post(CancelAsked{reason, interrupted});
  }

  Result<RunSummary> Wait(int farewell_ms) override {
    std::unique_lock lock(outcome_mutex_);
    outcome_changed_.wait(lock, [this] { return outcome_.has_value(); });
    outcome_changed_.wait_for(lock, std::chrono::milliseconds(farewell_ms),
                              [this] { return farewell_heard_; });
    if (options_.audit != nullptr) NoteUncountersigned();
    return *outcome_;
  }

  // CoordinatorEndpoint, on gRPC's threads.

  void Join(const ClientId& client, const v1::ClientHello& hello, Done<v1::Welcome> done) override {
    Result<SessionTable::Joined> joined = TakeIn(client, hello);
    if (!joined.ok()) {
      logger_.Log(LogLevel::kWarning, "join_refused",
                  {{"client", client.value()}, {"reason", joined.error().message()}});
      if (joined.error().code() == ErrorCode::kPermissionDenied) {
        Audit([why = client.value() + ": " + joined.error().message()](AuditLog& audit) {
          return audit.TurnedAway(why);
        });
      }
      done(joined.error());
      return;
    }
    asio::post(io_, [this, client, role = joined->role, back = joined->known_before,
                     ready = joined->ready] {
      Note(client.value() + (back ? " is back" : " joined") + RoleText(role));
      if (ready) Execute(engine_.Handle(ClientJoined{client, role}, clock_.Now()));
    });
    joined->welcome.set_offer(offer_.bytes());
    joined->welcome.set_epoch(options_.epoch);
    joined->welcome.set_endorsement(options_.endorsement);
    if (options_.audit != nullptr) options_.audit->Seen(client, hello.audit_place());
    done(std::move(joined->welcome));
  }

  void Next(const ClientId& client, const v1::NextRequest& request,
            Done<v1::Instruction> done) override {
    // What is late or unknown in it is the coordinator's news, which the instruction brings.
    if (request.has_report()) [[maybe_unused]]
      const Status taken = Take(client, request.report());
    if (options_.audit == nullptr) {
      sessions_.Next(client, request, clock_.Now(), std::move(done));
      return;
    }
    if (!request.countersignature().empty()) {
      if (const Status good = options_.audit->Countersigned(client, request.countersignature());
          !good.ok()) {
        logger_.Log(LogLevel::kWarning, "countersignature_refused",
                    {{"client", client.value()}, {"reason", good.error().message()}});
      }
    }
    sessions_.Next(client, request, clock_.Now(),
                   [audit = options_.audit, client,
                    done = std::move(done)](Result<v1::Instruction> instruction) {
                     if (instruction.ok()) instruction->set_audit_head(audit->HeadFor(client));
                     done(std::move(instruction));
                   });
  }

  void Send(const ClientId& client, const v1::Report& report,
            Done<v1::Acknowledgement> done) override {
    const Status status = Take(client, report);
    if (status.ok()) {
      done(v1::Acknowledgement());
    } else {
      done(status.error());
    }
  }

  Result<std::shared_ptr<const Bytes>> FindBlob(const ClientId& client,
                                                const Digest& digest) override {
    if (sessions_.Has(client)) {
      if (auto assignment = offer_.FindAssignment(digest)) return assignment;
    }
    if (sessions_.MayDownload(client, digest)) {
      if (auto blob = blobs_.Find(digest)) return blob;
    }
    return Error(ErrorCode::kNotFound, "no plan of this client names blob " + digest.hex());
  }

  Result<v1::UploadPosition> UploadStatus(const ClientId& client,
                                          const v1::UploadHeader& header) override {
    return staging_.Position(client, header);
  }

  void OpenUpload(const ClientId& client, const v1::UploadHeader& header,
                  Done<std::shared_ptr<UploadSink>> done) override {
    staging_.Open(client, header, std::move(done));
  }

  void Heard(const ClientId& client) override { sessions_.Heard(client, clock_.Now()); }
  void Gone(const ClientId& client) override { sessions_.Gone(client); }

 private:
  void NoteUncountersigned() {
    std::vector<std::string> names;
    for (const ClientId& client : options_.audit->Uncountersigned(sessions_.Clients()))
      names.push_back(client.value());
    if (names.empty()) return;
    logger_.Log(LogLevel::kWarning, "end_not_countersigned",
                {{"clients", fedmeta::Join(names, ", ")}});
  }

  Status Take(const ClientId& client, const v1::Report& report) {
    Heard(client);
    FEDMETA_RETURN_IF_ERROR(sessions_.Progress(client, Printable(report.progress().phase())));
    if (report.has_failed()) return TakeFailure(client, report);
    if (report.has_phase()) return TakePhase(client, report);
    if (report.has_declined()) return TakeDecline(client, report);
    if (report.has_ready()) return TakeReady(client, report.ready());
    return {};
  }

  Status TakeFailure(const ClientId& client, const v1::Report& report) {
    FEDMETA_ASSIGN_OR_RETURN(RoundKey key, FromMessage(report.key()));
    sessions_.Answered(client, key);
    const std::string phase = sessions_.phase(client);
    Post(ClientFailed{std::move(key), client, phase.empty() ? "client" : phase,
                      Printable(report.failed().code() + ": " + report.failed().reason())});
    return {};
  }

  Result<SessionTable::Joined> TakeIn(const ClientId& client, const v1::ClientHello& hello) {
    FEDMETA_RETURN_IF_ERROR(offer_.CheckParticipant(client));
    return sessions_.Join(client, hello, clock_.Now());
  }

  Status TakeReady(const ClientId& client, const v1::Ready& ready) {
    FEDMETA_ASSIGN_OR_RETURN(std::vector<ToldCharge> told,
                             ReadToldCharges(ready.charged(), told_bounds_));
    FEDMETA_ASSIGN_OR_RETURN(const std::optional<v1::Role> role, sessions_.SetReady(client, true));
    if (!role) return {};
    Audit([client](AuditLog& audit) { return audit.Stood(client, ""); });
    const auto joined = [this, client, role = *role] {
      Note(client.value() + " takes part");
      Execute(engine_.Handle(ClientJoined{client, role}, clock_.Now()));
    };
    if (told.empty() || options_.audit == nullptr) {
      asio::post(io_, joined);
      return {};
    }
    // Nothing is asked of the site before what it was charged for counts.
    asio::post(store_thread_, [this, client, told = std::move(told), joined] {
      Result<std::uint64_t> further = options_.audit->Told(client, told);
      asio::post(io_, [this, client, further = std::move(further), joined] {
        if (!further.ok()) return Fail(further.error());
        if (*further > 0) {
          engine_.ChargeFurther(*further);
          Note(client.value() + " was charged for " + std::to_string(*further) +
               " releases that the restored store does not have: they count");
        }
        joined();
      });
    });
    return {};
  }

  /// Of one attempt, or, with round 0, of everything until the client says that it is ready.
  Status TakeDecline(const ClientId& client, const v1::Report& report) {
    const v1::Declined& declined = report.declined();
    const std::string rule = Printable(declined.rule());
    if (report.key().round() > 0) {
      FEDMETA_ASSIGN_OR_RETURN(RoundKey key, FromMessage(report.key()));
      sessions_.Answered(client, key);
      Post(ClientFailed{std::move(key), client, "declined", rule});
      return {};
    }
    FEDMETA_RETURN_IF_ERROR(sessions_.SetReady(client, false));
    Audit([client, rule](AuditLog& audit) { return audit.Stood(client, rule); });
    const std::string reason = Printable(declined.reason());
    const std::string text = (declined.pending() ? "waiting for " : "without ") + client.value() +
                             ": " + rule + (reason.empty() ? "" : ", " + reason);
    asio::post(io_, [this, client, text] {
      Note(text);
      Execute(engine_.Handle(ClientLost{client, text}, clock_.Now()));
    });
    return {};
  }

  Status TakePhase(const ClientId& client, const v1::Report& report) {
    FEDMETA_ASSIGN_OR_RETURN(RoundKey key, FromMessage(report.key()));
    const v1::PhaseReply& reply = report.phase();
    if (reply.phase() == kTrainedPhase) {
      sessions_.Answered(client, key);
    } else {
      sessions_.AnsweredPhase(client, key, reply.phase());
    }
    Post(PhaseReplied{std::move(key), client, reply.phase(), reply.body()});
    return {};
  }

  Status CheckSizes() const {
    const std::uint64_t most = options_.limits.model_mib() * kMebibyte;
    for (const Leg& leg : options_.legs) {
      const std::uint64_t size = leg.layout.size() * sizeof(float);
      if (size > most) {
        return Error(ErrorCode::kInvalidArgument,
                     "limits.model_mib is " + std::to_string(options_.limits.model_mib()) +
                         ", the state of " + leg.name + " has " + FormatBytes(size) + ": raise it");
      }
    }
    return {};
  }

  void Post(Event event) {
    asio::post(io_,
               [this, event = std::move(event)] { Execute(engine_.Handle(event, clock_.Now())); });
  }

  // The rest runs on io_, unless a comment says otherwise.

  void Tick() {
    const TimePoint now = clock_.Now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
      const TimerFired fired{timers_.begin()->second};
      timers_.erase(timers_.begin());
      Execute(engine_.Handle(fired, now));
    }
    for (const SessionTable::Lost& lost : sessions_.Tick(now)) {
      const std::string reason = "silent for " + FormatDuration(Seconds(lost_after_)) +
                                 (lost.phase.empty() ? "" : " while " + lost.phase);
      Note(lost.client.value() + " lost: " + reason);
      Execute(engine_.Handle(ClientLost{lost.client, reason}, now));
    }
    if (engine_.finished() && sessions_.AllHeardFarewell()) NoteFarewellHeard(now);
    tick_.expires_after(kTick);
    tick_.async_wait([this](const boost::system::error_code& error) {
      if (!error) Tick();
    });
  }

  /// Who has heard it may still countersign the record's end; older clients do not.
  void NoteFarewellHeard(TimePoint now) {
    if (!heard_at_) heard_at_ = now;
    if (options_.audit != nullptr && now - *heard_at_ < kCountersigning &&
        !options_.audit->Uncountersigned(sessions_.Clients()).empty()) {
      return;
    }
    const std::lock_guard lock(outcome_mutex_);
    farewell_heard_ = true;
    outcome_changed_.notify_all();
  }

  void Execute(const std::vector<Instruction>& instructions) {
    for (const Instruction& instruction : instructions) {
      std::visit([this](const auto& what) { Do(what); }, instruction);
    }
  }

  void Do(const StartLeg& what) {
    const ExperimentId id = LegId(options_.experiment, options_.legs[what.leg].name);
    asio::post(store_thread_, [this, what, id] {
      asio::post(work_, [this, index = what.leg, saved = writer_.Load(what, id)] {
        leg_status_ = saved.ok() ? worker_.StartLeg(index, *saved) : saved.error();
        if (leg_status_.ok()) PublishState();
      });
    });
  }

  void Do(const SendPlan& what) {
    // Under secure aggregation uploads belong to sessions.
    if (!Terms(what.plan)) Expect(what.plan, what.plan.key(), what.clients);
    sessions_.GivePlan(what.clients, what.plan);
  }

  void Do(const ExpectUploads& what) { Expect(what.plan, what.key, what.clients); }

  void Do(const SendPhase& what) {
    v1::PhaseRequest request;
    *request.mutable_key() = ToMessage(what.key);
    request.set_group(what.group);
    request.set_phase(what.phase);
    request.set_body(what.body);
    sessions_.GivePhase(what.clients, request);
  }

  void Do(const EndSession& what) {
    for (const ClientId& client : what.clients) staging_.Close(what.key, client, what.reason);
  }

  void Expect(const RoundPlan& plan, const RoundKey& key, const std::vector<ClientId>& clients) {
    staging_.Expect(plan, key, clients, UploadSize(plan.message(), Terms(plan)));
  }

  /// Of the plan's leg.
  const std::optional<v1::SecureTerms>& Terms(const RoundPlan& plan) const {
    return terms_.at(plan.key().experiment);
  }

  void Do(const CloseFor& what) {
    for (const ClientId& client : what.clients) staging_.Close(what.key, client, what.reason);
    sessions_.Close(what.clients, what.key, what.counted, what.reason);
  }

  void Do(const SetTimer& what) { timers_.emplace(what.at, what.timer); }

  void Do(const Persist& what) {
    if (what.record == Record::kChargePrivacy) {
      Charge(what);
      return;
    }
    if (what.record == Record::kResumeAttempt) {
      Resume(what);
      return;
    }
    asio::post(store_thread_, [this, what] {
      const TimePoint began = clock_.Now();
      Result<Digest> written = writer_.Write(what);
      if (const Status recorded = Recorded(what, written); !recorded.ok())
        written = recorded.error();
      if (options_.stored) options_.stored(clock_.Now() - began, written.ok());
      asio::post(work_, [this, what, written = std::move(written)] {
        Status status = written.ok() ? Status() : written.error();
        if (what.record == Record::kAbandonAttempt) worker_.Abandon();
        if (status.ok() && what.record == Record::kBeginAttempt) {
          status = leg_status_.ok() ? worker_.BeginAttempt(what.plan, what.cohort) : leg_status_;
        }
        if (status.ok() && what.record == Record::kCommitRound) {
          worker_.Commit(*written);
          PublishState();
          asio::post(io_, [this, hash = worker_.state_hash(), sent = worker_.sent_hash()] {
            engine_.SetStateHash(hash, sent);
          });
        }
        Post(StoreFinished{what.ticket, std::move(status)});
      });
      if (what.record == Record::kBeginAttempt) writer_.Tidy();
    });
  }

  /// On the store thread: no commit without its entry in the audit, and no entry before it.
  Status Recorded(const Persist& what, const Result<Digest>& written) {
    if (options_.audit == nullptr || !written.ok()) return {};
    if (what.record == Record::kBeginAttempt)
      return options_.audit->AttemptBegan(what.plan, what.cohort);
    AttemptRecord outcome = *what.outcome;
    outcome.state_hash = *written;
    return options_.audit->AttemptEnded(outcome, what.plan.hash(), what.cost);
  }

  /// Adds to the audit on the store thread; a failure ends the run.
  void Audit(std::function<Status(AuditLog&)> add) {
    if (options_.audit == nullptr) return;
    Observe([audit = options_.audit, add = std::move(add)] { return add(*audit); });
  }

  /// The masked sum is the worker's, the store has a thread of its own.
  void Charge(const Persist& what) {
    asio::post(work_, [this, what] {
      const auto sum = worker_.masked_sum(what.charge->group);
      asio::post(store_thread_, [this, what, masked = Bytes(sum.begin(), sum.end())] {
        Status charged = writer_.Charge(what, masked);
        if (charged.ok() && options_.audit != nullptr)
          charged = options_.audit->Opening(what.plan, *what.charge, what.cost);
        Post(StoreFinished{what.ticket, std::move(charged)});
      });
    });
  }

  void Resume(const Persist& what) {
    asio::post(store_thread_, [this, what] {
      asio::post(work_, [this, what, sums = writer_.MaskedSums(what.plan.key())] {
        Post(StoreFinished{what.ticket, TakeUp(what, sums)});
      });
    });
  }

  /// On the work thread.
  Status TakeUp(const Persist& what, const Result<RoundWriter::Sums>& sums) {
    FEDMETA_RETURN_IF_ERROR(leg_status_);
    if (!sums.ok()) return sums.error();
    FEDMETA_RETURN_IF_ERROR(worker_.BeginAttempt(what.plan, what.cohort));
    for (const auto& [group, sum] : *sums)
      FEDMETA_RETURN_IF_ERROR(worker_.AddMasked(group.group, group.session, sum));
    return {};
  }

  void Do(const RunWork& what) {
    if (what.work == Work::kUnmask) {
      asio::post(work_, [this, what] {
        Post(WorkFinished{what.ticket,
                          worker_.Unmask(what.group, what.reported, *what.self_mask_keys),
                          std::nullopt});
      });
      return;
    }
    if (what.work == Work::kCloseRound) {
      asio::post(work_, [this, what] {
        Result<RoundResult> result = worker_.Close(what.plan, what.reported, what.population);
        if (result.ok()) {
          Post(WorkFinished{what.ticket, {}, std::move(result).value()});
        } else {
          Post(WorkFinished{what.ticket, result.error(), std::nullopt});
        }
      });
      return;
    }
    const bool discloses = sessions_.Discloses(what.client);
    asio::post(work_, [this, what, discloses, payload = staging_.Take(what.slot)] {
      Status status = what.session > 0 ? worker_.AddMasked(what.group, what.session, payload)
                                       : worker_.AddUpload(what.client, discloses, payload);
      staging_.Free(what.slot);
      Post(WorkFinished{what.ticket, std::move(status), std::nullopt});
    });
  }

  void Do(const ReportCheckpoint& what) {
    Observe([this, what, state = blobs_.state()] { return recorder_.Record(what, state); });
  }

  void Do(const HistoryEnds& what) {
    Observe([this, what] {
      const Status status = recorder_.Record(what);
      // What reading a long history took lies in holes that malloc would keep for ever.
      malloc_trim(0);
      return status;
    });
  }
  /// Behind the lines told so far: no more of them are in memory than one page.
  void Do(const TellMore&) {
    asio::post(store_thread_, [this] { Post(ToldMore{}); });
  }
  /// HistoryBegins, ReportRound, ...: for the records.
  template <typename Report>
  void Do(const Report& what) {
    Observe([this, what] { return recorder_.Record(what); });
  }

  void Do(const ReportNote& what) { Note(what.text); }

  void Do(const Finish& what) {
    asio::post(store_thread_, [this, what] {
      // The record's end first, so that clients countersign it as they leave.
      Status recorded;
      if (options_.audit != nullptr) {
        recorded = options_.audit->Ended(RunStatusName(what.summary.status), sessions_.Clients());
      }
      asio::post(io_, [this, what] { SayFarewell(what); });
      Result<RunSummary> outcome = what.summary;
      const bool environment = what.summary.status == RunStatus::kFailed &&
                               what.status.error().code() != ErrorCode::kFederationFailed;
      if (environment) outcome = what.status.error();
      Status written = observer_.Finished(what.summary);
      if (written.ok()) written = std::move(recorded);
      if (!environment && !written.ok()) outcome = written.error();
      const std::lock_guard lock(outcome_mutex_);
      outcome_ = std::move(outcome);
      outcome_changed_.notify_all();
    });
  }

  void SayFarewell(const Finish& what) {
    v1::Closed farewell;
    farewell.set_all_done(true);
    farewell.set_failed(what.summary.status == RunStatus::kFailed);
    farewell.set_reason(what.summary.reason);
    sessions_.Farewell(farewell);
  }

  void Note(const std::string& text) {
    logger_.Log(LogLevel::kInfo, "note", {{"text", text}});
    Observe([this, text] { return observer_.Note(text); });
  }

  /// Calls the observer on the store thread, in order; its error ends the run.
  template <typename Call>
  void Observe(Call call) {
    asio::post(store_thread_, [this, call = std::move(call)] {
      if (const Status status = call(); !status.ok()) {
        asio::post(io_, [this, error = status.error()] { Fail(error); });
      }
    });
  }

  void Fail(const Error& error) {
    if (environment_) return;
    environment_ = error;
    logger_.Log(LogLevel::kError, "run_failed", {{"reason", error.message()}});
    Execute(engine_.Handle(DriverFailed{error}, clock_.Now()));
  }

  /// On the work thread.
  void PublishState() {
    blobs_.SetState(worker_.state(), worker_.sent(),
                    worker_.sent_hash().value_or(worker_.state_hash()));
  }

  const Options options_;
  const ExperimentOffer offer_;
  const Duration lost_after_;
  std::map<ExperimentId, std::optional<v1::SecureTerms>> terms_;  // by leg
  ToldBounds told_bounds_;
  RunObserver& observer_;
  const Clock& clock_;
  Logger& logger_;

  SessionTable sessions_;
  UploadStaging staging_;
  RoundWorker worker_;    // work thread
  Status leg_status_;     // work thread
  RoundWriter writer_;    // store thread
  RunRecorder recorder_;  // store thread
  Status restored_;

  ExperimentEngine engine_;
  std::multimap<TimePoint, std::uint64_t> timers_;
  std::optional<Error> environment_;
  std::optional<TimePoint> heard_at_;  // the farewell, by everybody

  PublishedBlobs blobs_;

  std::mutex outcome_mutex_;
  std::condition_variable outcome_changed_;
  std::optional<Result<RunSummary>> outcome_;
  bool farewell_heard_ = false;

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> io_guard_{io_.get_executor()};
  asio::steady_timer tick_{io_};
  asio::thread_pool store_pool_{1}, work_pool_{1};
  asio::strand<asio::thread_pool::executor_type> store_thread_{store_pool_.get_executor()};
  asio::strand<asio::thread_pool::executor_type> work_{work_pool_.get_executor()};
  std::thread io_thread_;
};

}  // namespace

Result<std::unique_ptr<LiveCoordinator>> LiveCoordinator::Create(Options options, OpenedRun run,
                                                                 RoundStore& store,
                                                                 RunObserver& observer,
                                                                 const Clock& clock,
                                                                 Logger& logger) {
  auto live =
      std::make_unique<Live>(std::move(options), std::move(run), store, observer, clock, logger);
  FEDMETA_RETURN_IF_ERROR(live->restored());
  return std::unique_ptr<LiveCoordinator>(std::move(live));
}

}  // namespace fedmeta

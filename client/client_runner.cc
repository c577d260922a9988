#include "fedmeta/client/client_runner.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "fedmeta/client/client_state_store.h"
#include "fedmeta/client/data/table_report.h"
#include "fedmeta/client/participation.h"
#include "fedmeta/client/site_privacy_ledger.h"
#include "fedmeta/client/site_records.h"
#include "fedmeta/client/trainer.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/privacy/private_sum.h"
#include "fedmeta/privacy/record_account.h"
#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/protocol/phases.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/protocol/state_form.h"
#include "fedmeta/protocol/version.h"
#include "fedmeta/v1/charged.pb.h"
#include "fedmeta/v1/offer.pb.h"

namespace fedmeta {
namespace {

// How long a client that is done tries to say that it has seen the record's end.
constexpr Duration kCountersigning{5'000};

/// Tells the coordinator every `interval` that this client still works on a plan, from its own
/// thread.
class Heartbeat {
 public:
  Heartbeat(CoordinatorLink& link, v1::RoundKey key, Duration interval)
      : thread_([this, &link, key = std::move(key), interval](std::stop_token stop) {
          std::unique_lock lock(mutex_);
          while (!wake_.wait_for(lock, stop, interval, [] { return false; })) {
            if (stop.stop_requested()) return;
            v1::Report report;
            *report.mutable_key() = key;
            report.mutable_progress()->set_phase(phase_);
            lock.unlock();
            // A heartbeat that does not arrive changes nothing here.
            [[maybe_unused]] const Status sent = link.Send(report, stop);
            lock.lock();
          }
        }) {}

  void SetPhase(std::string phase) {
    const std::lock_guard lock(mutex_);
    phase_ = std::move(phase);
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::string phase_ = "downloading";
  std::jthread thread_;  // last: stops and joins before the rest goes
};

/// The last result, kept in case it is asked for again.
struct LatestResult {
  std::optional<Digest> work;
  ClientResult result;
};

/// What decides a result: the client's own kept state, and the plan but for the attempt and the
/// time that is left. A coordinator that was restarted, or that retries a round, asks for the same
/// work under a new attempt.
Digest WorkOf(const RoundPlan& plan, const Bytes& kept) {
  v1::RoundPlan message = plan.message();
  message.mutable_key()->clear_attempt();
  message.mutable_key()->clear_session();
  message.clear_report_deadline_ms();
  DigestBuilder builder;
  builder.Add(AsBytes(Digest::Of(message.SerializeAsString()).bytes()));
  builder.Add(kept);
  return builder.Finish();
}

// What one leg needs, kept between its rounds.
struct LegSession {
  std::shared_ptr<const LegRuntime> runtime;
  std::unique_ptr<TaskGenerator> tasks;
};

// A table as it was when it was read.
struct SiteTable {
  OpenedSource source;
  std::string stamp;
};

}  // namespace

class ClientRunner::Implementation {
 public:
  Implementation(Options options, SiteControl& control, CoordinatorLink& link, const Clock& clock,
                 Logger& logger)
      : options_(std::move(options)),
        control_(control),
        link_(link),
        clock_(clock),
        logger_(logger),
        pool_(MakeLearningPool(options_.threads)),
        kept_(options_.state_dir / "kept"),
        records_(options_.state_dir, clock),
        participation_({.control = control,
                        .link = link,
                        .records = records_,
                        .logger = logger,
                        .leave = end_}) {
    if (options_.secure) secure_.emplace(*options_.secure, options_.state_dir / "openings");
  }

  Status Run(std::stop_token stop) {
    const std::stop_callback forward(stop, [this] { end_.request_stop(); });
    const Status status = Serve(end_.get_token());
    if (!control_.left() || stop.stop_requested()) return status;
    logger_.Log(LogLevel::kInfo, "left", {{"client", options_.name}});
    return {};
  }

 private:
  Status Serve(std::stop_token stop) {
    FEDMETA_RETURN_IF_ERROR(Join(stop));
    v1::NextRequest request;
    for (;;) {
      request.set_session_id(welcome_.session_id());
      if (reply_) *request.mutable_report() = *std::exchange(reply_, std::nullopt);
      Result<v1::Instruction> instruction = link_.Next(request, stop);
      request.clear_report();
      if (!instruction.ok()) {
        if (instruction.error().code() != ErrorCode::kFailedPrecondition)
          return instruction.error();
        // The coordinator was restarted and does not know this client any more.
        request.clear_countersignature();
        FEDMETA_RETURN_IF_ERROR(Join(stop));
        continue;
      }
      if (AuditWitness* witness = options_.witness; witness != nullptr) {
        if (!instruction->audit_head().empty())
          FEDMETA_RETURN_IF_ERROR(witness->Take(instruction->audit_head()));
        request.set_countersignature(witness->TakeCountersignature());
      }
      last_counted_ = {instruction->last_counted().begin(), instruction->last_counted().end()};
      if (instruction->has_plan()) {
        FEDMETA_RETURN_IF_ERROR(Work(instruction->plan(), request, stop));
      } else if (instruction->has_phase()) {
        FEDMETA_RETURN_IF_ERROR(Step(instruction->phase(), stop));
      } else if (instruction->has_closed()) {
        const v1::Closed& closed = instruction->closed();
        if (closed.all_done()) {
          logger_.Log(LogLevel::kInfo, "all_done", {{"reason", closed.reason()}});
          FEDMETA_RETURN_IF_ERROR(CountersignEnd(std::move(request)));
          if (closed.failed())
            return Error(ErrorCode::kFederationFailed, "the federation failed: " + closed.reason());
          if (budget_spent_) return *budget_spent_;
          return {};
        }
        const Result<RoundKey> key = FromMessage(closed.key());
        if (closed.counted() && key.ok() && options_.witness != nullptr)
          FEDMETA_RETURN_IF_ERROR(options_.witness->Counted(*key));
        if (!closed.counted()) {
          logger_.Log(LogLevel::kWarning, "not_counted",
                      {{"key", key.ok() ? key->ToString() : ""}, {"reason", closed.reason()}});
        }
      }
    }
  }

  /// What came with the farewell, while the coordinator is still there: if it is not, this site
  /// remembers it all the same.
  Status CountersignEnd(v1::NextRequest request) {
    std::stop_source late;
    std::mutex mutex;
    std::condition_variable_any wake;
    const std::jthread timer([&](std::stop_token done) {
      std::unique_lock lock(mutex);
      wake.wait_for(lock, done, kCountersigning, [] { return false; });
      late.request_stop();
    });
    while (!request.countersignature().empty()) {
      const Result<v1::Instruction> instruction = link_.Next(request, late.get_token());
      if (!instruction.ok()) return {};
      if (!instruction->audit_head().empty())
        FEDMETA_RETURN_IF_ERROR(options_.witness->Take(instruction->audit_head()));
      request.set_countersignature(options_.witness->TakeCountersignature());
    }
    return {};
  }

  Status Join(std::stop_token stop) {
    v1::ClientHello hello;
    *hello.mutable_version() = OwnVersion();
    for (const auto& [name, data] : options_.data) (*hello.mutable_data())[name] = data.role;
    hello.set_decides_on_offer(true);
    if (options_.witness != nullptr) hello.set_audit_place(options_.witness->place());
    hello.set_disclose_metrics(control_.disclose().metrics() == "named");
    FEDMETA_ASSIGN_OR_RETURN(welcome_, link_.Join(hello, stop));
    FEDMETA_RETURN_IF_ERROR(CheckCoordinatorVersion(welcome_.version()));
    if (options_.witness != nullptr) FEDMETA_RETURN_IF_ERROR(options_.witness->Joined(welcome_));
    logger_.Log(LogLevel::kInfo, "joined",
                {{"client", options_.name}, {"coordinator", welcome_.version().program()}});
    FEDMETA_ASSIGN_OR_RETURN(std::string charged, ChargesToTell());
    return participation_.Joined(welcome_, std::move(charged), stop);
  }

  std::uint64_t epoch() const {
    return options_.witness == nullptr ? 1 : options_.witness->epoch();
  }

  /// A restored coordinator's account ends with its backup: what this site was charged before, of
  /// the experiment that is offered and of no other. Empty: nothing.
  Result<std::string> ChargesToTell() {
    v1::Offer offer;
    if (epoch() == 1 || !offer.ParseFromString(welcome_.offer())) return std::string();
    FEDMETA_RETURN_IF_ERROR(OpenPrivacyLedger());
    std::set<std::string> legs;
    for (const v1::OfferedLeg& leg : offer.legs()) legs.insert(leg.experiment());
    v1::ChargedReleases charged;
    for (const auto& [charged_under, key] : privacy_->ChargedBefore(epoch())) {
      if (!legs.contains(key.experiment.value())) continue;
      v1::ChargedAttempt& attempt = *charged.add_attempts();
      attempt.set_experiment(key.experiment.value());
      attempt.set_round(key.round);
      attempt.set_attempt(key.attempt);
      attempt.set_epoch(charged_under);
    }
    return charged.SerializeAsString();
  }

  // Only what ends the client is an error; what ends this attempt is logged and, where it is ours,
  // reported.
  Status Work(const std::string& plan_bytes, v1::NextRequest& request, std::stop_token stop) {
    Result<RoundPlan> plan = RoundPlan::Parse(plan_bytes);
    if (!plan.ok()) {
      logger_.Log(LogLevel::kError, "plan_refused", {{"reason", plan.error().message()}});
      return {};
    }
    *request.mutable_seen() = plan->message().key();
    const std::string key = plan->key().ToString();
    logger_.Log(LogLevel::kDebug, "plan", {{"key", key}});
    if (options_.witness != nullptr) FEDMETA_RETURN_IF_ERROR(options_.witness->Check(*plan));
    if (!participation_.Admits(*plan, stop)) return {};
    Heartbeat heartbeat(link_, plan->message().key(),
                        Duration(std::max<std::uint64_t>(100, welcome_.heartbeat_ms())));
    const Status done = Attempt(*plan, heartbeat, stop);
    if (done.ok()) return {};
    const Error& error = done.error();
    if (error.code() == ErrorCode::kCancelled) return error;
    logger_.Log(LogLevel::kWarning, "attempt_failed",
                {{"key", key},
                 {"code", std::string(ErrorCodeName(error.code()))},
                 {"reason", error.message()}});
    // A stale or closed attempt is the coordinator's news, not ours.
    if (error.code() == ErrorCode::kFailedPrecondition || error.code() == ErrorCode::kNotFound)
      return {};
    return ReportFailure(plan->message().key(), error, stop);
  }

  Status ReportFailure(const v1::RoundKey& key, const Error& error, std::stop_token stop) {
    v1::Report report;
    *report.mutable_key() = key;
    report.mutable_failed()->set_code(std::string(ErrorCodeName(error.code())));
    report.mutable_failed()->set_reason(error.message());
    // Where even that cannot be recorded, the coordinator still hears why nothing comes.
    [[maybe_unused]] const Status recorded =
        records_.Message(report, "failure", {{"reason", error.message()}});
    return OnlyIfCancelled(link_.Send(report, stop));
  }

  /// What does not reach the coordinator is its to miss.
  static Status OnlyIfCancelled(Status sent) {
    if (!sent.ok() && sent.error().code() == ErrorCode::kCancelled) return sent;
    return {};
  }

  /// A step of a secure session. Errors as with Work.
  Status Step(const v1::PhaseRequest& request, std::stop_token stop) {
    std::optional<Heartbeat> heartbeat;
    if (request.phase() == kMaskPhase) {  // the others take no time
      heartbeat.emplace(link_, request.key(),
                        Duration(std::max<std::uint64_t>(100, welcome_.heartbeat_ms())));
      heartbeat->SetPhase("secure " + request.phase());
    }
    const Status done = Answer(request, stop);
    if (done.ok()) return {};
    const Error& error = done.error();
    if (error.code() == ErrorCode::kCancelled) return error;
    logger_.Log(LogLevel::kWarning, "session_left",
                {{"phase", request.phase()}, {"reason", error.message()}});
    return ReportFailure(request.key(), error, stop);
  }

  Status Answer(const v1::PhaseRequest& request, std::stop_token stop) {
    SecureMember* member = secure_ ? secure_->member() : nullptr;
    if (member == nullptr) {
      return Error(ErrorCode::kFailedPrecondition,
                   "secure aggregation: this process holds no update");
    }
    if (request.phase() == kAdvertisePhase) {
      FEDMETA_RETURN_IF_ERROR(CheckSessionBudget(*member, request));
    }
    FEDMETA_ASSIGN_OR_RETURN(SecureMember::Answer answer, member->Handle(request));
    if (!answer.upload.empty()) {
      // Whether the session is opened is for others to decide.
      FEDMETA_RETURN_IF_ERROR(ChargeSum(*member->plan(), request.key().session()));
      const Status uploaded =
          Upload(*member->plan(), request.key(), answer.upload, answer.upload_hash, stop);
      // A session that ended meanwhile is the coordinator's news, not ours.
      if (!uploaded.ok() && uploaded.error().code() == ErrorCode::kFailedPrecondition) return {};
      FEDMETA_RETURN_IF_ERROR(uploaded);
    }
    return Reply(*member->plan(), request.key(), std::move(answer.phase), std::move(answer.body));
  }

  /// Leaves with the question for what is next: a step of a session costs one call, not two.
  Status Reply(const RoundPlan& plan, const v1::RoundKey& key, std::string phase,
               std::string body) {
    if (!body.empty()) {
      FEDMETA_RETURN_IF_ERROR(records_.Payload(plan, key, "secure " + phase, body.size(),
                                               Digest::Of(body), nlohmann::json::object()));
    }
    v1::Report& report = reply_.emplace();
    *report.mutable_key() = key;
    report.mutable_phase()->set_phase(std::move(phase));
    report.mutable_phase()->set_body(std::move(body));
    return {};
  }

  Status Attempt(const RoundPlan& plan, Heartbeat& heartbeat, std::stop_token stop) {
    FEDMETA_ASSIGN_OR_RETURN(const Bytes kept,
                             kept_.Current(plan.key().experiment, LastCounted(plan)));
    const Digest work = WorkOf(plan, kept);
    if (latest_.work == work) {
      logger_.Log(LogLevel::kInfo, "result_reused", {{"key", plan.key().ToString()}});
    } else {
      latest_ = {};  // its memory is for the next
      FEDMETA_ASSIGN_OR_RETURN(LegSession * leg, FindLeg(plan));
      FEDMETA_ASSIGN_OR_RETURN(const std::optional<SiteCharge> charge, ChargeOf(plan, *leg));
      if (charge) FEDMETA_RETURN_IF_ERROR(CheckBudget(*charge));
      FEDMETA_RETURN_IF_ERROR(DownloadState(plan, *leg, stop));
      heartbeat.SetPhase("training");
      logger_.Log(LogLevel::kDebug, "training", {{"key", plan.key().ToString()}});
      LocalClient self{.name = options_.name,
                       .tasks = leg->tasks.get(),
                       .kept = kept,
                       .disclose = &control_.disclose()};
      if (leg->runtime->assignment.has_secure()) {
        FEDMETA_RETURN_IF_ERROR(CheckSecure());
        if (!options_.secure->plan_seeds) self.seed = SecretRng().Next64();
      }
      std::vector<Result<ClientResult>> results =
          ExecutePlan(plan, *leg->runtime, state_, {&self, 1}, *pool_);
      FEDMETA_ASSIGN_OR_RETURN(ClientResult result, std::move(results.front()));
      if (result.failure) {
        // Named here alone: what leaves must not depend on the data.
        logger_.Log(LogLevel::kWarning, "update_left_out",
                    {{"key", plan.key().ToString()}, {"reason", result.failure->message()}});
      }
      FEDMETA_RETURN_IF_ERROR(records_.Figures(plan, result.metrics));
      // Noise of its own: a result is paid for when it is made, however often it is sent.
      if (charge && charge->terms.mode() == "local") FEDMETA_RETURN_IF_ERROR(Charge(*charge));
      latest_ = {.work = work, .result = std::move(result)};
    }
    if (!latest_.result.next_kept.empty()) {
      FEDMETA_RETURN_IF_ERROR(kept_.Stage(plan.key(), latest_.result.next_kept));
    }
    const v1::Assignment& assignment = legs_.at(plan.assignment_hash()).runtime->assignment;
    if (assignment.has_secure()) {
      FEDMETA_RETURN_IF_ERROR(secure_->Hold(assignment.data(), plan, assignment,
                                            latest_.result.encoded, latest_.result.noise));
      return Reply(plan, plan.message().key(), std::string(kTrainedPhase), {});
    }
    FEDMETA_RETURN_IF_ERROR(ChargeSum(plan));
    heartbeat.SetPhase("uploading");
    return Upload(plan, plan.message().key(), latest_.result.payload,
                  Digest::Of(latest_.result.payload), stop);
  }

  Status CheckSecure() const {
    if (secure_) return {};
    return Error(ErrorCode::kInvalidArgument,
                 "the experiment adds updates up under secure aggregation, for which this client "
                 "has no identity");
  }

  /// What a training plan costs this site; nothing without differential privacy.
  Result<std::optional<SiteCharge>> ChargeOf(const RoundPlan& plan, const LegSession& leg) const {
    const v1::Assignment& assignment = leg.runtime->assignment;
    if (!plan.message().has_train() || !assignment.has_differential_privacy()) {
      return std::optional<SiteCharge>();
    }
    SiteCharge charge{.data = assignment.data(),
                      .key = plan.key(),
                      .terms = assignment.differential_privacy(),
                      .epoch = epoch()};
    if (charge.terms.mode() == "local") {
      FEDMETA_ASSIGN_OR_RETURN(charge.releases, GradientsPerRecord(assignment.algorithm()));
    }
    return std::optional(std::move(charge));
  }

  /// Modes central and distributed: each attempt may come out, and under secure aggregation each
  /// session, also with a result that was sent before. Others cost nothing.
  Result<std::optional<SiteCharge>> ChargeOfSum(const RoundPlan& plan,
                                                std::uint32_t session) const {
    FEDMETA_ASSIGN_OR_RETURN(std::optional<SiteCharge> charge,
                             ChargeOf(plan, legs_.at(plan.assignment_hash())));
    if (!charge || !HidesClients(charge->terms)) return std::optional<SiteCharge>();
    charge->key.session = session;
    return charge;
  }
  Status ChargeSum(const RoundPlan& plan, std::uint32_t session = 0) {
    FEDMETA_ASSIGN_OR_RETURN(const std::optional<SiteCharge> charge, ChargeOfSum(plan, session));
    return charge ? Charge(*charge) : Status();
  }
  /// Before this site joins a session.
  Status CheckSessionBudget(const SecureMember& member, const v1::PhaseRequest& request) {
    if (member.plan() == nullptr) return {};
    FEDMETA_ASSIGN_OR_RETURN(const std::optional<SiteCharge> charge,
                             ChargeOfSum(*member.plan(), request.key().session()));
    return charge ? CheckBudget(*charge) : Status();
  }

  Status CheckBudget(const SiteCharge& charge) {
    FEDMETA_RETURN_IF_ERROR(OpenPrivacyLedger());
    const Status allowed = privacy_->CheckBudget(charge);
    if (!allowed.ok()) budget_spent_ = allowed.error();
    return allowed;
  }
  Status Charge(const SiteCharge& charge) {
    FEDMETA_RETURN_IF_ERROR(CheckBudget(charge));
    return privacy_->Charge(charge, clock_.Wall());
  }
  Status OpenPrivacyLedger() {
    if (privacy_) return {};
    FEDMETA_ASSIGN_OR_RETURN(privacy_,
                             SitePrivacyLedger::Open(options_.state_dir / SitePrivacyLedger::kFile,
                                                     options_.epsilon_budget));
    return {};
  }

  /// The last round of the plan's leg in which this client was counted, by the coordinator's word.
  std::optional<RoundKey> LastCounted(const RoundPlan& plan) const {
    for (const v1::RoundKey& message : last_counted_) {
      const Result<RoundKey> key = FromMessage(message);
      if (key.ok() && key->experiment == plan.key().experiment) return *key;
    }
    return std::nullopt;
  }

  Result<LegSession*> FindLeg(const RoundPlan& plan) {
    const auto found = legs_.find(plan.assignment_hash());
    if (found != legs_.end()) return &found->second;
    // The plan was admitted, so that its assignment is one of the offer's.
    std::optional<std::string> bytes = control_.FindAssignment(plan.assignment_hash());
    v1::Assignment assignment;
    if (!bytes || !assignment.ParseFromString(*bytes))
      return Error(ErrorCode::kInvalidArgument, "assignment: not a protobuf message of its kind");
    const auto data = options_.data.find(assignment.data());
    if (data == options_.data.end()) {
      return Error(ErrorCode::kInvalidArgument, "the experiment learns from data '" +
                                                    assignment.data() +
                                                    "', which this site's file does not name");
    }
    FEDMETA_ASSIGN_OR_RETURN(const OpenedSource source,
                             ReadOnce(data->first, data->second.source, assignment.dictionary()));
    LegSession session;
    FEDMETA_ASSIGN_OR_RETURN(session.tasks,
                             MakeTaskGenerator(options_.registries.data, assignment.tasks(), source,
                                               /*view=*/nullptr, options_.name, assignment.seed()));
    FEDMETA_ASSIGN_OR_RETURN(
        session.runtime,
        LegRuntime::Create(options_.registries, *std::move(bytes), *session.tasks));
    return &legs_.emplace(plan.assignment_hash(), std::move(session)).first->second;
  }

  // A table is read once for each dictionary: the legs of an experiment learn from the same rows,
  // also when the file changes meanwhile.
  Result<OpenedSource> ReadOnce(const std::string& name, const OpenedSource& source,
                                const v1::Dictionary& dictionary) {
    if (!source.table) return ReadTable(source, dictionary);
    const std::string stamp = source.table->stamp();
    const auto key = std::pair(name, dictionary.SerializeAsString());
    if (const auto found = tables_.find(key); found != tables_.end()) {
      if (found->second.stamp != stamp) {
        logger_.Log(LogLevel::kWarning, "data_changed",
                    {{"data", name}, {"used", "what was read before the change"}});
      }
      return found->second.source;
    }
    Result<OpenedSource> read = ReadTable(source, dictionary);
    if (!read.ok()) return read.error().WithContext("data." + name);
    logger_.Log(LogLevel::kInfo, "table_read",
                {{"data", name}, {"rows", ShownCount(read->dataset->size())}});
    tables_.emplace(key, SiteTable{.source = *read, .stamp = stamp});
    return read;
  }

  // Several plans name one state (validation and test): it is fetched once.
  Status DownloadState(const RoundPlan& plan, const LegSession& leg, std::stop_token stop) {
    if (plan.message().state_coordinates() != leg.runtime->layout.size()) {
      return Error(ErrorCode::kInvalidArgument,
                   "plan: state_coordinates is " +
                       std::to_string(plan.message().state_coordinates()) + ", the layout has " +
                       std::to_string(leg.runtime->layout.size()));
    }
    if (state_hash_ == plan.state_hash()) return {};
    state_hash_.reset();
    const StateLayout& layout = leg.runtime->layout;
    state_.resize(layout.size());
    if (leg.runtime->assignment.compression().half_download()) {
      Bytes sent(StateBytes(layout, true));
      FEDMETA_RETURN_IF_ERROR(link_.Download(plan.state_hash(), sent, stop));
      FEDMETA_RETURN_IF_ERROR(ReadState(layout, true, sent, state_));
    } else {
      FEDMETA_RETURN_IF_ERROR(
          link_.Download(plan.state_hash(), std::as_writable_bytes(std::span(state_)), stop));
    }
    state_hash_ = plan.state_hash();
    return {};
  }

  Status Upload(const RoundPlan& plan, const v1::RoundKey& key, std::span<const std::byte> payload,
                const Digest& digest, std::stop_token stop) {
    v1::UploadHeader header;
    *header.mutable_key() = key;
    header.set_plan_hash(plan.hash().bytes());
    header.set_size(payload.size());
    header.set_sha256(digest.bytes());
    const std::string kind = plan.message().has_train() ? "update" : "metrics";
    FEDMETA_RETURN_IF_ERROR(records_.Payload(plan, key, key.session() > 0 ? "masked " + kind : kind,
                                             payload.size(), digest, FieldsOf(plan)));
    return participation_.Upload(plan, header, payload, stop);
  }

  /// What an upload for this plan holds, in numbers.
  static nlohmann::json FieldsOf(const RoundPlan& plan) {
    nlohmann::json fields = {{"weight", 1},
                             {"metrics", MetricCells(plan.message()) * MetricSums::kSize}};
    if (plan.message().has_train()) fields["update"] = UpdateCoordinates(plan.message());
    return fields;
  }

  const Options options_;
  SiteControl& control_;
  CoordinatorLink& link_;
  const Clock& clock_;
  Logger& logger_;
  std::unique_ptr<WorkerPool> pool_;
  v1::Welcome welcome_;
  ClientStateStore kept_;
  const SiteRecords records_;
  std::vector<v1::RoundKey> last_counted_;  // one a leg
  std::map<Digest, LegSession> legs_;
  std::map<std::pair<std::string, std::string>, SiteTable> tables_;  // by data and dictionary
  std::vector<float> state_;
  std::optional<Digest> state_hash_;
  LatestResult latest_;
  std::optional<v1::Report> reply_;           // of a step, for the next call
  std::optional<SitePrivacyLedger> privacy_;  // opened when it is needed
  std::optional<Error> budget_spent_;         // why this site has not taken part to the end
  std::optional<SecureSite> secure_;
  std::stop_source end_;         // of the process, or this site has left
  Participation participation_;  // last: its thread ends before the rest goes
};

ClientRunner::ClientRunner(Options options, SiteControl& control, CoordinatorLink& link,
                           const Clock& clock, Logger& logger)
    : implementation_(
          std::make_unique<Implementation>(std::move(options), control, link, clock, logger)) {}
ClientRunner::~ClientRunner() = default;

Status ClientRunner::Run(std::stop_token stop) { return implementation_->Run(stop); }

}  // namespace fedmeta

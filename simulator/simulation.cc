#include "fedmeta/simulator/simulation.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>

#include "fedmeta/client/secure_member.h"
#include "fedmeta/client/trainer.h"
#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/coordinator/round_worker.h"
#include "fedmeta/coordinator/round_writer.h"
#include "fedmeta/coordinator/run_recorder.h"
#include "fedmeta/privacy/opening_log.h"
#include "fedmeta/privacy/process_party.h"
#include "fedmeta/protocol/phases.h"
#include "fedmeta/protocol/state_form.h"
#include "fedmeta/simulator/attack.h"
#include "fedmeta/simulator/pooled_tasks.h"

namespace fedmeta {
namespace {

// Clients that compute at a time; bounds memory, large enough to keep the workers busy.
constexpr std::size_t kClientsAtOnce = 64;
// Of the identities that virtual clients sign with, which live and die with the process.
constexpr char kFederation[] = "simulation";

}  // namespace

class Simulation::Implementation {
 public:
  Implementation(Options options, OpenedRun run, const SimulationData& data, RoundStore& store,
                 RunObserver& observer, const Clock& clock)
      : options_(std::move(options)),
        data_(data),
        store_(store),
        observer_(observer),
        clock_(clock),
        pool_(MakeLearningPool(options_.experiment.threads())),
        worker_(options_.legs, options_.server, options_.experiment.federation().rounds()),
        writer_(store, run.lease, worker_),
        recorder_(options_.legs, options_.experiment.federation().rounds(), store, run.lease,
                  observer),
        authority_(kFederation),
        engine_(options_.experiment, FactsOf(options_.legs), SmallGroups::kShow,
                {.federation = authority_.federation(), .verifier = &authority_.verifier()}),
        history_(std::move(run.history)),
        charged_(run.charged) {
    for (std::size_t i = 0; i < data_.partition->clients(); ++i)
      index_of_.emplace(data_.partition->name(i), i);
  }

  Status Check() {
    const v1::Evaluation& evaluation = options_.experiment.evaluation();
    for (std::size_t i = 0; i < data_.partition->clients(); ++i) {
      FEDMETA_ASSIGN_OR_RETURN(
          const auto tasks,
          MakeClientTasks(options_.experiment, options_.registries.data, data_, i));
      const Status status = CanTakePart(*tasks, data_.partition->role(i), evaluation);
      if (!status.ok()) return status.error().WithContext("client " + data_.partition->name(i));
    }
    return {};
  }

  Result<RunSummary> Run(std::stop_token stop) {
    if (options_.experiment.has_simulated_attack()) {
      FEDMETA_ASSIGN_OR_RETURN(
          attack_, Attack::Create(options_.experiment.simulated_attack(), *data_.partition));
    }
    // All virtual clients are there at once: nobody is awaited.
    FEDMETA_RETURN_IF_ERROR(engine_.Restore(std::move(history_), {}, charged_));
    for (std::size_t i = 0; i < data_.partition->clients(); ++i) {
      Hand(ClientJoined{.client = ClientId(data_.partition->name(i)),
                        .role = data_.partition->role(i)});
    }
    Take(engine_.Start(clock_.Now()));
    bool cancelled = false;
    while (!summary_) {
      if (stop.stop_requested() && !cancelled) {
        cancelled = true;
        plans_.clear();
        Hand(CancelAsked{.reason = "interrupted", .interrupted = true});
      }
      if (failure_ && !failure_told_) {
        failure_told_ = true;
        plans_.clear();
        Hand(DriverFailed{.error = *failure_});
      }
      if (!instructions_.empty()) {
        const Instruction instruction = std::move(instructions_.front());
        instructions_.pop_front();
        std::visit([this](const auto& one) { Do(one); }, instruction);
      } else if (!plans_.empty()) {
        ExecuteSome();
      } else if (engine_.paused()) {
        // Nobody will join: what could change is the file, with which the run is resumed.
        Hand(CancelAsked{.reason = "paused", .interrupted = false});
      } else {
        return Error(ErrorCode::kInternal, "the simulation came to a standstill in phase '" +
                                               std::string(engine_.phase()) + "'");
      }
    }
    if (failure_) return *failure_;
    return *summary_;
  }

 private:
  struct PendingPlan {
    std::vector<ClientId> clients;
    std::size_t next = 0;
    RoundPlan plan;
  };

  void Take(std::vector<Instruction> instructions) {
    std::move(instructions.begin(), instructions.end(), std::back_inserter(instructions_));
  }
  void Hand(const Event& event) { Take(engine_.Handle(event, clock_.Now())); }
  void Observe(const Status& status) {
    if (!status.ok() && !failure_) failure_ = status.error();
  }

  void Do(const StartLeg& start) {
    const Leg& leg = options_.legs[start.leg];
    leg_ = LegId(options_.experiment, leg.name);
    clients_keep_ = start.head.has_value();
    Result<std::optional<SavedState>> saved = writer_.Load(start, leg_);
    if (!saved.ok()) return Observe(saved.error());
    Observe(worker_.StartLeg(start.leg, *saved));
    // The episodes' outputs are the same for every client of an experiment.
    Result<std::unique_ptr<TaskGenerator>> tasks =
        MakeClientTasks(options_.experiment, options_.registries.data, data_, 0);
    if (!tasks.ok()) return Observe(tasks.error());
    Result<std::shared_ptr<const LegRuntime>> runtime =
        LegRuntime::Create(options_.registries, leg.assignment, **tasks);
    if (!runtime.ok()) return Observe(runtime.error());
    runtime_ = std::move(*runtime);
    pooled_ = nullptr;
    if (runtime_->learner->pools()) Observe(Pool());
  }

  /// Brings the rows of all training clients together, for a leg that pools.
  Status Pool() {
    std::vector<std::unique_ptr<TaskGenerator>> sites;
    for (std::size_t i = 0; i < data_.partition->clients(); ++i) {
      if (data_.partition->role(i) != v1::ROLE_TRAIN) continue;
      FEDMETA_ASSIGN_OR_RETURN(
          auto tasks, MakeClientTasks(options_.experiment, options_.registries.data, data_, i));
      sites.push_back(std::move(tasks));
    }
    pooled_ = MakePooledTasks(std::move(sites));
    return {};
  }

  void Do(const SendPlan& send) {
    plans_.push_back({.clients = send.clients, .next = 0, .plan = send.plan});
  }

  void Do(const CloseFor&) {}
  void Do(const ExpectUploads&) {}
  void Do(const EndSession&) {}

  void Do(const SendPhase& send) {
    v1::PhaseRequest request;
    *request.mutable_key() = ToMessage(send.key);
    request.set_group(send.group);
    request.set_phase(send.phase);
    request.set_body(send.body);
    for (const ClientId& client : send.clients) {
      Result<SecureMember::Answer> answer = members_.at(client).member.Handle(request);
      if (!answer.ok()) {
        Hand(ClientFailed{.key = send.key,
                          .client = client,
                          .phase = send.phase,
                          .reason = answer.error().message()});
        continue;
      }
      if (!answer->upload.empty()) {
        const std::uint32_t slot = next_slot_++;
        staged_.emplace(slot, Bytes(answer->upload.begin(), answer->upload.end()));
        Hand(UploadStaged{
            .key = send.key, .client = client, .slot = slot, .digest = Digest::Of(answer->upload)});
      }
      Hand(PhaseReplied{.key = send.key,
                        .client = client,
                        .phase = std::move(answer->phase),
                        .body = std::move(answer->body)});
    }
  }
  void Do(const SetTimer&) {}

  void Do(const Persist& persist) {
    if (persist.record == Record::kChargePrivacy) {
      Hand(StoreFinished{
          .ticket = persist.ticket,
          .status = writer_.Charge(persist, worker_.masked_sum(persist.charge->group))});
      return;
    }
    const Result<Digest> written = writer_.Write(persist, Kept(persist));
    Status status = written.ok() ? Status() : written.error();
    if (persist.record == Record::kAbandonAttempt) worker_.Abandon();
    if (status.ok() && persist.record == Record::kBeginAttempt) {
      next_kept_.clear();
      writer_.Tidy();
      status = worker_.BeginAttempt(persist.plan, persist.cohort);
    }
    if (status.ok() && persist.record == Record::kCommitRound) {
      worker_.Commit(*written);
      engine_.SetStateHash(worker_.state_hash(), worker_.sent_hash());
    }
    Hand(StoreFinished{.ticket = persist.ticket, .status = status});
  }

  /// What the counted clients keep from a round that is to be committed.
  std::vector<std::pair<ClientId, Bytes>> Kept(const Persist& persist) {
    std::vector<std::pair<ClientId, Bytes>> kept;
    if (persist.record != Record::kCommitRound || next_kept_.empty()) return kept;
    for (const ClientId& client : persist.outcome->reported) {
      if (auto next = next_kept_.extract(client))
        kept.emplace_back(client, std::move(next.mapped()));
    }
    clients_keep_ = clients_keep_ || !kept.empty();
    return kept;
  }

  /// What the client kept in earlier rounds of this leg.
  Result<Bytes> Kept(const ClientId& client) {
    if (!clients_keep_) return Bytes();
    FEDMETA_ASSIGN_OR_RETURN(const std::optional<BlobRef> blob, store_.ClientState(leg_, client));
    if (!blob) return Bytes();
    return store_.GetBlob(*blob);
  }

  void Do(const RunWork& work) {
    WorkFinished finished{.ticket = work.ticket, .status = {}, .result = {}};
    if (work.work == Work::kAddUpload) {
      const auto payload = staged_.find(work.slot);
      // In simulation every site's own figures may be shown.
      finished.status = work.session > 0
                            ? worker_.AddMasked(work.group, work.session, payload->second)
                            : worker_.AddUpload(work.client, true, payload->second);
      staged_.erase(payload);
    } else if (work.work == Work::kUnmask) {
      finished.status = worker_.Unmask(work.group, work.reported, *work.self_mask_keys);
    } else {
      Result<RoundResult> result = worker_.Close(work.plan, work.reported, work.population);
      if (result.ok()) {
        finished.result = std::move(*result);
      } else {
        finished.status = result.error();
      }
    }
    Hand(std::move(finished));
  }

  void Do(const ReportCheckpoint& report) { Observe(recorder_.Record(report, worker_.state())); }
  void Do(const TellMore&) { Hand(ToldMore{}); }
  /// HistoryBegins, ReportRound, ...: for the records.
  template <typename Report>
  void Do(const Report& report) {
    Observe(recorder_.Record(report));
  }
  void Do(const Finish& finish) {
    Observe(observer_.Finished(finish.summary));
    summary_ = finish.summary;
  }

  // A round of a leg that pools: one training on all rows, which counts for each of the cohort, so
  // that their mean is it.
  void ExecutePooled() {
    const PendingPlan pending = std::move(plans_.front());
    plans_.pop_front();
    const LocalClient client{.name = "pooled", .tasks = pooled_.get()};
    const std::shared_ptr<const Bytes> sent = worker_.sent();
    const Result<std::span<const float>> state = ReceiveState(*sent);
    if (!state.ok()) return Observe(state.error());
    const std::vector<Result<ClientResult>> results =
        ExecutePlan(pending.plan, *runtime_, *state, {&client, 1}, *pool_);
    for (const ClientId& id : pending.clients) Deliver(pending.plan, id, results.front());
  }

  /// The state as clients download it; valid as long as `sent` and until the next call.
  Result<std::span<const float>> ReceiveState(const Bytes& sent) {
    if (!runtime_->assignment.compression().half_download()) {
      return std::span(reinterpret_cast<const float*>(sent.data()), sent.size() / sizeof(float));
    }
    received_.resize(runtime_->layout.size());
    FEDMETA_RETURN_IF_ERROR(ReadState(runtime_->layout, true, sent, received_));
    return std::span<const float>(received_);
  }

  void Deliver(const RoundPlan& plan, const ClientId& id, Result<ClientResult> result) {
    if (!result.ok()) {
      return Hand(ClientFailed{.key = plan.key(),
                               .client = id,
                               .phase = "training",
                               .reason = result.error().message()});
    }
    if (!result->next_kept.empty()) next_kept_[id] = std::move(result->next_kept);
    if (runtime_->assignment.has_secure()) {
      const Status held = Hold(id, plan, std::move(result->encoded), std::move(result->noise));
      if (!held.ok()) return Observe(held);
      return Hand(PhaseReplied{
          .key = plan.key(), .client = id, .phase = std::string(kTrainedPhase), .body = {}});
    }
    const std::uint32_t slot = next_slot_++;
    staged_.emplace(slot, std::move(result->payload));
    Hand(UploadStaged{.key = plan.key(), .client = id, .slot = slot});
  }

  // The next few clients of the first plan that still has some.
  void ExecuteSome() {
    PendingPlan& pending = plans_.front();
    if (pooled_ && pending.plan.message().has_train()) return ExecutePooled();
    const std::size_t count = std::min(kClientsAtOnce, pending.clients.size() - pending.next);
    std::vector<std::unique_ptr<TaskGenerator>> generators;
    std::vector<LocalClient> clients;
    std::deque<Bytes> kept;  // does not move
    for (std::size_t i = 0; i < count; ++i) {
      const ClientId& id = pending.clients[pending.next + i];
      Result<std::unique_ptr<TaskGenerator>> tasks = MakeClientTasks(
          options_.experiment, options_.registries.data, data_, index_of_.at(id.value()));
      if (!tasks.ok()) {
        Hand(ClientFailed{.key = pending.plan.key(),
                          .client = id,
                          .phase = "data",
                          .reason = tasks.error().message()});
        continue;
      }
      if (attack_.Poisons(id.value())) *tasks = attack_.Poison(std::move(*tasks));
      Result<Bytes> own = Kept(id);
      if (!own.ok()) return Observe(own.error());
      kept.push_back(std::move(*own));
      clients.push_back({.name = id.value(), .tasks = tasks->get(), .kept = kept.back()});
      generators.push_back(std::move(*tasks));
    }
    pending.next += count;
    const RoundPlan plan = pending.plan;
    if (pending.next == pending.clients.size()) plans_.pop_front();

    const std::shared_ptr<const Bytes> sent = worker_.sent();
    const Result<std::span<const float>> state = ReceiveState(*sent);
    if (!state.ok()) return Observe(state.error());
    std::vector<Result<ClientResult>> results =
        ExecutePlan(plan, *runtime_, *state, clients, *pool_);
    for (std::size_t i = 0; i < results.size(); ++i) {
      Result<ClientResult>& result = results[i];
      if (result.ok() && !result->payload.empty() && attack_.Poisons(clients[i].name))
        Observe(attack_.Poison(plan, runtime_->layout, result->payload));
      Deliver(plan, ClientId(clients[i].name), std::move(results[i]));
    }
  }

  /// Of secure aggregation: made when a client first has an update.
  struct Member {
    std::unique_ptr<OpeningLatch> latch;
    SecureMember member;
  };
  Status Hold(const ClientId& client, const RoundPlan& plan,
              std::shared_ptr<const RingVector> encoded, std::optional<LocalNoise> noise) {
    auto found = members_.find(client);
    if (found == members_.end()) {
      std::unique_ptr<OpeningLatch> latch = OpeningsInMemory();
      FEDMETA_ASSIGN_OR_RETURN(
          SecureMember member,
          SecureMember::Create(
              {.federation = authority_.federation(),
               .policy = {.members = {"spiffe://" + authority_.federation() + "/client/*"}},
               .signer = [signer = authority_.Admit(client.value())] { return Result(signer); },
               .verifier = &authority_.verifier(),
               .latch = latch.get()}));
      found = members_.emplace(client, Member{std::move(latch), std::move(member)}).first;
    }
    found->second.member.Hold(plan, runtime_->assignment, std::move(encoded), std::move(noise));
    return {};
  }

  const Options options_;
  const SimulationData& data_;
  RoundStore& store_;
  RunObserver& observer_;
  const Clock& clock_;
  std::unique_ptr<WorkerPool> pool_;
  RoundWorker worker_;
  RoundWriter writer_;
  RunRecorder recorder_;
  ProcessAuthority authority_;
  ExperimentEngine engine_;
  Attack attack_;
  std::map<ClientId, Member> members_;
  RunHistory history_;
  const std::uint64_t charged_;
  std::unordered_map<std::string, std::size_t> index_of_;
  std::shared_ptr<const LegRuntime> runtime_;
  std::unique_ptr<TaskGenerator> pooled_;  ///< of a leg that pools
  std::vector<float> received_;            ///< the state, where clients download another form
  ExperimentId leg_;
  bool clients_keep_ = false;            ///< some client has kept something in this leg
  std::map<ClientId, Bytes> next_kept_;  ///< of the attempt
  std::deque<Instruction> instructions_;
  std::deque<PendingPlan> plans_;
  std::map<std::uint32_t, Bytes> staged_;
  std::uint32_t next_slot_ = 0;
  std::optional<Error> failure_;  ///< of an observer or the store: nothing further can be promised
  bool failure_told_ = false;
  std::optional<RunSummary> summary_;
};

Simulation::Simulation(Options options, OpenedRun run, const SimulationData& data,
                       RoundStore& store, RunObserver& observer, const Clock& clock)
    : implementation_(std::make_unique<Implementation>(std::move(options), std::move(run), data,
                                                       store, observer, clock)) {}
Simulation::~Simulation() = default;

Status Simulation::Check() { return implementation_->Check(); }
Result<RunSummary> Simulation::Run(std::stop_token stop) { return implementation_->Run(stop); }

}  // namespace fedmeta

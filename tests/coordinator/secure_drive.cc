#include "secure_drive.h"

#include <cmath>

#include <gtest/gtest.h>

#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/privacy/opening_log.h"
#include "fedmeta/protocol/phases.h"

namespace fedmeta {
namespace {

v1::SecureTerms Terms(std::uint32_t group_size) {
  v1::SecureTerms terms;
  terms.set_ring_bits(32);
  terms.set_clip(10);
  terms.set_metric_bound(100);
  terms.set_group_size(group_size);
  terms.set_minimum(3);
  return terms;
}

RoundPlan PlanOf(std::uint32_t attempt) {
  return PlanFactory(DemoExperiment(3, 5, 3), DemoLeg("maml"))
      .Evaluate(v1::PART_TEST, 1, attempt, std::nullopt, Digest::Of("s"))
      .value();
}

RoundKey WithoutSession(RoundKey key) {
  key.session = 0;
  return key;
}

}  // namespace

SecureDrive::SecureDrive(std::size_t count, std::uint32_t group_size, std::uint32_t minimum)
    : plan_(PlanOf(attempt_)),
      terms_(Terms(group_size)),
      minimum_(minimum),
      lease_(store_->Acquire(ExperimentId("demo")).value()) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::string letter(1, static_cast<char>('a' + i % 26));
    cohort_.emplace_back(i < 26 ? letter : "z" + std::to_string(i));
  }
  for (const ClientId& client : cohort_) {
    clients_[client].latch = OpeningsInMemory();
    Begin(client);
    present_.insert(client);
  }
}

void SecureDrive::Begin(const ClientId& id) {
  Client& client = clients_.at(id);
  client.lives = true;
  client.holds = false;
  client.secure = SecureClient::Create(
                      {.federation = "shapes",
                       .policy = {.minimum_members = 3, .members = {"spiffe://shapes/client/*"}},
                       .signer = [signer = authority_.Admit(id.value())] { return Result(signer); },
                       .verifier = &authority_.verifier(),
                       .latch = client.latch.get()})
                      .value();
}

void SecureDrive::Kill(const ClientId& client) {
  clients_.at(client).lives = false;
  clients_.at(client).secure.reset();
  present_.erase(client);
}

void SecureDrive::Restart(const ClientId& client) {
  Kill(client);
  Begin(client);
  Give(ClientJoined{client, v1::ROLE_TRAIN});
}

void SecureDrive::MakeEngine(std::optional<ChargedAttempt> stored) {
  SecureAttempt attempt{.attempt = {.plan = *plan_,
                                    .cohort = cohort_,
                                    .minimum = minimum_,
                                    .population = 5,
                                    .report_deadline = std::chrono::seconds(60)},
                        .settings = {.federation = "shapes",
                                     .verifier = &authority_.verifier(),
                                     .terms = terms_,
                                     .sessions = 3,
                                     .phase_deadline = std::chrono::seconds(10)},
                        .model_hash = Digest::Of("model"),
                        .groups = groups};
  if (stored) {
    attempt.attempt.cohort = stored->attempt.cohort;
    attempt.attempt.minimum = stored->minimum;
    attempt.attempt.population = stored->population;
    attempt.charged = std::move(stored);
  }
  engine_ = MakeSecureRoundEngine(std::move(attempt), tickets_);
}

void SecureDrive::Run() {
  MakeEngine(std::nullopt);
  Take(engine_->Start(now_));
  while (crashed_ || !engine_->over()) {
    if (crashed_) {
      // Its last record may have been the attempt's own.
      if (store_->OpenAttempts(lease_.run).value().empty()) return;
      EndProcess();
    } else if (!events_.empty()) {
      const Event event = std::move(events_.front());
      events_.pop_front();
      if (const auto* joined = std::get_if<ClientJoined>(&event)) {
        if (!clients_.at(joined->client).lives) continue;
        present_.insert(joined->client);
      }
      Take(engine_->Handle(event, now_));
    } else {
      ASSERT_FALSE(timers_.empty()) << "stands still in " << engine_->phase();
      now_ = std::max(now_, timers_.begin()->first);
      const TimerFired fired{timers_.begin()->second};
      timers_.erase(timers_.begin());
      Take(engine_->Handle(fired, now_));
    }
  }
}

/// Only the store stays, and clients come back to the next process.
void SecureDrive::EndProcess() {
  crashed_ = false;
  ++crashes;
  events_.clear();
  timers_.clear();
  uploads_.clear();
  sum.reset();
  sums_.reset();
  present_.clear();
  lease_ = store_->Acquire(lease_.run).value();
  std::optional<ChargedAttempt> stored =
      ReadChargedAttempt(*store_, lease_.run, plan_->key()).value();
  if (!stored) {
    AttemptRecord cut_off;
    cut_off.key = plan_->key();
    cut_off.cut_off = true;
    ASSERT_TRUE(
        store_->EndAttempt(lease_, {.key = cut_off.key, .outcome = SerializeRecord(cut_off)}).ok());
    attempt_ += 2;
    plan_ = PlanOf(attempt_);
  }
  MakeEngine(std::move(stored));
  for (const auto& [client, state] : clients_) {
    if (state.lives) Give(ClientJoined{client, v1::ROLE_TRAIN});
  }
  Take(engine_->Start(now_));
}

/// What a client contributes: one client with a loss of its own, a, b, c, ... 1, 2, 3, ...
RingVector SecureDrive::Encoded(const ClientId& client) const {
  const auto at = std::find(cohort_.begin(), cohort_.end(), client) - cohort_.begin();
  MetricSums cell;
  cell.clients = 1;
  cell.mean_loss = static_cast<double>(at + 1);
  cell.mean_correct = std::fmod(0.618 * static_cast<double>(at + 1), 1.0);
  const std::size_t cells = MetricCells(plan_->message());
  return SecureCodec(terms_, nullptr, cells)
      .value()
      .Encode({.update = {}, .weight = 1, .metrics = std::vector<MetricSums>(cells, cell)})
      .value();
}

DecodedSum SecureDrive::PlainSum(const std::vector<ClientId>& clients) const {
  RingVector total = Encoded(clients.front());
  for (std::size_t i = 1; i < clients.size(); ++i) EXPECT_TRUE(total.Add(Encoded(clients[i])).ok());
  return SecureCodec(terms_, nullptr, MetricCells(plan_->message()))
      .value()
      .Decode(total, static_cast<std::uint32_t>(clients.size()))
      .value()
      .sum;
}

std::uint64_t SecureDrive::BytesOfCharges() {
  std::uint64_t bytes = 0;
  const std::vector<PrivacyCharge> charges = store_->PrivacyCharges(lease_.run).value();
  for (const PrivacyCharge& charge : charges)
    bytes += charge.masked_sum.size + charge.receipts.size;
  return bytes;
}

void SecureDrive::Take(std::vector<Instruction> instructions) {
  for (const Instruction& instruction : instructions) {
    if (crashed_) return;
    lines.push_back(Describe(instruction));
    if (on_instruction) on_instruction(instruction);
    Carry(instruction);
    crashed_ = crash && crash(instruction);
  }
}

void SecureDrive::Carry(const Instruction& instruction) {
  if (const auto* persist = std::get_if<Persist>(&instruction)) {
    Store(*persist);
  } else if (const auto* timer = std::get_if<SetTimer>(&instruction)) {
    timers_.emplace(timer->at, timer->timer);
  } else if (const auto* plan = std::get_if<SendPlan>(&instruction)) {
    for (const ClientId& client : plan->clients) {
      if (!present_.contains(client)) continue;
      clients_.at(client).holds = true;
      Reply({plan_->key(), client, std::string(kTrainedPhase), {}});
    }
  } else if (const auto* step = std::get_if<SendPhase>(&instruction)) {
    for (const ClientId& client : step->clients) {
      if (present_.contains(client)) Answer(client, *step);
    }
  } else if (const auto* work = std::get_if<RunWork>(&instruction)) {
    Work(*work);
  }
}

void SecureDrive::Store(const Persist& persist) {
  Status status;
  if (persist.record == Record::kBeginAttempt) {
    status = store_->BeginAttempt(lease_, persist.plan);
    sums_ = SecureSums::Create(terms_, nullptr, nullptr, *plan_).value();
  } else if (persist.record == Record::kChargePrivacy) {
    charged.push_back(std::to_string(persist.charge->key.session));
    status = store_->ChargePrivacy(
        lease_,
        {.session = persist.charge->key,
         .masked_sum = store_->PutBlob(sums_->masked(persist.charge->group)).value(),
         .receipts =
             store_->PutBlob(AsBytes(SerializeCharge(persist.plan, *persist.charge))).value()});
  } else if (persist.record == Record::kResumeAttempt) {
    status = TakeUp();
  } else {
    outcome = persist.outcome;
    status = store_->EndAttempt(
        lease_, {.key = persist.plan.key(), .outcome = SerializeRecord(*persist.outcome)});
  }
  EXPECT_TRUE(status.ok()) << status.error().message();
  events_.emplace_back(StoreFinished{persist.ticket, std::move(status)});
}

Status SecureDrive::TakeUp() {
  sums_ = SecureSums::Create(terms_, nullptr, nullptr, *plan_).value();
  FEDMETA_ASSIGN_OR_RETURN(const std::optional<ChargedAttempt> stored,
                           ReadChargedAttempt(*store_, lease_.run, plan_->key()));
  for (const ChargedAttempt::Group& group : stored.value().groups) {
    FEDMETA_ASSIGN_OR_RETURN(const Bytes masked, store_->GetBlob(group.masked_sum));
    FEDMETA_RETURN_IF_ERROR(sums_->Add(group.group, group.session, masked));
  }
  return {};
}

void SecureDrive::Reply(PhaseReplied reply) {
  if (silent[reply.phase].contains(reply.client.value())) return;
  if (on_reply) on_reply(reply);
  events_.emplace_back(std::move(reply));
}

Result<std::string> SecureDrive::AnswerOf(const ClientId& id, const SendPhase& step) {
  Client& client = clients_.at(id);
  if (!client.holds || WithoutSession(step.key) != plan_->key())
    return Error(ErrorCode::kFailedPrecondition, "no update is held here");
  if (step.phase == kAdvertisePhase) {
    return client.secure->Advertise({.key = SecureKey(*plan_, step.key.session),
                                     .group = step.group,
                                     .plan_hash = plan_->hash(),
                                     .model_hash = Digest::Of("model"),
                                     .bits = RingBits::k32,
                                     .words = SecureWords(plan_->message())});
  }
  if (step.phase == kSharePhase) return client.secure->Share(step.body);
  if (step.phase == kOpenPhase) {
    Result<std::string> body = client.secure->Open(step.body);
    if (body.ok()) opened.insert(client.secure->session());
    return body;
  }
  FEDMETA_ASSIGN_OR_RETURN(SecureClient::Masked masked,
                           client.secure->Mask(step.body, Encoded(id)));
  if (!silent[step.phase].contains(id.value())) {
    const auto slot = static_cast<std::uint32_t>(uploads_.size());
    uploads_.emplace_back(masked.vector.begin(), masked.vector.end());
    events_.emplace_back(UploadStaged{step.key, id, slot, Digest::Of(uploads_.back())});
  }
  return std::move(masked.receipt);
}

void SecureDrive::Answer(const ClientId& id, const SendPhase& step) {
  Result<std::string> body = AnswerOf(id, step);
  if (body.ok()) {
    Reply({step.key, id, step.phase, *std::move(body)});
  } else if (const SecureClient& client = *clients_.at(id).secure;
             step.phase == kMaskPhase && client.complaint()) {
    Reply({step.key, id, std::string(kComplaintPhase), *client.complaint()});
  } else {
    events_.emplace_back(ClientFailed{step.key, id, step.phase, body.error().message()});
  }
}

void SecureDrive::Work(const RunWork& work) {
  WorkFinished finished{work.ticket, {}, std::nullopt};
  if (work.work == Work::kAddUpload) {
    finished.status = sums_->Add(work.group, work.session, uploads_[work.slot]);
  } else if (work.work == Work::kUnmask) {
    finished.status = sums_->Unmask(work.group, work.reported, *work.self_mask_keys);
  } else {
    sum = sums_->Finish().value();
    finished.result = RoundResult{.metrics = sum->metrics, .disclosed = {}};
  }
  events_.emplace_back(std::move(finished));
}

}  // namespace fedmeta

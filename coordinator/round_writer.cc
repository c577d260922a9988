#include "fedmeta/coordinator/round_writer.h"

#include <cstring>
#include <set>

namespace fedmeta {

Result<OpenedRun> OpenRun(RoundStore& store, const ExperimentId& run, Interrupted interrupted) {
  OpenedRun opened;
  FEDMETA_ASSIGN_OR_RETURN(opened.lease, store.Acquire(run));
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<RoundKey> open, store.OpenAttempts(run));
  for (const RoundKey& key : open) {
    AttemptRecord cut_off;
    cut_off.key = key;
    cut_off.reason = "the process that ran it ended";
    cut_off.cut_off = true;
    if (interrupted == Interrupted::kResume) {
      auto charged = ReadChargedAttempt(store, run, key);
      if (!charged.ok() && charged.error().code() != ErrorCode::kDataLoss) return charged.error();
      if (charged.ok() && *charged) {
        opened.interrupted = *std::move(charged);
        continue;
      }
      if (!charged.ok()) {
        cut_off.spent = true;
        cut_off.reason = charged.error().message();
      }
    }
    FEDMETA_RETURN_IF_ERROR(
        store.EndAttempt(opened.lease, {.key = key, .outcome = SerializeRecord(cut_off)}));
  }
  FEDMETA_ASSIGN_OR_RETURN(std::vector<JournalEntry> journal, store.Journal(run));
  FEDMETA_ASSIGN_OR_RETURN(opened.history, RunHistory::Create(std::move(journal)));
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<PrivacyCharge> charges, store.PrivacyCharges(run));
  std::set<RoundKey> attempts;  // a session a group, each client in one of them
  for (PrivacyCharge charge : charges) {
    // What evaluations open is kept here too, but costs nothing.
    if (charge.session.purpose != Purpose::kTrain) continue;
    charge.session.session = 0;
    attempts.insert(charge.session);
  }
  opened.charged = attempts.size();
  FEDMETA_ASSIGN_OR_RETURN(const std::string presence, store.Presence(run));
  FEDMETA_ASSIGN_OR_RETURN(opened.present, ParsePresence(presence));
  return opened;
}

Result<Digest> RoundWriter::Write(const Persist& what,
                                  std::span<const std::pair<ClientId, Bytes>> client_states) {
  if (what.record == Record::kBeginAttempt) {
    if (what.presence) {
      FEDMETA_RETURN_IF_ERROR(store_.SetPresence(lease_, SerializePresence(*what.presence)));
    }
    FEDMETA_RETURN_IF_ERROR(store_.BeginAttempt(lease_, what.plan));
    return Digest();
  }
  AttemptRecord outcome = *what.outcome;
  if (what.record != Record::kCommitRound) {
    FEDMETA_RETURN_IF_ERROR(
        store_.EndAttempt(lease_, {.key = outcome.key, .outcome = SerializeRecord(outcome)}));
    return Digest();
  }
  if (what.cost) FEDMETA_RETURN_IF_ERROR(Charge(outcome.key, *what.cost));
  CommittedRound round{.key = outcome.key, .state = {}, .optimizer_state = {}, .client_states = {}};
  FEDMETA_ASSIGN_OR_RETURN(round.state, store_.PutBlob(AsBytes(worker_.next_state())));
  FEDMETA_ASSIGN_OR_RETURN(round.optimizer_state, store_.PutBlob(worker_.optimizer_state()));
  for (const auto& [client, bytes] : client_states) {
    FEDMETA_ASSIGN_OR_RETURN(const BlobRef blob, store_.PutBlob(bytes));
    round.client_states.emplace_back(client, blob);
  }
  outcome.state_hash = round.state.sha256;
  outcome.sent_hash = worker_.next_sent_hash();
  FEDMETA_RETURN_IF_ERROR(store_.CommitRound(lease_, what.plan, round, SerializeRecord(outcome)));
  return round.state.sha256;
}

Status RoundWriter::Charge(const RoundKey& attempt, const PrivacyCost& cost) {
  PrivacyCharge charge{.session = attempt,
                       .epsilon = cost.epsilon,
                       .delta = cost.delta,
                       .masked_sum = {},
                       .receipts = {}};
  charge.session.session = 1;
  FEDMETA_ASSIGN_OR_RETURN(charge.masked_sum, store_.PutBlob({}));
  charge.receipts = charge.masked_sum;
  return store_.ChargePrivacy(lease_, charge);
}

Status RoundWriter::Charge(const Persist& what, std::span<const std::byte> masked_sum) {
  PrivacyCharge charge{.session = what.charge->key, .masked_sum = {}, .receipts = {}};
  if (what.cost) {
    charge.epsilon = what.cost->epsilon;
    charge.delta = what.cost->delta;
  }
  FEDMETA_ASSIGN_OR_RETURN(charge.masked_sum, store_.PutBlob(masked_sum));
  FEDMETA_ASSIGN_OR_RETURN(charge.receipts,
                           store_.PutBlob(AsBytes(SerializeCharge(what.plan, *what.charge))));
  return store_.ChargePrivacy(lease_, charge);
}

Result<RoundWriter::Sums> RoundWriter::MaskedSums(const RoundKey& attempt) {
  FEDMETA_ASSIGN_OR_RETURN(const std::optional<ChargedAttempt> charged,
                           ReadChargedAttempt(store_, lease_.run, attempt));
  Sums sums;
  if (!charged) return sums;
  for (const ChargedAttempt::Group& group : charged->groups) {
    FEDMETA_ASSIGN_OR_RETURN(Bytes sum, store_.GetBlob(group.masked_sum));
    sums.emplace_back(group, std::move(sum));
  }
  return sums;
}

Result<std::optional<SavedState>> RoundWriter::Load(const StartLeg& what, const ExperimentId& leg) {
  if (!what.head) return std::optional<SavedState>();
  FEDMETA_ASSIGN_OR_RETURN(const std::optional<CommittedRound> head, store_.Head(leg));
  if (!head || head->key != *what.head || head->state.sha256 != what.state_hash) {
    return Error(ErrorCode::kDataLoss,
                 "store: the journal ends with " + what.head->ToString() + ", the state is of " +
                     (head ? head->key.ToString() : "no round") + ": restore a backup");
  }
  FEDMETA_ASSIGN_OR_RETURN(const Bytes bytes, store_.GetBlob(head->state));
  SavedState saved{.state = std::vector<float>(bytes.size() / sizeof(float)),
                   .optimizer_state = {}};
  std::memcpy(saved.state.data(), bytes.data(), saved.state.size() * sizeof(float));
  FEDMETA_ASSIGN_OR_RETURN(saved.optimizer_state, store_.GetBlob(head->optimizer_state));
  return std::optional(std::move(saved));
}

}  // namespace fedmeta

#include "fedmeta/tests/faults/store_run.h"

#include <algorithm>

#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

const ExperimentId kRun("demo");
const ExperimentId kLeg("demo/maml");
constexpr std::size_t kSmall = 3000;    // lies in a row
constexpr std::size_t kLarge = 300000;  // lies in a file

std::string Content(const std::string& seed, std::size_t size) {
  const std::string block = Digest::Of(seed).hex();
  std::string content;
  while (content.size() < size) content += block;
  content.resize(size);
  return content;
}

class Going {
 public:
  Going(RoundStore& store, const StoreRun& run) : store_(store), run_(run) {}

  Status Run() {
    FEDMETA_RETURN_IF_ERROR(Try([&]() -> Status {
      Result<Lease> lease = store_.Acquire(kRun);
      if (!lease.ok()) return lease.error();
      lease_ = *lease;
      return {};
    }));
    FEDMETA_RETURN_IF_ERROR(Try([&] { return store_.Describe(lease_, "a demonstration"); }));
    FEDMETA_ASSIGN_OR_RETURN(const std::vector<RoundKey> open, store_.OpenAttempts(kRun));
    for (const RoundKey& key : open) FEDMETA_RETURN_IF_ERROR(End(key, "cut off"));
    for (;;) {
      FEDMETA_ASSIGN_OR_RETURN(head_, store_.Head(kLeg));
      round_ = head_ ? head_->key.round + 1 : 1;
      if (round_ > run_.rounds) return {};
      FEDMETA_RETURN_IF_ERROR(Round());
    }
  }

 private:
  template <typename Call>
  Status Try(const Call& call) {
    Status status = call();
    for (int i = 1; i < run_.tries && !status.ok(); ++i) status = call();
    return status;
  }
  void Say(const std::string& what) {
    if (run_.acknowledged) run_.acknowledged(what);
  }

  Status End(const RoundKey& key, const std::string& outcome) {
    FEDMETA_RETURN_IF_ERROR(Try([&] { return store_.EndAttempt(lease_, {key, outcome}); }));
    Say("ended " + key.ToString());
    return {};
  }

  // The number after those that the journal has.
  Result<RoundKey> Next(Purpose purpose) {
    RoundKey key{.experiment = kLeg, .purpose = purpose, .round = round_, .attempt = 1};
    FEDMETA_ASSIGN_OR_RETURN(const std::vector<JournalEntry> journal, store_.Journal(kRun));
    for (const JournalEntry& entry : journal) {
      if (entry.key.purpose == purpose && entry.key.round == round_) {
        key.attempt = std::max(key.attempt, entry.key.attempt + 1);
      }
    }
    return key;
  }

  Result<BlobRef> Put(const std::string& content) {
    BlobRef blob;
    FEDMETA_RETURN_IF_ERROR(Try([&]() -> Status {
      Result<BlobRef> put = store_.PutBlob(AsBytes(content));
      if (!put.ok()) return put.error();
      blob = *put;
      return {};
    }));
    return blob;
  }

  Result<RoundPlan> Begin(Purpose purpose) {
    FEDMETA_ASSIGN_OR_RETURN(const RoundKey key, Next(purpose));
    const RoundPlan plan = PlanOf(key, head_ ? std::optional(head_->key) : std::nullopt);
    FEDMETA_RETURN_IF_ERROR(Try([&] { return store_.BeginAttempt(lease_, plan); }));
    Say("begun " + key.ToString());
    return plan;
  }

  // What the round before left goes into it, read back from the store.
  Result<std::string> Seed() {
    std::string seed = std::to_string(round_);
    if (!head_) return seed;
    for (const BlobRef& blob : {head_->state, head_->optimizer_state}) {
      FEDMETA_ASSIGN_OR_RETURN(const Bytes bytes, store_.GetBlob(blob));
      seed += Digest::Of(bytes).hex();
    }
    return seed;
  }

  Status Round() {
    FEDMETA_ASSIGN_OR_RETURN(const RoundPlan plan, Begin(Purpose::kTrain));
    const std::string number = std::to_string(round_);
    FEDMETA_RETURN_IF_ERROR(Try([&] { return store_.SetPresence(lease_, "in " + number); }));

    PrivacyCharge charge{
        .session = plan.key(), .epsilon = 0.5, .delta = 1e-6, .masked_sum = {}, .receipts = {}};
    charge.session.session = 1;
    FEDMETA_ASSIGN_OR_RETURN(charge.masked_sum, Put("sum of " + number));
    FEDMETA_ASSIGN_OR_RETURN(charge.receipts, Put("receipts of " + number));
    FEDMETA_RETURN_IF_ERROR(Try([&] { return store_.ChargePrivacy(lease_, charge); }));
    Say("charged " + charge.session.ToString());

    FEDMETA_ASSIGN_OR_RETURN(const std::string seed, Seed());
    CommittedRound next{.key = plan.key(), .state = {}, .optimizer_state = {}, .client_states = {}};
    FEDMETA_ASSIGN_OR_RETURN(next.state, Put(Content("state" + seed, kSmall)));
    FEDMETA_ASSIGN_OR_RETURN(next.optimizer_state, Put(Content("moments" + seed, kLarge)));
    FEDMETA_ASSIGN_OR_RETURN(const BlobRef own, Put(Content("client" + seed, kSmall)));
    next.client_states.emplace_back(ClientId("a"), own);
    if (round_ % 2 == 1) next.client_states.emplace_back(ClientId("b"), own);
    FEDMETA_RETURN_IF_ERROR(
        Try([&] { return store_.CommitRound(lease_, plan, next, "committed"); }));
    Say("committed " + number);

    head_ = next;
    FEDMETA_RETURN_IF_ERROR(
        Try([&] { return store_.Keep(lease_, "maml/last", next.optimizer_state); }));
    FEDMETA_ASSIGN_OR_RETURN(const RoundPlan evaluation, Begin(Purpose::kEvaluate));
    store_.Tidy();
    return End(evaluation.key(), "evaluated");
  }

  RoundStore& store_;
  const StoreRun& run_;
  Lease lease_;
  std::optional<CommittedRound> head_;
  std::uint64_t round_ = 0;
};

Status CheckAll(RoundStore& store) {
  const auto wrong = [](const std::string& what) { return Error(ErrorCode::kInternal, what); };
  FEDMETA_ASSIGN_OR_RETURN(const std::optional<CommittedRound> head, store.Head(kLeg));
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<JournalEntry> journal, store.Journal(kRun));
  std::optional<RoundKey> last;
  for (const JournalEntry& entry : journal) {
    if (entry.outcome != "committed") continue;
    if (entry.key.round != (last ? last->round : 0) + 1) {
      return wrong("the journal misses a round before " + entry.key.ToString());
    }
    last = entry.key;
  }
  if (last != (head ? std::optional(head->key) : std::nullopt)) {
    return wrong("the journal ends with " + (last ? last->ToString() : "nothing") +
                 ", the head is " + (head ? head->key.ToString() : "none"));
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<RoundKey> open, store.OpenAttempts(kRun));
  if (open.size() > 1) return wrong(std::to_string(open.size()) + " open attempts");

  std::vector<BlobRef> named;
  if (head) {
    named.insert(named.end(), {head->state, head->optimizer_state});
    for (const char* const client : {"a", "b"}) {
      FEDMETA_ASSIGN_OR_RETURN(const auto state, store.ClientState(kLeg, ClientId(client)));
      if (!state) return wrong("a client's state is missing");
      named.push_back(*state);
    }
    if (head->client_states.empty() || head->client_states[0].second != named[2]) {
      return wrong("the head has another client state than the client");
    }
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<PrivacyCharge> charges, store.PrivacyCharges(kRun));
  for (const PrivacyCharge& charge : charges) {
    named.insert(named.end(), {charge.masked_sum, charge.receipts});
  }
  for (const BlobRef& blob : named) FEDMETA_RETURN_IF_ERROR(store.GetBlob(blob));
  return {};
}

}  // namespace

RoundPlan PlanOf(const RoundKey& key, const std::optional<RoundKey>& parent) {
  v1::RoundPlan message;
  *message.mutable_key() = ToMessage(key);
  if (parent) *message.mutable_parent() = ToMessage(*parent);
  message.set_assignment_hash(Digest::Of("assignment").bytes());
  message.set_assignment_size(1);
  message.set_state_hash(Digest::Of("state").bytes());
  message.set_state_coordinates(1);
  message.set_maximum_weight(1);
  if (key.purpose == Purpose::kTrain) {
    message.mutable_train();
  } else {
    v1::Evaluate& evaluate = *message.mutable_evaluate();
    evaluate.set_part(v1::PART_VALIDATION);
    evaluate.add_shots(1);
    evaluate.add_learning_rates(0.1);
    evaluate.add_steps(1);
    evaluate.set_episodes(1);
  }
  return RoundPlan::Create(message).value();
}

Status GoOn(RoundStore& store, const StoreRun& run) { return Going(store, run).Run(); }

std::string Faults(RoundStore& store) {
  const Status status = CheckAll(store);
  return status.ok() ? "" : status.error().message();
}

std::string HeadText(RoundStore& store) {
  const auto head = store.Head(kLeg);
  if (!head.ok()) return head.error().message();
  if (!*head) return "none";
  return std::to_string((*head)->key.round) + " " + (*head)->state.sha256.hex() + " " +
         (*head)->optimizer_state.sha256.hex();
}

}  // namespace fedmeta

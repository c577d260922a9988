#include "fedmeta/coordinator/secure_round_engine.h"

#include <deque>
#include <set>

#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/coordinator/secure_sums.h"
#include "fedmeta/privacy/opening_log.h"
#include "fedmeta/privacy/process_party.h"
#include "fedmeta/privacy/secure_client.h"
#include "fedmeta/protocol/phases.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::SecureTerms Terms(std::uint32_t group_size) {
  v1::SecureTerms terms;
  terms.set_ring_bits(32);
  terms.set_clip(10);
  terms.set_metric_bound(100);
  terms.set_group_size(group_size);
  terms.set_minimum(3);
  return terms;
}

/// An evaluation of one cell: its vectors are short.
RoundPlan Plan() {
  v1::Experiment experiment = DemoExperiment(3, 5, 3);
  return PlanFactory(experiment, DemoLeg("maml"))
      .Evaluate(v1::PART_TEST, 1, 2, std::nullopt, Digest::Of("s"))
      .value();
}

/// An attempt with real clients: everyone answers at once unless it is silent in that phase; timers
/// fire when nothing else happens.
class Drive {
 public:
  explicit Drive(std::size_t count, std::uint32_t group_size = 16, std::uint32_t minimum = 3)
      : authority_("shapes"),
        plan_(Plan()),
        terms_(Terms(group_size)),
        sums_(SecureSums::Create(terms_, nullptr, nullptr, plan_).value()) {
    std::vector<ClientId> cohort;
    for (std::size_t i = 0; i < count; ++i) cohort.emplace_back(std::string(1, char('a' + i)));
    for (const ClientId& client : cohort) Start(client);
    engine_ = MakeSecureRoundEngine({.attempt = {.plan = plan_,
                                                 .cohort = cohort,
                                                 .minimum = minimum,
                                                 .population = 5,
                                                 .report_deadline = std::chrono::seconds(60)},
                                     .settings = {.federation = "shapes",
                                                  .verifier = &authority_.verifier(),
                                                  .terms = terms_,
                                                  .sessions = 3,
                                                  .phase_deadline = std::chrono::seconds(10)},
                                     .model_hash = Digest::Of("model")},
                                    tickets_);
  }

  void Run() {
    Take(engine_->Start(now_));
    while (!engine_->over()) {
      if (!events_.empty()) {
        const Event event = std::move(events_.front());
        events_.pop_front();
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

  /// Who says nothing, by phase.
  std::map<std::string, std::set<std::string>> silent;
  /// Called for each answer before it is handed in; may change it.
  std::function<void(PhaseReplied&)> on_reply;
  std::function<void(const Instruction&)> on_instruction;

  std::optional<AttemptRecord> outcome;
  std::optional<DecodedSum> sum;
  std::vector<std::string> charged;  // sessions
  std::vector<std::string> lines;
  void Give(Event event) { events_.push_back(std::move(event)); }
  const RoundPlan& plan() const { return plan_; }

 private:
  struct Client {
    std::unique_ptr<OpeningLatch> latch;
    std::optional<SecureClient> secure;
  };

  void Start(const ClientId& id) {
    Client& client = clients_[id];
    client.latch = OpeningsInMemory();
    client.secure =
        SecureClient::Create(
            {.federation = "shapes",
             .policy = {.minimum_members = 3, .members = {"spiffe://shapes/client/*"}},
             .signer = [signer = authority_.Admit(id.value())] { return Result(signer); },
             .verifier = &authority_.verifier(),
             .latch = client.latch.get()})
            .value();
  }

  /// What a client contributes: one client of loss 1, 2, 3, ...
  RingVector Encoded(const ClientId& client) const {
    MetricSums cell;
    cell.clients = 1;
    cell.mean_loss = client.value()[0] - 'a' + 1;
    const std::size_t cells = MetricCells(plan_.message());
    return SecureCodec(terms_, nullptr, cells)
        .value()
        .Encode({.update = {}, .weight = 1, .metrics = std::vector<MetricSums>(cells, cell)})
        .value();
  }

  void Take(std::vector<Instruction> instructions) {
    for (const Instruction& instruction : instructions) {
      lines.push_back(Describe(instruction));
      if (on_instruction) on_instruction(instruction);
      if (const auto* persist = std::get_if<Persist>(&instruction)) {
        if (persist->charge) charged.push_back(std::to_string(persist->charge->key.session));
        if (persist->outcome) outcome = persist->outcome;
        events_.emplace_back(StoreFinished{persist->ticket, {}});
      } else if (const auto* timer = std::get_if<SetTimer>(&instruction)) {
        timers_.emplace(timer->at, timer->timer);
      } else if (const auto* plan = std::get_if<SendPlan>(&instruction)) {
        for (const ClientId& client : plan->clients) {
          Reply({plan_.key(), client, std::string(kTrainedPhase), {}});
        }
      } else if (const auto* step = std::get_if<SendPhase>(&instruction)) {
        for (const ClientId& client : step->clients) Answer(client, *step);
      } else if (const auto* work = std::get_if<RunWork>(&instruction)) {
        Work(*work);
      }
    }
  }

  void Reply(PhaseReplied reply) {
    if (silent[reply.phase].contains(reply.client.value())) return;
    if (on_reply) on_reply(reply);
    events_.emplace_back(std::move(reply));
  }

  void Answer(const ClientId& id, const SendPhase& step) {
    SecureClient& client = *clients_.at(id).secure;
    Result<std::string> body = Error(ErrorCode::kInternal, "");
    if (step.phase == kAdvertisePhase) {
      body = client.Advertise({.key = SecureKey(plan_, step.key.session),
                               .group = step.group,
                               .plan_hash = plan_.hash(),
                               .model_hash = Digest::Of("model"),
                               .bits = RingBits::k32,
                               .words = SecureWords(plan_.message())});
    } else if (step.phase == kSharePhase) {
      body = client.Share(step.body);
    } else if (step.phase == kOpenPhase) {
      body = client.Open(step.body);
    } else {
      Result<SecureClient::Masked> masked = client.Mask(step.body, Encoded(id));
      if (masked.ok() && !silent[step.phase].contains(id.value())) {
        const auto slot = static_cast<std::uint32_t>(uploads_.size());
        uploads_.emplace_back(masked->vector.begin(), masked->vector.end());
        events_.emplace_back(UploadStaged{step.key, id, slot, Digest::Of(uploads_.back())});
      }
      if (masked.ok()) {
        body = std::move(masked->receipt);
      } else {
        body = masked.error();
      }
    }
    if (body.ok()) {
      Reply({step.key, id, step.phase, *std::move(body)});
    } else {
      events_.emplace_back(ClientFailed{step.key, id, step.phase, body.error().message()});
    }
  }

  void Work(const RunWork& work) {
    WorkFinished finished{work.ticket, {}, std::nullopt};
    if (work.work == Work::kAddUpload) {
      finished.status = sums_.Add(work.group, work.session, uploads_[work.slot]);
    } else if (work.work == Work::kUnmask) {
      finished.status = sums_.Unmask(work.group, work.reported, *work.self_mask_keys);
    } else {
      sum = sums_.Finish().value();
      finished.result = RoundResult{.metrics = sum->metrics, .disclosed = {}};
    }
    events_.emplace_back(std::move(finished));
  }

  ProcessAuthority authority_;
  const RoundPlan plan_;
  const v1::SecureTerms terms_;
  SecureSums sums_;
  std::map<ClientId, Client> clients_;
  Tickets tickets_;
  std::unique_ptr<RoundEngine> engine_;
  TimePoint now_{};
  std::deque<Event> events_;
  std::multimap<TimePoint, std::uint64_t> timers_;
  std::vector<Bytes> uploads_;
};

/// 1 + 2 + ... over these clients.
double Losses(const std::string& clients) {
  double sum = 0;
  for (const char client : clients) sum += client - 'a' + 1;
  return sum;
}

void ExpectOpened(const Drive& drive, const std::string& clients) {
  ASSERT_TRUE(drive.outcome.has_value());
  EXPECT_TRUE(drive.outcome->committed) << drive.outcome->reason;
  EXPECT_FALSE(drive.outcome->spent);
  ASSERT_THAT(drive.outcome->reported, SizeIs(clients.size()));
  EXPECT_EQ(drive.sum->contributors, clients.size());
  EXPECT_NEAR(drive.sum->metrics[0].mean_loss, Losses(clients), 1e-3);
  EXPECT_NEAR(drive.sum->metrics[0].clients, static_cast<double>(clients.size()), 1e-6);
}

TEST(SecureRoundEngineTest, OpensTheSumOfAll) {
  Drive drive(5);
  drive.Run();
  ExpectOpened(drive, "abcde");
  EXPECT_THAT(drive.charged, ElementsAre("1"));
}

TEST(SecureRoundEngineTest, ASilentClientCostsASessionOnceTheMembersAreFixed) {
  for (const std::string_view phase : {kSharePhase, kMaskPhase}) {
    Drive drive(5);
    drive.silent[std::string(phase)] = {"b"};
    drive.Run();
    ExpectOpened(drive, "acde");
    ASSERT_THAT(drive.outcome->sessions, SizeIs(2)) << phase;
    EXPECT_FALSE(drive.outcome->sessions[0].opened);
    EXPECT_EQ(drive.outcome->sessions[0].phase, phase);
    EXPECT_THAT(drive.outcome->sessions[0].missing, ElementsAre("b"));
    EXPECT_THAT(drive.outcome->sessions[1].members, ElementsAre("a", "c", "d", "e"));
    EXPECT_THAT(drive.charged, ElementsAre("2")) << "the first session opened nothing";
    ASSERT_THAT(drive.outcome->dropped, SizeIs(1));
    EXPECT_EQ(drive.outcome->dropped[0].client, "b");
  }
}

TEST(SecureRoundEngineTest, ASilentClientCostsNoSessionBeforeTheMembersAreFixed) {
  for (const std::string_view phase : {kTrainedPhase, kAdvertisePhase}) {
    Drive drive(5);
    drive.silent[std::string(phase)] = {"e"};
    drive.Run();
    ExpectOpened(drive, "abcd");
    EXPECT_THAT(drive.outcome->sessions, SizeIs(1));
  }
}

TEST(SecureRoundEngineTest, AFewMayBeLostWhileItIsOpened) {
  Drive drive(5);  // 4 of 5 open it
  drive.silent[std::string(kOpenPhase)] = {"c"};
  drive.Run();
  ExpectOpened(drive, "abcde");
}

TEST(SecureRoundEngineTest, IsSpentWhenTooFewOpen) {
  Drive drive(5);
  drive.silent[std::string(kOpenPhase)] = {"c", "d"};
  drive.Run();
  EXPECT_FALSE(drive.outcome->committed);
  EXPECT_TRUE(drive.outcome->spent);
  EXPECT_FALSE(drive.sum.has_value());
  EXPECT_THAT(drive.outcome->sessions[0].missing, ElementsAre("c", "d"));
}

TEST(SecureRoundEngineTest, IsNotSpentWhenNothingWasOpened) {
  Drive drive(4);
  drive.silent[std::string(kMaskPhase)] = {"a", "b"};
  drive.Run();
  EXPECT_FALSE(drive.outcome->committed);
  EXPECT_FALSE(drive.outcome->spent);
  EXPECT_THAT(drive.charged, IsEmpty());
  EXPECT_THAT(drive.outcome->reason, HasSubstr("2 clients left for a secure sum"));
}

TEST(SecureRoundEngineTest, GivesUpAfterTheSessionsItMayTry) {
  Drive drive(6);
  int session = 0;
  drive.on_instruction = [&](const Instruction& instruction) {
    const auto* step = std::get_if<SendPhase>(&instruction);
    if (step == nullptr || step->phase != kAdvertisePhase) return;
    drive.silent[std::string(kSharePhase)] = {std::string(1, char('a' + session++))};
  };
  drive.Run();
  EXPECT_FALSE(drive.outcome->committed);
  EXPECT_THAT(drive.outcome->sessions, SizeIs(3));
  EXPECT_THAT(drive.outcome->reason, HasSubstr("3 sessions of secure aggregation"));
}

TEST(SecureRoundEngineTest, DropsAClientWhoseMessageDoesNotHold) {
  Drive drive(5);
  drive.on_reply = [](PhaseReplied& reply) {
    if (reply.client.value() == "d" && reply.phase == kSharePhase) reply.body += "x";
  };
  drive.Run();
  ExpectOpened(drive, "abce");
  EXPECT_EQ(drive.outcome->dropped[0].client, "d");
}

TEST(SecureRoundEngineTest, DealsOutGroupsThatAreOpenedTogetherOrNotAtAll) {
  Drive drive(7, 5, 6);
  drive.Run();
  ExpectOpened(drive, "abcdefg");
  ASSERT_THAT(drive.outcome->sessions, SizeIs(2));
  EXPECT_THAT(drive.outcome->sessions[0].members, ElementsAre("a", "b", "c"));
  EXPECT_THAT(drive.outcome->sessions[1].members, ElementsAre("d", "e", "f", "g"));

  Drive broken(7, 5, 6);
  broken.silent[std::string(kMaskPhase)] = {"a"};
  broken.Run();
  EXPECT_FALSE(broken.outcome->committed);
  EXPECT_THAT(broken.charged, IsEmpty()) << "four of the others would have been opened in vain";
  EXPECT_FALSE(broken.outcome->spent);
}

TEST(SecureRoundEngineTest, AClientThatStartsAnewInASessionIsLeftOut) {
  Drive drive(5);
  bool once = false;
  drive.on_instruction = [&](const Instruction& instruction) {
    if (!std::holds_alternative<ExpectUploads>(instruction) || std::exchange(once, true)) return;
    drive.Give(ClientJoined{ClientId("b"), v1::ROLE_TRAIN});
  };
  drive.Run();
  ExpectOpened(drive, "acde");
}

TEST(SecureRoundEngineTest, CancellingBeforeTheChargeOpensNothing) {
  Drive drive(5);
  drive.on_instruction = [&](const Instruction& instruction) {
    if (std::holds_alternative<ExpectUploads>(instruction)) drive.Give(CancelAsked{"stop", true});
  };
  drive.Run();
  EXPECT_FALSE(drive.outcome->committed);
  EXPECT_FALSE(drive.outcome->spent);
  EXPECT_THAT(drive.charged, IsEmpty());
}

TEST(SecureRoundEngineTest, CancellingAfterTheChargeWaitsForTheOpening) {
  Drive drive(5);
  drive.on_instruction = [&](const Instruction& instruction) {
    const auto* persist = std::get_if<Persist>(&instruction);
    if (persist != nullptr && persist->charge) drive.Give(CancelAsked{"stop", true});
  };
  drive.Run();
  ExpectOpened(drive, "abcde");
}

}  // namespace
}  // namespace fedmeta

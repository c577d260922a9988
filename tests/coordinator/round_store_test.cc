// What every round store promises; each test runs over all of them.
#include "fedmeta/coordinator/round_store.h"

#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/tests/faults/store_run.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

enum class Kind { kMemory, kSqliteProcess, kSqlitePower };

RoundKey Key(std::uint64_t round, std::uint32_t attempt, Purpose purpose = Purpose::kTrain,
             const std::string& leg = "demo/maml") {
  return {.experiment = ExperimentId(leg), .purpose = purpose, .round = round, .attempt = attempt};
}

class RoundStoreTest : public ::testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<RoundStore> Open() {
    if (GetParam() == Kind::kMemory) return MakeMemoryStore();
    return OpenSqliteStore(folder_.path() / "store.db", GetParam() == Kind::kSqlitePower
                                                            ? Durability::kPower
                                                            : Durability::kProcess)
        .value();
  }

  BlobRef Put(const std::string& content) { return store_->PutBlob(AsBytes(content)).value(); }
  bool Has(const BlobRef& blob) {
    const auto got = store_->GetBlob(blob);
    EXPECT_TRUE(got.ok() || got.error().code() == ErrorCode::kNotFound) << got.error().message();
    return got.ok();
  }
  void Begin(const RoundKey& key, const std::optional<RoundKey>& parent = {}) {
    ASSERT_TRUE(store_->BeginAttempt(lease_, PlanOf(key, parent)).ok());
  }
  // Of blobs that differ by `content`.
  CommittedRound Round(const RoundKey& key, const std::string& content) {
    return {.key = key,
            .state = Put("state " + content),
            .optimizer_state = Put(Large("moments " + content)),
            .client_states = {}};
  }
  Status Commit(const RoundKey& key, const std::optional<RoundKey>& parent,
                const std::string& content) {
    return store_->CommitRound(lease_, PlanOf(key, parent), Round(key, content), "committed");
  }
  // Too large for a row of a database.
  static std::string Large(const std::string& content) {
    return content + std::string(std::size_t{1} << 20, '.');
  }
  static ErrorCode CodeOf(const Status& status) {
    return status.ok() ? ErrorCode::kCancelled : status.error().code();
  }

  const ExperimentId run_{"demo"};
  const ExperimentId leg_{"demo/maml"};
  TemporaryFolder folder_;
  std::unique_ptr<RoundStore> store_ = Open();
  Lease lease_ = store_->Acquire(run_).value();
};

TEST_P(RoundStoreTest, AnAttemptNumberIsUsedOnce) {
  Begin(Key(1, 1));
  EXPECT_EQ(CodeOf(store_->BeginAttempt(lease_, PlanOf(Key(1, 1), {}))), ErrorCode::kAlreadyExists);
  ASSERT_TRUE(store_->EndAttempt(lease_, {Key(1, 1), "abandoned"}).ok());
  EXPECT_EQ(CodeOf(store_->BeginAttempt(lease_, PlanOf(Key(1, 1), {}))), ErrorCode::kAlreadyExists);
  Begin(Key(1, 2));
  Begin(Key(1, 1, Purpose::kEvaluate));
  Begin(Key(1, 1, Purpose::kTrain, "demo/fedavg"));
}

TEST_P(RoundStoreTest, NamesTheAttemptsThatHaveNotEnded) {
  EXPECT_THAT(store_->OpenAttempts(run_).value(), IsEmpty());
  Begin(Key(1, 1));
  Begin(Key(1, 1, Purpose::kEvaluate));
  EXPECT_THAT(store_->OpenAttempts(run_).value(),
              ElementsAre(Key(1, 1), Key(1, 1, Purpose::kEvaluate)));
  ASSERT_TRUE(store_->EndAttempt(lease_, {Key(1, 1, Purpose::kEvaluate), "done"}).ok());
  ASSERT_TRUE(Commit(Key(1, 1), {}, "one").ok());
  EXPECT_THAT(store_->OpenAttempts(run_).value(), IsEmpty());
  EXPECT_THAT(store_->OpenAttempts(ExperimentId("other")).value(), IsEmpty());
}

TEST_P(RoundStoreTest, CommitsOnTopOfTheHeadOnly) {
  Begin(Key(1, 1));
  ASSERT_TRUE(Commit(Key(1, 1), {}, "one").ok());
  EXPECT_EQ(store_->Head(leg_).value()->key, Key(1, 1));

  Begin(Key(2, 1));
  const Status refused = Commit(Key(2, 1), {}, "two");  // names no parent
  EXPECT_EQ(CodeOf(refused), ErrorCode::kFailedPrecondition);
  EXPECT_THAT(refused.error().message(),
              HasSubstr("the last committed round is demo/maml train 1.1"));
  EXPECT_EQ(store_->Head(leg_).value()->key, Key(1, 1));

  EXPECT_TRUE(Commit(Key(2, 1), Key(1, 1), "two").ok());
  EXPECT_EQ(store_->Head(leg_).value()->key, Key(2, 1));
}

TEST_P(RoundStoreTest, AFailedCommitChangesNothing) {
  Begin(Key(1, 1));
  ASSERT_TRUE(Commit(Key(1, 1), {}, "one").ok());
  Begin(Key(2, 1));
  CommittedRound round = Round(Key(2, 1), "two");
  round.client_states = {{ClientId("a"), Put("a's")},
                         {ClientId("b"), {.sha256 = Digest::Of("never put"), .size = 9}}};
  EXPECT_EQ(CodeOf(store_->CommitRound(lease_, PlanOf(Key(2, 1), Key(1, 1)), round, "committed")),
            ErrorCode::kNotFound);
  EXPECT_EQ(store_->Head(leg_).value()->key, Key(1, 1));
  EXPECT_FALSE(store_->ClientState(leg_, ClientId("a")).value().has_value());
  EXPECT_EQ(store_->Journal(run_).value().size(), 1U);
  EXPECT_TRUE(Has(store_->Head(leg_).value()->state));
  // The blobs that were put are still there to be named.
  round.client_states.pop_back();
  EXPECT_TRUE(store_->CommitRound(lease_, PlanOf(Key(2, 1), Key(1, 1)), round, "committed").ok());
}

TEST_P(RoundStoreTest, EndsWhatWasBegunAndOnce) {
  EXPECT_EQ(CodeOf(Commit(Key(1, 1), {}, "one")), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(store_->EndAttempt(lease_, {Key(1, 1), ""})), ErrorCode::kFailedPrecondition);
  Begin(Key(1, 1));
  ASSERT_TRUE(store_->EndAttempt(lease_, {Key(1, 1), "abandoned"}).ok());
  EXPECT_EQ(CodeOf(store_->EndAttempt(lease_, {Key(1, 1), ""})), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(Commit(Key(1, 1), {}, "one")), ErrorCode::kFailedPrecondition);
  EXPECT_FALSE(store_->Head(leg_).value().has_value());
}

TEST_P(RoundStoreTest, CommitsTheRoundOfItsPlanAndTrainingOnly) {
  Begin(Key(1, 1));
  Begin(Key(1, 1, Purpose::kEvaluate));
  EXPECT_EQ(CodeOf(store_->CommitRound(lease_, PlanOf(Key(1, 1), {}), Round(Key(1, 2), "x"), "")),
            ErrorCode::kInvalidArgument);
  const RoundKey evaluation = Key(1, 1, Purpose::kEvaluate);
  EXPECT_EQ(CodeOf(Commit(evaluation, {}, "x")), ErrorCode::kInvalidArgument);
}

TEST_P(RoundStoreTest, TheJournalKeepsTheOrderOfEnds) {
  Begin(Key(1, 1));
  Begin(Key(1, 1, Purpose::kTrain, "demo/fedavg"));
  ASSERT_TRUE(store_->EndAttempt(lease_, {Key(1, 1, Purpose::kTrain, "demo/fedavg"), "late"}).ok());
  ASSERT_TRUE(Commit(Key(1, 1), {}, "one").ok());
  Begin(Key(1, 1, Purpose::kEvaluate));
  const std::string binary("a\0b", 3);
  ASSERT_TRUE(store_->EndAttempt(lease_, {Key(1, 1, Purpose::kEvaluate), binary}).ok());
  EXPECT_THAT(
      store_->Journal(run_).value(),
      ElementsAre(Field(&JournalEntry::outcome, "late"), Field(&JournalEntry::outcome, "committed"),
                  AllOf(Field(&JournalEntry::outcome, binary),
                        Field(&JournalEntry::key, Key(1, 1, Purpose::kEvaluate)))));
  EXPECT_THAT(store_->Journal(ExperimentId("other")).value(), IsEmpty());
}

TEST_P(RoundStoreTest, ATakenOverLeaseIsFenced) {
  Begin(Key(1, 1));
  const BlobRef blob = Put("kept");
  const Lease newer = store_->Acquire(run_).value();
  EXPECT_GT(newer.epoch, lease_.epoch);
  PrivacyCharge charge{.session = Key(1, 1), .masked_sum = blob, .receipts = blob};
  charge.session.session = 1;
  for (const Status& status :
       {store_->BeginAttempt(lease_, PlanOf(Key(1, 2), {})), Commit(Key(1, 1), {}, "one"),
        store_->EndAttempt(lease_, {Key(1, 1), ""}), store_->Keep(lease_, "name", blob),
        store_->SetPresence(lease_, "somebody"), store_->Describe(lease_, "something"),
        store_->ChargePrivacy(lease_, charge)}) {
    EXPECT_EQ(CodeOf(status), ErrorCode::kFailedPrecondition);
  }
  EXPECT_EQ(store_->Presence(run_).value(), "");
  EXPECT_FALSE(store_->Description(run_).value().has_value());
  EXPECT_TRUE(store_->BeginAttempt(newer, PlanOf(Key(1, 2), {})).ok());
}

TEST_P(RoundStoreTest, ALeaseIsForItsOwnRun) {
  const Lease other = store_->Acquire(ExperimentId("dem")).value();
  EXPECT_EQ(CodeOf(store_->BeginAttempt(other, PlanOf(Key(1, 1), {}))),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(store_->EndAttempt(other, {Key(1, 1), ""})), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(store_->BeginAttempt(lease_, PlanOf(Key(1, 1), {})).ok()) << "leases do not meet";
}

TEST_P(RoundStoreTest, KeepsTheHeadsBlobsAndForgetsOlderOnes) {
  Begin(Key(1, 1));
  ASSERT_TRUE(Commit(Key(1, 1), {}, "one").ok());
  const CommittedRound first = *store_->Head(leg_).value();
  EXPECT_EQ(AsText(store_->GetBlob(first.state).value()), "state one");
  EXPECT_EQ(AsText(store_->GetBlob(first.optimizer_state).value()), Large("moments one"));
  ASSERT_TRUE(store_->Keep(lease_, "maml/round-1", first.state).ok());
  Begin(Key(2, 1));
  ASSERT_TRUE(Commit(Key(2, 1), Key(1, 1), "two").ok());
  EXPECT_TRUE(Has(first.state)) << "it has a name of its own";
  EXPECT_FALSE(Has(first.optimizer_state));
  const CommittedRound second = *store_->Head(leg_).value();
  EXPECT_EQ(AsText(store_->GetBlob(second.optimizer_state).value()), Large("moments two"));
  ASSERT_TRUE(store_->Keep(lease_, "maml/round-1", second.state).ok());
  EXPECT_FALSE(Has(first.state)) << "the name has moved";
}

TEST_P(RoundStoreTest, ABlobOfTwoNamesStaysUntilBothAreGone) {
  const std::string same = Large("what the state and the moments are");
  std::optional<RoundKey> parent;
  for (const std::uint64_t round : {1U, 2U}) {
    Begin(Key(round, 1), parent);
    const CommittedRound next{.key = Key(round, 1),
                              .state = Put(same),
                              .optimizer_state = Put(same),
                              .client_states = {}};
    ASSERT_TRUE(store_->CommitRound(lease_, PlanOf(Key(round, 1), parent), next, "committed").ok());
    EXPECT_TRUE(Has(next.state));
    parent = next.key;
  }
  const BlobRef old = store_->Head(leg_).value()->state;
  Begin(Key(3, 1), parent);
  ASSERT_TRUE(Commit(Key(3, 1), parent, "other").ok());
  EXPECT_FALSE(Has(old));
}

TEST_P(RoundStoreTest, ClientStatesStayUntilTheyChange) {
  EXPECT_FALSE(store_->ClientState(leg_, ClientId("a")).value().has_value());
  Begin(Key(1, 1));
  CommittedRound first = Round(Key(1, 1), "one");
  first.client_states = {{ClientId("a"), Put("a's first")}, {ClientId("b"), Put("b's first")}};
  ASSERT_TRUE(store_->CommitRound(lease_, PlanOf(Key(1, 1), {}), first, "committed").ok());
  EXPECT_EQ(store_->Head(leg_).value()->client_states, first.client_states);

  Begin(Key(2, 1));
  CommittedRound second = Round(Key(2, 1), "two");
  // b gets what a had: a blob that loses one name and gains another in one commit.
  second.client_states = {{ClientId("a"), Put("a's second")}, {ClientId("b"), Put("a's first")}};
  ASSERT_TRUE(store_->CommitRound(lease_, PlanOf(Key(2, 1), Key(1, 1)), second, "committed").ok());
  Begin(Key(3, 1));
  ASSERT_TRUE(Commit(Key(3, 1), Key(2, 1), "three").ok());
  EXPECT_THAT(store_->Head(leg_).value()->client_states, IsEmpty());
  EXPECT_EQ(store_->ClientState(leg_, ClientId("a")).value(), second.client_states[0].second);
  EXPECT_EQ(store_->ClientState(leg_, ClientId("b")).value(), second.client_states[1].second);
  EXPECT_EQ(AsText(store_->GetBlob(second.client_states[1].second).value()), "a's first");
  EXPECT_FALSE(Has(first.client_states[1].second));
}

TEST_P(RoundStoreTest, ASessionIsChargedOnceAndItsBlobsStayUntilItsAttemptEnds) {
  Begin(Key(1, 1));
  PrivacyCharge charge{.session = Key(1, 1),
                       .epsilon = 0.25,
                       .delta = 1e-7,
                       .masked_sum = Put("sum"),
                       .receipts = Put(Large("receipts"))};
  EXPECT_EQ(CodeOf(store_->ChargePrivacy(lease_, charge)), ErrorCode::kInvalidArgument)
      << "no session";
  charge.session.session = 1;
  ASSERT_TRUE(store_->ChargePrivacy(lease_, charge).ok());
  EXPECT_EQ(CodeOf(store_->ChargePrivacy(lease_, charge)), ErrorCode::kAlreadyExists);
  charge.session.session = 2;
  charge.masked_sum = Put("second sum");
  ASSERT_TRUE(store_->ChargePrivacy(lease_, charge).ok());
  const PrivacyCharge first = store_->PrivacyCharges(run_).value().front();
  EXPECT_EQ(AsText(store_->GetBlob(first.masked_sum).value()), "sum");
  EXPECT_TRUE(Has(first.receipts));
  ASSERT_TRUE(Commit(Key(1, 1), {}, "one").ok());
  charge.session.session = 3;
  EXPECT_EQ(CodeOf(store_->ChargePrivacy(lease_, charge)), ErrorCode::kFailedPrecondition)
      << "ended";

  const std::vector<PrivacyCharge> charges = store_->PrivacyCharges(run_).value();
  ASSERT_EQ(charges.size(), 2U);
  EXPECT_EQ(charges[0].session.session, 1U);
  EXPECT_EQ(charges[1].session.session, 2U);
  EXPECT_EQ(charges[0].epsilon, 0.25);
  EXPECT_EQ(charges[0].delta, 1e-7);
  for (const PrivacyCharge& one : charges) {
    EXPECT_THAT(store_->GetBlob(one.masked_sum).value(), IsEmpty());
    EXPECT_THAT(store_->GetBlob(one.receipts).value(), IsEmpty());
  }
  EXPECT_FALSE(Has(first.masked_sum));
  EXPECT_FALSE(Has(first.receipts));
  EXPECT_THAT(store_->PrivacyCharges(ExperimentId("other")).value(), IsEmpty());
}

TEST_P(RoundStoreTest, RemembersWhatARunIsAndWhoWasThere) {
  EXPECT_FALSE(store_->Description(run_).value().has_value());
  EXPECT_EQ(store_->Presence(run_).value(), "");
  ASSERT_TRUE(store_->Describe(lease_, "name: demo\n").ok());
  ASSERT_TRUE(store_->SetPresence(lease_, "a, b").ok());
  ASSERT_TRUE(store_->SetPresence(lease_, "a").ok());
  EXPECT_EQ(store_->Description(run_).value(), "name: demo\n");
  EXPECT_EQ(store_->Presence(run_).value(), "a");
  ASSERT_TRUE(store_->Describe(lease_, "").ok());
  EXPECT_EQ(store_->Description(run_).value(), "") << "empty is not the same as never said";
  EXPECT_FALSE(store_->Description(ExperimentId("other")).value().has_value());
}

TEST_P(RoundStoreTest, BlobsAreReadBeforeTheyAreNamed) {
  for (const std::string& content : {std::string(), std::string("small"), Large("large")}) {
    const BlobRef blob = Put(content);
    EXPECT_EQ(blob, Put(content));
    EXPECT_EQ(AsText(store_->GetBlob(blob).value()), content);
    EXPECT_EQ(store_->GetBlob({blob.sha256, blob.size + 1}).error().code(), ErrorCode::kDataLoss);
  }
  EXPECT_EQ(store_->GetBlob({Digest::Of("absent"), 6}).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(store_->Keep(lease_, "name", {Digest::Of("absent"), 6})), ErrorCode::kNotFound);
}

TEST_P(RoundStoreTest, AnEmptyMomentsBlobIsABlob) {
  Begin(Key(1, 1));
  const CommittedRound round{
      .key = Key(1, 1), .state = Put("state"), .optimizer_state = Put(""), .client_states = {}};
  ASSERT_TRUE(store_->CommitRound(lease_, PlanOf(Key(1, 1), {}), round, "committed").ok());
  EXPECT_THAT(store_->GetBlob(store_->Head(leg_).value()->optimizer_state).value(), IsEmpty());
}

TEST_P(RoundStoreTest, LegsHaveHeadsOfTheirOwn) {
  Begin(Key(1, 1));
  ASSERT_TRUE(Commit(Key(1, 1), {}, "one").ok());
  EXPECT_FALSE(store_->Head(ExperimentId("demo/fedavg")).value().has_value());
  Begin(Key(1, 1, Purpose::kTrain, "demo/fedavg"));
  ASSERT_TRUE(Commit(Key(1, 1, Purpose::kTrain, "demo/fedavg"), {}, "other").ok());
  EXPECT_EQ(store_->Head(leg_).value()->key, Key(1, 1));
}

TEST_P(RoundStoreTest, AWholeRunEndsAsInMemory) {
  const std::unique_ptr<RoundStore> memory = MakeMemoryStore();
  ASSERT_TRUE(GoOn(*memory, {.rounds = 5}).ok());
  const Status status = GoOn(*store_, {.rounds = 5});
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(HeadText(*store_), HeadText(*memory));
  EXPECT_EQ(Faults(*store_), "");
}

INSTANTIATE_TEST_SUITE_P(All, RoundStoreTest,
                         ::testing::Values(Kind::kMemory, Kind::kSqliteProcess, Kind::kSqlitePower),
                         [](const auto& one) {
                           return one.param == Kind::kMemory          ? "Memory"
                                  : one.param == Kind::kSqliteProcess ? "SqliteProcess"
                                                                      : "SqlitePower";
                         });

}  // namespace
}  // namespace fedmeta

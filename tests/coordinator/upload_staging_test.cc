#include "fedmeta/coordinator/upload_staging.h"

#include <numeric>

#include "engine_harness.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/plan_factory.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

class UploadStagingTest : public ::testing::Test {
 protected:
  struct Opening {
    std::optional<Result<std::shared_ptr<UploadSink>>> answer;
    UploadSink& sink() { return *answer->value(); }
    ErrorCode code() const { return answer->error().code(); }
  };

  UploadStagingTest() : staging_(Options()) {
    std::iota(reinterpret_cast<unsigned char*>(payload_.data()),
              reinterpret_cast<unsigned char*>(payload_.data() + payload_.size()), 0);
    staging_.Expect(plan_, plan_.key(), clients_, payload_.size());
  }

  UploadStaging::Options Options() {
    return {.slots = 2,
            .staged = [this](const RoundKey&, const ClientId& client, std::uint32_t slot,
                             const Digest&) { staged_[client.value()] = slot; },
            .heard = [this](const ClientId&) { ++heard_; }};
  }

  v1::UploadHeader Header(std::uint64_t offset = 0) const {
    v1::UploadHeader header;
    *header.mutable_key() = plan_.message().key();
    header.set_plan_hash(plan_.hash().bytes());
    header.set_size(payload_.size());
    header.set_sha256(Digest::Of(payload_).bytes());
    header.set_offset(offset);
    return header;
  }
  std::shared_ptr<Opening> Open(const std::string& client, const v1::UploadHeader& header) {
    auto opening = std::make_shared<Opening>();
    staging_.Open(ClientId(client), header,
                  [opening](auto result) { opening->answer.emplace(std::move(result)); });
    return opening;
  }
  std::shared_ptr<Opening> Open(const std::string& client) { return Open(client, Header()); }
  static Result<v1::UploadPosition> Finish(UploadSink& sink) {
    std::optional<Result<v1::UploadPosition>> answer;
    sink.Finish([&](auto result) { answer.emplace(std::move(result)); });
    return *answer;
  }
  /// A whole upload; its slot stays staged.
  void Upload(const std::string& client) {
    const auto opening = Open(client);
    ASSERT_TRUE(opening->sink().Write(payload_).ok());
    ASSERT_TRUE(Finish(opening->sink()).ok());
  }

  PlanFactory plans_{DemoExperiment(3, 3, 2), DemoLeg("maml")};
  RoundPlan plan_ = plans_.Train(1, 1, std::nullopt, Digest::Of("s")).value();
  std::vector<ClientId> clients_ = {ClientId("a"), ClientId("b"), ClientId("c"), ClientId("d")};
  Bytes payload_ = Bytes(100);
  std::map<std::string, std::uint32_t> staged_;
  int heard_ = 0;
  UploadStaging staging_;
};

TEST_F(UploadStagingTest, StagesAWholeUpload) {
  const auto opening = Open("a");
  ASSERT_TRUE(opening->sink().Write(std::span(payload_).first(60)).ok());
  ASSERT_TRUE(opening->sink().Write(std::span(payload_).subspan(60)).ok());
  EXPECT_TRUE(staged_.empty());
  const auto position = Finish(opening->sink());
  ASSERT_TRUE(position.ok());
  EXPECT_TRUE(position->complete());
  ASSERT_TRUE(staged_.contains("a"));
  const auto taken = staging_.Take(staged_["a"]);
  EXPECT_EQ(Bytes(taken.begin(), taken.end()), payload_);
  EXPECT_EQ(heard_, 2);
}

TEST_F(UploadStagingTest, OthersWaitForASlotInOrder) {
  Upload("a");
  Upload("b");
  const auto third = Open("c");
  const auto fourth = Open("d");
  EXPECT_FALSE(third->answer);
  staging_.Take(staged_["a"]);
  staging_.Free(staged_["a"]);
  ASSERT_TRUE(third->answer);
  EXPECT_TRUE(third->answer->ok());
  EXPECT_FALSE(fourth->answer);
  third->answer.reset();  // its stream broke: the slot goes on
  ASSERT_TRUE(fourth->answer);
}

TEST_F(UploadStagingTest, ResumesWhereAStreamBroke) {
  {
    const auto opening = Open("a");
    ASSERT_TRUE(opening->sink().Write(std::span(payload_).first(70)).ok());
  }
  EXPECT_EQ(staging_.Position(ClientId("a"), Header())->received(), 70U);
  const auto wrong = Open("a", Header(50));
  EXPECT_EQ(wrong->code(), ErrorCode::kInvalidArgument);
  const auto resumed = Open("a", Header(70));
  ASSERT_TRUE(resumed->sink().Write(std::span(payload_).subspan(70)).ok());
  EXPECT_TRUE(Finish(resumed->sink()).ok());
  EXPECT_TRUE(staged_.contains("a"));
}

TEST_F(UploadStagingTest, AnUnfinishedUploadCanBegunAnew) {
  {
    const auto opening = Open("a");
    ASSERT_TRUE(opening->sink().Write(std::span(payload_).first(70)).ok());
  }
  Upload("a");
  EXPECT_TRUE(staged_.contains("a"));
}

TEST_F(UploadStagingTest, KeepsAsManyPartsAsSlotsTheOldestGoingFirst) {
  for (const char* client : {"a", "b", "c"}) {
    const auto opening = Open(client);
    ASSERT_TRUE(opening->sink().Write(std::span(payload_).first(10)).ok());
  }
  EXPECT_EQ(staging_.Position(ClientId("a"), Header())->received(), 0U);
  EXPECT_EQ(staging_.Position(ClientId("b"), Header())->received(), 10U);
  EXPECT_EQ(staging_.Position(ClientId("c"), Header())->received(), 10U);
}

TEST_F(UploadStagingTest, ANewerStreamTakesOverFromAnOlder) {
  const auto older = Open("a");
  ASSERT_TRUE(older->sink().Write(std::span(payload_).first(30)).ok());
  const auto newer = Open("a", Header(30));
  ASSERT_TRUE(newer->answer->ok());
  EXPECT_EQ(older->sink().Write(std::span(payload_).subspan(30)).error().code(),
            ErrorCode::kFailedPrecondition);
  EXPECT_EQ(Finish(older->sink()).error().code(), ErrorCode::kFailedPrecondition);
  ASSERT_TRUE(newer->sink().Write(std::span(payload_).subspan(30)).ok());
  EXPECT_TRUE(Finish(newer->sink()).ok());
}

TEST_F(UploadStagingTest, AcknowledgesARepeatAndRefusesAnotherDigest) {
  Upload("a");
  EXPECT_TRUE(staging_.Position(ClientId("a"), Header())->complete());
  EXPECT_TRUE(Open("a", Header(payload_.size()))->sink().already()->complete());
  v1::UploadHeader other = Header();
  other.set_sha256(Digest::Of("other").bytes());
  EXPECT_EQ(Open("a", other)->code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(staging_.Position(ClientId("a"), other).error().code(), ErrorCode::kAlreadyExists);
}

TEST_F(UploadStagingTest, RefusesMoreThanWasAnnounced) {
  const auto opening = Open("a");
  ASSERT_TRUE(opening->sink().Write(payload_).ok());
  EXPECT_EQ(opening->sink().Write(std::span(payload_).first(1)).error().code(),
            ErrorCode::kResourceExhausted);
}

TEST_F(UploadStagingTest, RefusesAWrongDigest) {
  const auto opening = Open("a");
  Bytes other = payload_;
  other[0] ^= std::byte{1};
  ASSERT_TRUE(opening->sink().Write(other).ok());
  EXPECT_EQ(Finish(opening->sink()).error().code(), ErrorCode::kDataLoss);
  opening->answer.reset();
  EXPECT_EQ(staging_.Position(ClientId("a"), Header())->received(), 0U);
  Upload("a");
}

TEST_F(UploadStagingTest, RefusesAnUnfinishedUpload) {
  const auto opening = Open("a");
  ASSERT_TRUE(opening->sink().Write(std::span(payload_).first(99)).ok());
  EXPECT_EQ(Finish(opening->sink()).error().code(), ErrorCode::kDataLoss);
  EXPECT_TRUE(staged_.empty());
}

TEST_F(UploadStagingTest, RefusesWhatWasNotAskedFor) {
  v1::UploadHeader header = Header();
  header.mutable_key()->set_attempt(2);
  EXPECT_EQ(Open("a", header)->code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(Open("stranger")->code(), ErrorCode::kFailedPrecondition);
  header = Header();
  header.set_plan_hash(Digest::Of("other plan").bytes());
  EXPECT_EQ(Open("a", header)->code(), ErrorCode::kFailedPrecondition);
  header = Header();
  header.set_size(payload_.size() + 1);
  EXPECT_EQ(Open("a", header)->code(), ErrorCode::kInvalidArgument);
  header = Header();
  header.set_sha256("short");
  EXPECT_FALSE(Open("a", header)->answer->ok());
  header = Header();
  header.mutable_key()->set_attempt(0);
  EXPECT_EQ(Open("a", header)->code(), ErrorCode::kInvalidArgument);
}

TEST_F(UploadStagingTest, ClosingFreesASlotAndAnswersThoseWhoWait) {
  Upload("a");
  const auto receiving = Open("b");
  const auto waiting = Open("c");
  staging_.Close(plan_.key(), ClientId("c"), "the deadline passed");
  EXPECT_TRUE(waiting->sink().already()->discarded());
  staging_.Close(plan_.key(), ClientId("b"), "the deadline passed");
  EXPECT_FALSE(receiving->sink().Write(payload_).ok());
  staging_.Close(plan_.key(), ClientId("a"), "the deadline passed");
  EXPECT_TRUE(Open("d")->answer->ok());
}

TEST_F(UploadStagingTest, ARepeatIsAcknowledgedAfterTheAttemptWasCounted) {
  Upload("a");
  staging_.Take(staged_["a"]);
  staging_.Free(staged_["a"]);
  staging_.Close(plan_.key(), ClientId("a"), "");
  const auto position = staging_.Position(ClientId("a"), Header());
  ASSERT_TRUE(position.ok());
  EXPECT_TRUE(position->complete());
  EXPECT_FALSE(position->discarded());
  const auto known = Open("a")->sink().already();
  ASSERT_TRUE(known);
  EXPECT_TRUE(known->complete());
  v1::UploadHeader other = Header();
  other.set_sha256(Digest::Of("other").bytes());
  EXPECT_EQ(Open("a", other)->code(), ErrorCode::kAlreadyExists);
}

TEST_F(UploadStagingTest, ALateUploadIsAcknowledgedAsDiscardedWithTheReason) {
  staging_.Close(plan_.key(), ClientId("a"), "the deadline passed");
  const auto known = Open("a")->sink().already();
  ASSERT_TRUE(known);
  EXPECT_TRUE(known->complete());
  EXPECT_TRUE(known->discarded());
  EXPECT_EQ(known->reason(), "the deadline passed");
  EXPECT_TRUE(staging_.Position(ClientId("a"), Header())->discarded());
  EXPECT_TRUE(staged_.empty());
}

TEST_F(UploadStagingTest, AttemptsOfLongAgoAreRefused) {
  staging_.Close(plan_.key(), ClientId("a"), "");
  for (std::uint32_t attempt = 2; attempt <= 20; ++attempt) {
    RoundPlan plan = plans_.Train(1, attempt, std::nullopt, Digest::Of("s")).value();
    staging_.Expect(plan, plan.key(), clients_, payload_.size());
    staging_.Close(plan.key(), ClientId("a"), "");
  }
  EXPECT_EQ(Open("a")->code(), ErrorCode::kFailedPrecondition);
}

TEST_F(UploadStagingTest, AnAttemptThatIsAskedForAgainIsOpenAgain) {
  staging_.Close(plan_.key(), ClientId("a"), "lost");
  staging_.Expect(plan_, plan_.key(), clients_, payload_.size());
  Upload("a");
  EXPECT_TRUE(staged_.contains("a"));
}

TEST_F(UploadStagingTest, ATakenSlotSurvivesTheClosing) {
  Upload("a");
  const auto payload = staging_.Take(staged_["a"]);
  staging_.Close(plan_.key(), ClientId("a"), "the deadline passed");
  const auto other = Open("b");  // takes the second slot
  EXPECT_EQ(Bytes(payload.begin(), payload.end()), payload_);
  EXPECT_FALSE(Open("c")->answer);
}

TEST_F(UploadStagingTest, SinksMayOutliveTheStaging) {
  auto staging = std::make_unique<UploadStaging>(Options());
  staging->Expect(plan_, plan_.key(), clients_, payload_.size());
  std::shared_ptr<UploadSink> sink;
  staging->Open(ClientId("a"), Header(), [&](auto result) { sink = result.value(); });
  staging.reset();
  EXPECT_FALSE(sink->Write(payload_).ok());
  EXPECT_FALSE(Finish(*sink).ok());
}

}  // namespace
}  // namespace fedmeta

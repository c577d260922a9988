#include "fedmeta/client/secure_member.h"

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client_fixtures.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/bytes.h"
#include "fedmeta/privacy/masked_sum.h"
#include "fedmeta/privacy/opening_log.h"
#include "fedmeta/privacy/process_party.h"
#include "fedmeta/privacy/secure_server.h"
#include "fedmeta/protocol/phases.h"

namespace fedmeta {
namespace {

constexpr std::size_t kWords = 40'000;
constexpr std::uint64_t kSigma = 1'000;

v1::PrivacyTerms Distributed() {
  v1::PrivacyTerms terms;
  terms.set_mode("distributed");
  return terms;
}

v1::RoundPlan TrainingPlan() {
  v1::RoundPlan plan;
  v1::RoundKey& key = *plan.mutable_key();
  key.set_experiment("heart/maml");
  key.set_purpose(v1::PURPOSE_TRAIN);
  key.set_round(1);
  key.set_attempt(1);
  plan.set_assignment_hash(Digest::Of("assignment").bytes());
  plan.set_assignment_size(10);
  plan.set_state_hash(Digest::Of("state").bytes());
  plan.set_state_coordinates(1);
  plan.set_maximum_weight(1);
  plan.set_report_deadline_ms(1000);
  plan.mutable_train();
  return plan;
}

/// Lets a round be opened again, so that sessions of one update can be compared.
class Anything final : public OpeningLatch {
 public:
  Status CheckStart(const SessionFacts&) override { return {}; }
  Status RecordMasked(const SessionFacts&) override { return {}; }
  Status RecordOpened(const SessionFacts&) override { return {}; }
};

/// Members who hold an update of zeros and, each, noise to add to it.
class SecureMemberNoiseTest : public ::testing::Test {
 protected:
  SecureMemberNoiseTest() {
    plan_ = RoundPlan::Create(TrainingPlan()).value();
    for (const char* name : {"a", "b", "c", "d", "e"}) {
      SecureMember member =
          SecureMember::Create(
              {.federation = "heart",
               .policy = {.members = {"spiffe://heart/client/*"}},
               .signer = [signer = authority_.Admit(name)] { return Result(signer); },
               .verifier = &authority_.verifier(),
               .latch = &latch_})
              .value();
      member.Hold(*plan_, assignment_, std::make_shared<RingVector>(RingBits::k32, kWords),
                  LocalNoise({.terms = Distributed(), .sigma = kSigma, .minimum = 3, .cohort = 5}));
      members_.emplace(ClientId(name), std::move(member));
    }
  }

  SecureMember::Answer Ask(const ClientId& client, std::uint32_t session, std::string_view phase,
                           std::string body) {
    v1::PhaseRequest request;
    *request.mutable_key() = plan_->message().key();
    request.mutable_key()->set_session(session);
    request.set_phase(std::string(phase));
    request.set_body(std::move(body));
    const auto answer = members_.at(client).Handle(request);
    EXPECT_TRUE(answer.ok()) << answer.error().message();
    return *answer;
  }

  /// What a session of the first `count` opens.
  RingVector Open(std::uint32_t session, std::size_t count) {
    std::vector<ClientId> clients;
    for (const auto& [client, member] : members_) {
      if (clients.size() < count) clients.push_back(client);
    }
    SecureServer server({.federation = "heart",
                         .key = SecureKey(*plan_, session),
                         .group = 0,
                         .plan_hash = plan_->hash(),
                         .model_hash = ModelHash(QuestionHash(assignment_), plan_->message()),
                         .bits = RingBits::k32,
                         .words = kWords,
                         .verifier = &authority_.verifier()});
    for (const ClientId& client : clients) {
      const auto answer = Ask(client, session, kAdvertisePhase, {});
      EXPECT_TRUE(server.AddAdvertisement(client, answer.body).ok());
    }
    const std::string roster = server.Roster().value();
    for (const ClientId& client : clients) {
      EXPECT_TRUE(server.AddShares(client, Ask(client, session, kSharePhase, roster).body).ok());
    }
    MaskedSum sum(RingVector(RingBits::k32, kWords));
    for (const ClientId& client : clients) {
      const std::string delivery = server.Delivery(client).value();
      const auto masked = Ask(client, session, kMaskPhase, delivery);
      const Bytes upload(masked.upload.begin(), masked.upload.end());
      const auto again = Ask(client, session, kMaskPhase, delivery);
      EXPECT_EQ(Bytes(again.upload.begin(), again.upload.end()), upload)
          << "asked again, the same noise";
      EXPECT_TRUE(sum.Add(upload).ok());
      EXPECT_TRUE(server.AddReceipt(client, masked.body, Digest::Of(upload)).ok());
    }
    const std::string request = server.OpeningRequest().value();
    for (const ClientId& client : clients)
      EXPECT_TRUE(server.AddOpening(client, Ask(client, session, kOpenPhase, request).body).ok());
    return std::move(sum).Unmask(server.Reconstruct().value());
  }

  ProcessAuthority authority_{"heart"};
  Anything latch_;
  v1::Assignment assignment_;
  std::optional<RoundPlan> plan_;
  std::map<ClientId, SecureMember> members_;
};

double Variance(const RingVector& vector) {
  double squares = 0;
  for (std::size_t i = 0; i < vector.size(); ++i)
    squares += std::pow(static_cast<double>(vector.Signed(i)), 2);
  return squares / static_cast<double>(vector.size());
}

// 40,000 draws: a standard deviation of the measured variance is 0.7 %; 4 % are almost six.
TEST_F(SecureMemberNoiseTest, IsSharedOutAmongTheMembersOfTheSessionButOne) {
  // One of 3 and of 5 is not counted on, so that the others' is as wide as promised.
  const double promised = std::pow(static_cast<double>(kSigma), 2);
  EXPECT_NEAR(Variance(Open(1, 5)) / (promised * 5 / 4), 1, 0.04);
  EXPECT_NEAR(Variance(Open(2, 3)) / (promised * 3 / 2), 1, 0.04);
}

TEST_F(SecureMemberNoiseTest, IsDrawnAnewInEverySession) {
  const RingVector first = Open(1, 4);
  const RingVector second = Open(2, 4);
  double product = 0;
  for (std::size_t i = 0; i < kWords; ++i)
    product += static_cast<double>(first.Signed(i)) * static_cast<double>(second.Signed(i));
  // Were a part of the noise the same, its share of the variance would show here.
  EXPECT_NEAR(product / kWords / Variance(first), 0, 0.03);
}

/// What this client has to send of a round of an assignment with noise of its own in the sum.
Result<ClientResult> Trained(bool masked) {
  v1::Assignment assignment = MakeAssignment(Maml(), EpisodicTasks(2, 1, 4), 2);
  v1::PrivacyTerms& terms = *assignment.mutable_differential_privacy();
  terms = Distributed();
  terms.set_clip(0.01);
  terms.set_noise_multiplier(2);
  if (masked) {
    v1::SecureTerms& secure = *assignment.mutable_secure();
    secure.set_ring_bits(32);
    secure.set_clip(100);
    secure.set_metric_bound(100);
    secure.set_group_size(5);
    secure.set_minimum(3);
  }
  const OpenedSource source = Clouds(3, 10);
  const TestLeg leg(assignment, source);
  v1::RoundPlan plan = TrainingPlan();
  plan.set_state_coordinates(leg.state.size());
  const auto pool = MakeLearningPool(1);
  const LocalClient self = leg.self();
  return std::move(
      ExecutePlan(RoundPlan::Create(plan).value(), *leg.runtime, leg.state, {&self, 1}, *pool)
          .front());
}

TEST(PrivateTrainerTest, ClipsWhatIsToBeMaskedAndGivesTheNoiseToAdd) {
  const ClientResult result = Trained(true).value();
  ASSERT_TRUE(result.noise.has_value());
  double squares = 0;
  for (std::size_t i = 0; i < result.encoded->size(); ++i)
    squares += std::pow(static_cast<double>(result.encoded->Signed(i)), 2);
  EXPECT_GT(squares, 0);
  // Noise multiplier 2, and of three members two are counted on.
  EXPECT_LE(std::sqrt(squares) * 2, static_cast<double>(result.noise->Sigma(3)) * std::sqrt(2.0));
}

TEST(PrivateTrainerTest, SendsNothingThatOnlyNoiseBelowMasksWouldHide) {
  const Result<ClientResult> result = Trained(false);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message(), ::testing::HasSubstr("needs secure aggregation"));
}

}  // namespace
}  // namespace fedmeta

#include "fedmeta/site/site_control.h"

#include <cstdlib>
#include <ctime>
#include <thread>
#include <unistd.h>

#include "site_fixtures.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fedmeta/core/file.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class SiteControlTest : public testing::Test {
 protected:
  SiteControlTest() {
    policy_.set_approve("manual");
    // Hours are local; these tests live at the meridian.
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    Open();
  }
  /// Signatures are their texts here: "lea" is one of lea.
  static Result<IdentityUri> Researcher(const Proposal& proposal) {
    if (proposal.endorsement.empty())
      return Error(ErrorCode::kNotFound, "no researcher has signed it");
    return IdentityUri::Parse("spiffe://heart/researcher/" + proposal.endorsement);
  }
  void Open() {
    control_.reset();
    auto opened = SiteControl::Open({.policy = policy_,
                                     .hours = hours_,
                                     .state_dir = folder_.path(),
                                     .site = HeartSite(),
                                     .researcher = Researcher},
                                    clock_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    control_ = std::move(opened).value();
  }
  json Ask(const json& request) {
    return json::parse(control_->Answer(request.dump(), "user 7 (ann)"));
  }
  json Do(const char* command, const std::string& experiment = "") {
    return Ask({{"command", command}, {"experiment", experiment}});
  }
  std::string Rule() const { return control_->Standing().rule; }

  v1::Policy policy_ = OpenPolicy(1);
  std::optional<DayHours> hours_;
  Offering offering_;
  TemporaryFolder folder_;
  ManualClock clock_;
  std::unique_ptr<SiteControl> control_;
};

TEST_F(SiteControlTest, NothingRunsBeforeSomethingWasOffered) {
  EXPECT_EQ(control_->Standing().verdict, Verdict::kPending);
  EXPECT_EQ(Rule(), "offer");
  EXPECT_EQ(Do("approve")["error"]["code"], "not_found");
}

TEST_F(SiteControlTest, TheStateFolderBelongsToOneProcess) {
  const auto second = SiteControl::Open(
      {.policy = policy_, .hours = hours_, .state_dir = folder_.path(), .site = HeartSite()},
      clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(second.error().message(), HasSubstr("state_dir is another client's"));
  EXPECT_THAT(second.error().message(), HasSubstr("in process " + std::to_string(::getpid())));
}

TEST_F(SiteControlTest, WhoSignedIsShownAndOutlivesTheProcess) {
  policy_.set_approve("any");
  policy_.mutable_allow()->add_researchers("spiffe://heart/researcher/lea");
  Open();
  control_->Offered(offering_.Make());
  EXPECT_EQ(Rule(), "policy.allow.researchers");
  EXPECT_TRUE(Do("show")["researcher"].is_null());
  EXPECT_EQ(Do("show")["researcher_reason"], "no researcher has signed it");
  EXPECT_EQ(Do("approve")["error"]["code"], "permission_denied");
  // The same experiment, signed since.
  Proposal by_lea = offering_.Make();
  by_lea.endorsement = "lea";
  control_->Offered(by_lea);
  EXPECT_TRUE(control_->Standing().allowed()) << control_->Standing().reason;
  Open();
  EXPECT_EQ(Do("show", "heart")["researcher"], "spiffe://heart/researcher/lea");
  Proposal by_max = offering_.Make();
  by_max.endorsement = "max";
  control_->Offered(by_max);
  EXPECT_EQ(Rule(), "policy.allow.researchers");
  EXPECT_THAT(control_->Standing().reason, HasSubstr("signed by spiffe://heart/researcher/max"));
}

TEST_F(SiteControlTest, AnExperimentWaitsForApprovalWhichOutlivesTheProcess) {
  control_->Offered(offering_.Make());
  EXPECT_EQ(control_->Standing().verdict, Verdict::kPending);
  EXPECT_EQ(Rule(), "policy.approve");
  EXPECT_EQ(Do("approve")["status"], "allowed");
  EXPECT_TRUE(control_->Standing().allowed());
  EXPECT_TRUE(control_->Decide(RoundPlan::Create(offering_.Plan()).value()).allowed());
  Open();
  control_->Offered(offering_.Make());
  EXPECT_TRUE(control_->Standing().allowed());
}

TEST_F(SiteControlTest, AnotherOfferNeedsAnotherApproval) {
  control_->Offered(offering_.Make());
  Do("approve");
  offering_.offer.set_rounds(51);
  control_->Offered(offering_.Make());
  EXPECT_EQ(Rule(), "policy.approve");
}

TEST_F(SiteControlTest, WhatIsListedNeedsNoApproval) {
  policy_.set_approve("hashes");
  policy_.add_hashes(offering_.Make().hash.hex());
  Open();
  control_->Offered(offering_.Make());
  EXPECT_TRUE(control_->Standing().allowed());
  offering_.offer.set_cohort(5);
  control_->Offered(offering_.Make());
  EXPECT_EQ(Rule(), "policy.approve");
}

TEST_F(SiteControlTest, ARejectedOneDoesNotRunWhateverThePolicy) {
  policy_.set_approve("any");
  policy_.add_hashes(offering_.Make().hash.hex());
  Open();
  control_->Offered(offering_.Make());
  EXPECT_TRUE(control_->Standing().allowed());
  Do("reject");
  EXPECT_EQ(control_->Standing().verdict, Verdict::kRefused);
  EXPECT_EQ(Rule(), "site.reject");
  Do("approve");
  EXPECT_TRUE(control_->Standing().allowed());
}

TEST_F(SiteControlTest, NobodyApprovesWhatTheFileForbids) {
  policy_.mutable_allow()->add_algorithms("reptile");
  Open();
  control_->Offered(offering_.Make());
  const json answer = Do("approve");
  EXPECT_EQ(answer["error"]["code"], "permission_denied");
  EXPECT_THAT(answer["error"]["message"].get<std::string>(), HasSubstr("policy.allow.algorithms"));
  EXPECT_EQ(Rule(), "policy.allow.algorithms");
}

TEST_F(SiteControlTest, PausesAndGoesOn) {
  policy_.set_approve("any");
  Open();
  control_->Offered(offering_.Make());
  EXPECT_EQ(Do("pause")["paused"], true);
  EXPECT_EQ(Rule(), "site.pause");
  EXPECT_EQ(control_->Decide(RoundPlan::Create(offering_.Plan()).value()).rule, "site.pause");
  Open();
  control_->Offered(offering_.Make());
  EXPECT_EQ(Rule(), "site.pause") << "also after a restart";
  EXPECT_EQ(Do("resume")["paused"], false);
  EXPECT_TRUE(control_->Standing().allowed());
}

TEST_F(SiteControlTest, LeavesForGood) {
  policy_.set_approve("any");
  Open();
  control_->Offered(offering_.Make());
  EXPECT_FALSE(control_->left());
  Do("leave");
  EXPECT_TRUE(control_->left());
  Open();
  EXPECT_FALSE(control_->left());
  control_->Offered(offering_.Make());
  EXPECT_EQ(Rule(), "site.leave");
}

TEST_F(SiteControlTest, TakesPartInItsHours) {
  policy_.set_approve("any");
  hours_ = ParseDayHours("20:00-06:00");
  Open();
  control_->Offered(offering_.Make());
  EXPECT_TRUE(control_->Standing().allowed()) << "midnight";
  clock_.Advance(std::chrono::hours(6));
  EXPECT_EQ(control_->Standing().verdict, Verdict::kPending);
  EXPECT_EQ(Rule(), "resources.hours");
  clock_.Advance(std::chrono::hours(14));
  EXPECT_TRUE(control_->Standing().allowed());
}

TEST_F(SiteControlTest, SaysWhyAnOfferCannotBeRead) {
  control_->Offered(Error(ErrorCode::kInvalidArgument, "offer: not a message of its kind"));
  EXPECT_EQ(control_->Standing().verdict, Verdict::kRefused);
  EXPECT_EQ(Rule(), "offer");
}

TEST_F(SiteControlTest, ShowsWhatAnExperimentWouldDo) {
  offering_.Secure();
  offering_.Private();
  offering_.offer.add_participants("site-2");
  control_->Offered(offering_.Make());
  const json shown = Do("show");
  EXPECT_EQ(shown["experiment"], "heart");
  EXPECT_EQ(shown["rounds"], 50);
  EXPECT_EQ(shown["minimum_cohort"], 3);
  EXPECT_EQ(shown["participants"], json({"site-2"}));
  ASSERT_EQ(shown["legs"].size(), 2U);
  const json& leg = shown["legs"][0];
  EXPECT_EQ(leg["algorithm"], "maml");
  EXPECT_EQ(leg["model"], "mlp");
  EXPECT_EQ(leg["numbers"], 1000);
  EXPECT_EQ(leg["data"], "heart");
  EXPECT_EQ(leg["privacy"]["secure_aggregation"], true);
  EXPECT_EQ(leg["privacy"]["differential_privacy"]["mode"], "local");
  EXPECT_THAT(leg["leaves"].dump(), HasSubstr("1,000 numbers"));
  EXPECT_EQ(shown["rule"], "policy.minimum_cohort") << "4 with secure aggregation";
}

TEST_F(SiteControlTest, ShowsHowManyMembersNoiseIsNotCountedOn) {
  offering_.Secure();
  offering_.Private("distributed", 2);
  control_->Offered(offering_.Make());
  const json noise = Do("show")["legs"][0]["privacy"]["differential_privacy"];
  EXPECT_EQ(noise["mode"], "distributed");
  EXPECT_EQ(noise["assumed_colluders"], 2);
}

TEST_F(SiteControlTest, FindsExperimentsByNameAndByHash) {
  control_->Offered(offering_.Make());
  const std::string first = offering_.Make().hash.hex();
  Do("approve", first.substr(0, 8));
  offering_.offer.set_rounds(60);
  control_->Offered(offering_.Make());
  EXPECT_EQ(Do("show", "heart")["rounds"], 60) << "the one offered now";
  EXPECT_EQ(Do("show", first.substr(0, 8))["rounds"], 50);
  EXPECT_EQ(Do("show", "lung")["error"]["code"], "not_found");
  const json pending = Do("pending");
  ASSERT_EQ(pending["experiments"].size(), 2U);
  Open();
  EXPECT_EQ(Do("show", "heart")["error"]["code"], "invalid_argument") << "which of two?";
}

TEST_F(SiteControlTest, KeepsOfOldOffersOnlyThoseThatWereDecided) {
  control_->Offered(offering_.Make());
  for (const std::uint64_t rounds : {61U, 62U, 63U}) {
    offering_.offer.set_rounds(rounds);
    control_->Offered(offering_.Make());
  }
  EXPECT_EQ(Do("pending")["experiments"].size(), 1U);
}

TEST_F(SiteControlTest, SumsWhatLeft) {
  const std::filesystem::path outbound = folder_.path() / "outbound.jsonl";
  ASSERT_TRUE(AppendFile(outbound,
                         R"({"time":"a","experiment":"heart/maml","kind":"update","bytes":10})"
                         "\n"
                         R"({"time":"b","experiment":"heart/maml","kind":"update","bytes":5})"
                         "\n"
                         R"({"time":"c","experiment":"heart/maml","kind":"metrics","bytes":1})"
                         "\n")
                  .ok());
  const json ledger = Do("ledger");
  ASSERT_EQ(ledger["outbound"].size(), 2U);
  EXPECT_EQ(ledger["outbound"][1]["kind"], "update");
  EXPECT_EQ(ledger["outbound"][1]["count"], 2);
  EXPECT_EQ(ledger["outbound"][1]["bytes"], 15);
  EXPECT_EQ(ledger["outbound"][1]["last"], "b");
}

TEST_F(SiteControlTest, RequestsThatAreNoneAreAnsweredAsSuch) {
  for (const char* request : {"", "[]", "{", "{\"command\":7}", "{\"command\":\"dance\"}"}) {
    const json answer = json::parse(control_->Answer(request, "user 7"));
    EXPECT_EQ(answer["error"]["code"], "invalid_argument") << request;
  }
}

TEST_F(SiteControlTest, WakesThoseWhoWaitForADecision) {
  control_->Offered(offering_.Make());
  const std::uint64_t seen = control_->WaitForChange(0, Duration(0), {});
  std::uint64_t after = seen;
  std::thread waiter([&] { after = control_->WaitForChange(seen, std::chrono::hours(1), {}); });
  Do("approve");
  waiter.join();
  EXPECT_NE(after, seen);
}

}  // namespace
}  // namespace fedmeta

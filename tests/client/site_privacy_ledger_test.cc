#include "fedmeta/client/site_privacy_ledger.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fedmeta/core/file.h"
#include "fedmeta/privacy/accountant.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class SitePrivacyLedgerTest : public testing::Test {
 protected:
  SitePrivacyLedger Open(double budget = 0) const {
    std::optional<v1::EpsilonBudget> allowed;
    if (budget > 0) {
      allowed.emplace();
      allowed->set_epsilon(budget);
      allowed->set_delta(1e-6);
    }
    return SitePrivacyLedger::Open(path_, allowed).value();
  }
  static SiteCharge Release(const std::string& mode, std::uint64_t round, double noise = 4,
                            std::uint64_t releases = 1, const std::string& data = "heart") {
    SiteCharge charge{.data = data,
                      .key = {.experiment = ExperimentId("demo/fomaml"),
                              .purpose = Purpose::kTrain,
                              .round = round,
                              .attempt = 1},
                      .terms = {},
                      .releases = releases};
    charge.terms.set_mode(mode);
    charge.terms.set_noise_multiplier(noise);
    charge.terms.set_delta(1e-6);
    return charge;
  }
  static double Cost(double noise, std::uint64_t releases) {
    return SpentBy(Accountant::kZeroConcentrated, {.noise_multiplier = noise}, releases, 1e-6)
        .value()
        .epsilon;
  }
  std::string Content() const { return ReadFile(path_).value(); }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / SitePrivacyLedger::kFile;
};

TEST_F(SitePrivacyLedgerTest, AddsUpWhatEachReleaseCosts) {
  SitePrivacyLedger ledger = Open();
  for (std::uint64_t round = 1; round <= 5; ++round)
    ASSERT_TRUE(ledger.Charge(Release("central", round), WallTime()).ok());
  EXPECT_NEAR(ledger.Epsilon("heart", 1e-6), Cost(4, 5), 1e-9);
  EXPECT_EQ(ledger.Epsilon("lungs", 1e-6), 0) << "each data set has its own";
  // One release with noise 4 is as much as four with noise 8, of whatever experiment.
  ASSERT_TRUE(ledger.Charge(Release("local", 1, 8, 4), WallTime()).ok());
  EXPECT_NEAR(ledger.Epsilon("heart", 1e-6), Cost(4, 6), 1e-9);
}

TEST_F(SitePrivacyLedgerTest, IsReadAgainAfterARestart) {
  ASSERT_TRUE(Open().Charge(Release("central", 1), WallTime()).ok());
  ASSERT_TRUE(Open().Charge(Release("central", 2), WallTime()).ok());
  EXPECT_NEAR(Open().Epsilon("heart", 1e-6), Cost(4, 2), 1e-9);
}

TEST_F(SitePrivacyLedgerTest, ARestoredCoordinatorsRoundsArePaidForAgain) {
  SiteCharge charge = Release("central", 1);
  ASSERT_TRUE(Open().Charge(charge, WallTime()).ok());
  charge.key.session = 2;
  ASSERT_TRUE(Open().Charge(charge, WallTime()).ok());
  charge.epoch = 2;
  ASSERT_TRUE(Open().Charge(charge, WallTime()).ok());
  ASSERT_TRUE(Open().Charge(charge, WallTime()).ok());
  EXPECT_NEAR(Open().Epsilon("heart", 1e-6), Cost(4, 3), 1e-9);
  EXPECT_TRUE(Open().ChargedBefore(1).empty());
  RoundKey attempt = charge.key;
  attempt.session = 0;
  EXPECT_THAT(Open().ChargedBefore(2), testing::ElementsAre(std::pair(std::uint64_t{1}, attempt)));
  EXPECT_EQ(Open().ChargedBefore(3).size(), 2U);
}

TEST_F(SitePrivacyLedgerTest, ALineOfAnOlderProgramIsOfTheFirstEpoch) {
  ASSERT_TRUE(Open().Charge(Release("central", 1), WallTime()).ok());
  std::string content = Content();
  const std::size_t at = content.find("\"epoch\":1,");
  ASSERT_NE(at, std::string::npos);
  ASSERT_TRUE(WriteFileAtomically(path_, std::string_view(content.erase(at, 10))).ok());
  EXPECT_EQ(Open().ChargedBefore(2).size(), 1U);
}

TEST_F(SitePrivacyLedgerTest, ASumIsChargedOnceAndEachLocalResultAnew) {
  SitePrivacyLedger ledger = Open();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(ledger.Charge(Release("distributed", 1), WallTime()).ok());
    ASSERT_TRUE(Open().Charge(Release("distributed", 1), WallTime()).ok());
  }
  EXPECT_NEAR(Open().Epsilon("heart", 1e-6), Cost(4, 1), 1e-9);
  ASSERT_TRUE(Open().Charge(Release("local", 1), WallTime()).ok());
  ASSERT_TRUE(Open().Charge(Release("local", 1), WallTime()).ok());
  EXPECT_NEAR(Open().Epsilon("heart", 1e-6), Cost(4, 3), 1e-9);
}

TEST_F(SitePrivacyLedgerTest, RefusesWhatWouldPassTheBudgetAndKeepsTheRest) {
  SitePrivacyLedger ledger = Open(Cost(4, 3) + 1e-9);
  for (std::uint64_t round = 1; round <= 3; ++round)
    ASSERT_TRUE(ledger.Charge(Release("central", round), WallTime()).ok());
  const std::string before = Content();
  EXPECT_FALSE(ledger.CheckBudget(Release("central", 4)).ok());
  const Status refused = ledger.Charge(Release("central", 4), WallTime());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(refused.error().message(),
              AllOf(HasSubstr("policy.epsilon_budget of data heart"), HasSubstr("is spent")));
  EXPECT_EQ(Content(), before);
  EXPECT_TRUE(ledger.Charge(Release("central", 3), WallTime()).ok()) << "was charged before";
  EXPECT_TRUE(ledger.Charge(Release("central", 1, 4, 1, "lungs"), WallTime()).ok());
  EXPECT_FALSE(Open(Cost(4, 3) + 1e-9).CheckBudget(Release("central", 4)).ok())
      << "nor after a restart";
}

TEST_F(SitePrivacyLedgerTest, WritesWhatPeopleAndScriptsRead) {
  ASSERT_TRUE(Open().Charge(Release("local", 7, 4, 12), WallTime()).ok());
  const nlohmann::json line = nlohmann::json::parse(Content());
  EXPECT_EQ(line.at("data"), "heart");
  EXPECT_EQ(line.at("experiment"), "demo/fomaml");
  EXPECT_EQ(line.at("round"), 7);
  EXPECT_EQ(line.at("unit"), "record");
  EXPECT_EQ(line.at("releases"), 12);
  EXPECT_NEAR(line.at("epsilon").get<double>(), Cost(4, 12), 1e-9);
  EXPECT_EQ(line.at("delta"), 1e-6);
}

TEST_F(SitePrivacyLedgerTest, CutsATornLineOff) {
  ASSERT_TRUE(Open().Charge(Release("central", 1), WallTime()).ok());
  const std::string whole = Content();
  std::ofstream(path_, std::ios::app) << whole.substr(0, whole.size() / 2);
  ASSERT_TRUE(Open().Charge(Release("central", 2), WallTime()).ok());
  EXPECT_NEAR(Open().Epsilon("heart", 1e-6), Cost(4, 2), 1e-9);
  EXPECT_TRUE(Content().starts_with(whole));
}

TEST_F(SitePrivacyLedgerTest, RefusesADamagedLine) {
  ASSERT_TRUE(Open().Charge(Release("central", 1), WallTime()).ok());
  std::ofstream(path_, std::ios::app) << "{\"data\":\"heart\",\"rho\":0}\n";
  const auto ledger = SitePrivacyLedger::Open(path_, std::nullopt);
  ASSERT_FALSE(ledger.ok());
  EXPECT_EQ(ledger.error().code(), ErrorCode::kDataLoss);
  EXPECT_THAT(ledger.error().message(), HasSubstr(".jsonl:2: damaged"));
}

TEST_F(SitePrivacyLedgerTest, RefusesTermsWithoutMeaning) {
  for (const double noise : {0.0, -1.0}) {
    EXPECT_FALSE(Open().Charge(Release("central", 1, noise), WallTime()).ok());
  }
  EXPECT_EQ(Content(), "");
}

}  // namespace
}  // namespace fedmeta

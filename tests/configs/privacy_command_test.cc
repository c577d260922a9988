// `fedmeta privacy` as a user calls it.
#include <cmath>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "fedmeta/tests/configs/config_files.h"
#include "fedmeta/tests/configs/run_program.h"

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

nlohmann::json Planned(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "privacy");
  arguments.emplace_back("--json");
  const Outcome outcome = RunProgram(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return nlohmann::json::parse(outcome.out);
}

TEST(PrivacyCommandTest, SaysWhatANoiseCostsByEveryAccountant) {
  const auto plan = Planned({"--noise", "4", "--rounds", "50", "--delta", "1e-6"});
  EXPECT_EQ(plan["solved"], "epsilon");
  EXPECT_NEAR(plan["bounds"]["exact"]["epsilon"].get<double>(), 9.4821916, 5e-8);
  EXPECT_NEAR(plan["bounds"]["rdp"]["epsilon"].get<double>(), 10.089443, 5e-7);
  EXPECT_EQ(plan["epsilon"], plan["bounds"]["zcdp"]["epsilon"]) << "what runs are charged by";
}
TEST(PrivacyCommandTest, SaysWhichNoiseKeepsAnEpsilon) {
  const auto plan = Planned({"--epsilon", "3", "--rounds", "100"});
  EXPECT_EQ(plan["solved"], "noise");
  EXPECT_LE(plan["epsilon"], 3);
  EXPECT_GT(plan["epsilon"], 2.9999);
}
TEST(PrivacyCommandTest, SaysHowManyRoundsABudgetHas) {
  const auto plan = Planned({"--epsilon", "3", "--noise", "20"});
  EXPECT_EQ(plan["solved"], "rounds");
  const std::string more = std::to_string(plan["rounds"].get<int>() + 1);
  EXPECT_LE(plan["epsilon"], 3);
  EXPECT_GT(Planned({"--noise", "20", "--rounds", more})["epsilon"], 3);
}
TEST(PrivacyCommandTest, KnowsSamplingAndSaysThatItIsAssumed) {
  const Outcome outcome = RunProgram({"privacy", "--noise", "1.5", "--rounds", "2250", "--delta",
                                      "1e-5", "--sampling-rate", "0.04"});
  EXPECT_THAT(outcome.out, AllOf(StartsWith("epsilon 7.3291"), HasSubstr("Renyi, order 3.9"),
                                 HasSubstr("each client is in a round by its own secret draw")));
}
TEST(PrivacyCommandTest, TakesWhatIsNotSaidFromTheExperiment) {
  TemporaryFolder folder;
  const std::string file = folder.Write(
      "e.yaml",
      std::string(kExperiment) +
          "privacy: {differential_privacy: {mode: central, clip: 1, noise_multiplier: 4}}\n");
  const auto plan = Planned({file});
  EXPECT_EQ(plan["rounds"], 20);
  EXPECT_EQ(plan["noise_multiplier"], 4);
  EXPECT_EQ(Planned({file, "federation.rounds=30"})["rounds"], 30);
  EXPECT_EQ(Planned({file, "--epsilon", "2"})["solved"], "noise");
  EXPECT_THAT(RunProgram({"privacy", file}).out,
              HasSubstr("with 5 clients in a round an epsilon at client level buys little"));
}
TEST(PrivacyCommandTest, SaysWhoseNoiseIsCountedOn) {
  TemporaryFolder folder;
  const auto assumed = [&](const std::string& mode, const std::string& secure) {
    const std::string file =
        folder.Write("e.yaml", std::string(kExperiment) + "privacy: {secure_aggregation: {" +
                                   secure + "}, differential_privacy: {mode: " + mode +
                                   ", clip: 1, noise_multiplier: 4}}\n");
    return RunProgram({"privacy", file, "federation.cohort=10"}).out;
  };
  EXPECT_THAT(assumed("central", "mode: plain"), HasSubstr("is trusted with each update"));
  EXPECT_THAT(assumed("central", "mode: secure"),
              HasSubstr("is trusted with the sum before it, but sees no single update"));
  EXPECT_THAT(assumed("distributed", "mode: secure"),
              HasSubstr("that of 1 of 3 to 3 of 10 members is not counted on"));
  EXPECT_THAT(assumed("distributed", "mode: secure, group_size: 5"),
              HasSubstr("a round is several sums, each with all of the noise; a client is in one"));
}
TEST(PrivacyCommandTest, CountsTheGradientsOfARecord) {
  TemporaryFolder folder;
  const std::string file = folder.Write(
      "e.yaml",
      With(kExperiment, "{name: maml,", "{name: fomaml, tasks_per_round: 3, adaptation_steps: 4,") +
          "privacy: {differential_privacy: {mode: local, clip: 1, noise_multiplier: 4}}\n");
  EXPECT_EQ(Planned({file})["rounds"], 20 * 3 * (4 + 1));
}
TEST(PrivacyCommandTest, RefusesWhatItCannotSolve) {
  const Outcome one = RunProgram({"privacy", "--epsilon", "3"});
  EXPECT_EQ(one.code, 2);
  EXPECT_THAT(one.err, HasSubstr("give two of --noise, --epsilon and --rounds"));
  EXPECT_EQ(RunProgram({"privacy", "--noise", "0", "--rounds", "1"}).code, 2);
  TemporaryFolder folder;
  const Outcome none = RunProgram({"privacy", folder.Write("e.yaml", kExperiment)});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("has no privacy.differential_privacy"));
}

}  // namespace
}  // namespace fedmeta

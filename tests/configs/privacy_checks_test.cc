#include "fedmeta/configs/privacy_checks.h"

#include <gmock/gmock.h>

#include "fedmeta/privacy/privacy_account.h"
#include "fedmeta/tests/configs/config_files.h"

// What cannot keep its promise of privacy is refused before anything runs, with the inequality and
// settings that can.
namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// kExperiment (20 rounds, cohort 5 of 10 training clients) with these keys of
/// differential_privacy.
std::string Private(const std::string& keys, const std::string& yaml = kExperiment) {
  return yaml + "privacy: {differential_privacy: {" + keys + "}}\n";
}
v1::DifferentialPrivacy Resolved(const std::string& yaml) {
  return Parse(yaml).value()->privacy().differential_privacy();
}

TEST(PrivacyChecksTest, WithoutTheBlockThereIsNone) {
  EXPECT_FALSE(Parse(kExperiment).value()->privacy().has_differential_privacy());
  EXPECT_FALSE(PrivacyAccount::Of(*Parse(kExperiment).value()).value().has_value());
}

TEST(PrivacyChecksTest, NeedsNoiseOrEpsilon) {
  EXPECT_EQ(Problems(Private("mode: central, clip: 1, noise_multiplier: 2")), "no problem");
  EXPECT_THAT(Problems(Private("mode: central, clip: 1")),
              HasSubstr("privacy.differential_privacy needs noise_multiplier or epsilon"));
}

TEST(PrivacyChecksTest, AnEpsilonBecomesTheNoiseAndTheBudget) {
  const auto keys = Resolved(Private("mode: central, clip: 1, epsilon: 3, delta: 1e-5"));
  // 20 rounds at this noise cost 3 and no more; with 1 % less they cost more.
  const auto cost = [&](double noise) {
    return SpentBy(Accountant::kZeroConcentrated, {.noise_multiplier = noise}, 20, 1e-5)
        .value()
        .epsilon;
  };
  EXPECT_LE(cost(keys.noise_multiplier()), 3);
  EXPECT_GT(cost(keys.noise_multiplier() * 0.99), 3);
  EXPECT_EQ(keys.budget().epsilon(), 3);
  EXPECT_EQ(keys.budget().delta(), 1e-5);
}

TEST(PrivacyChecksTest, EveryMethodThatTrainsIsReleased) {
  const std::string baselines =
      "evaluation: {baselines: [{name: local}, {name: fedavg, learning_rate: [0.1, 0.3]}]}\n";
  // 20 rounds of maml and of each of two settings of fedavg; local releases nothing.
  EXPECT_EQ(PlannedReleases(*Parse(kExperiment + baselines).value()), 60U);
  EXPECT_GT(Resolved(Private("mode: central, clip: 1, epsilon: 3", kExperiment + baselines))
                .noise_multiplier(),
            Resolved(Private("mode: central, clip: 1, epsilon: 3")).noise_multiplier());
}

TEST(PrivacyChecksTest, TheResolvedFileIsTheSameExperiment) {
  const PluginTables tables = BuiltinPluginTables();
  const auto first = Parse(Private("mode: central, clip: 1, epsilon: 3")).value();
  EXPECT_EQ(Resolved(PrintYaml(*first, tables)).SerializeAsString(),
            first->privacy().differential_privacy().SerializeAsString());
}

TEST(PrivacyChecksTest, NoiseThatDoesNotKeepTheEpsilonIsRefused) {
  EXPECT_THAT(
      Problems(Private("mode: central, clip: 1, epsilon: 3, noise_multiplier: 1")),
      AllOf(HasSubstr("noise_multiplier is too small for"), HasSubstr("20 releases cost 32.22 > 3"),
            HasSubstr("remove it, or make it at least 7.35076")));
}

TEST(PrivacyChecksTest, ABudgetBelowOneRoundIsRefusedWithTheNoiseThatFits) {
  EXPECT_THAT(
      Problems(Private("mode: central, clip: 1, noise_multiplier: 1, budget: {epsilon: 2}")),
      AllOf(HasSubstr("does not allow a single round: with noise_multiplier 1 it costs 5.222 > 2"),
            HasSubstr("allows one"), HasSubstr("all 20")));
}

TEST(PrivacyChecksTest, SamplingIsAnAssumptionOfSimulations) {
  const std::string keys = "mode: central, clip: 1, noise_multiplier: 2, sampling: poisson";
  const auto account = PrivacyAccount::Of(*Parse(Private(keys)).value()).value();
  EXPECT_EQ(account->terms().sampling_rate, 0.5);  // 5 of 12 - 2
  EXPECT_THAT(account->Assumption(), HasSubstr("assumed to be in a round by its own draw"));
  const std::string live = With(kExperiment, "  source: {name: sinusoid}\n", "");
  EXPECT_THAT(Problems(Private(keys, live)), HasSubstr("set it to none"));
}

TEST(PrivacyChecksTest, NoiseOfASumNeedsASum) {
  EXPECT_EQ(Problems(Private("mode: central, clip: 1, noise_multiplier: 2") +
                     "server: {aggregation: {name: weighted_mean}}\n"),
            "no problem");
}

TEST(PrivacyChecksTest, ColludersAreOfDistributedNoise) {
  EXPECT_THAT(
      Problems(Private("mode: central, clip: 1, noise_multiplier: 2, assumed_colluders: 1")),
      HasSubstr("assumed_colluders is for mode distributed, which is central; remove it"));
}

/// The same on sums of this mode and these further keys.
std::string Summed(const std::string& mode, const std::string& keys) {
  return With(Private(keys), "privacy: {diff",
              "privacy: {secure_aggregation: {mode: " + mode + "}, diff");
}
std::string Masked(const std::string& keys, const std::string& secure = "") {
  return Summed("secure" + secure, keys);
}

TEST(PrivacyChecksTest, NoiseOfMembersNeedsMasks) {
  const std::string keys = "mode: distributed, clip: 1, noise_multiplier: 2";
  EXPECT_THAT(Problems(Summed("plain", keys)),
              HasSubstr("mode distributed needs privacy.secure_aggregation.mode secure"));
  EXPECT_EQ(Problems(Masked(keys)), "no problem");
  EXPECT_EQ(Problems(Private(keys)), "no problem") << "masks are the default below it";
  EXPECT_EQ(Problems(Masked("mode: central, clip: 1, noise_multiplier: 2")), "no problem");
}

TEST(PrivacyChecksTest, ARingTooSmallForTheNoiseIsRefusedWithWhatWorks) {
  EXPECT_THAT(Problems(Masked("mode: central, clip: 1, noise_multiplier: 1e8")),
              AllOf(HasSubstr("the noise does not fit the ring: cohort x (scale x clip + noise "
                              "tail) = 5 x (128 + "),
                    HasSubstr("must be < 2^31"), HasSubstr("what works: noise_multiplier 5e+05"),
                    HasSubstr("privacy.secure_aggregation.ring_bits 64")));
  EXPECT_EQ(Problems(Masked("mode: central, clip: 1, noise_multiplier: 5e5")), "no problem");
  EXPECT_EQ(Problems(Masked("mode: central, clip: 1, noise_multiplier: 1e8", ", ring_bits: 64")),
            "no problem");
}

TEST(PrivacyChecksTest, NoiseTooSmallForTheRingIsRefusedWithWhatWorks) {
  EXPECT_THAT(Problems(Masked("mode: distributed, clip: 1, noise_multiplier: 1e-8")),
              AllOf(HasSubstr("each member's must have a standard deviation of at least 4 units"),
                    HasSubstr("what works: noise_multiplier "),
                    HasSubstr("privacy.secure_aggregation.ring_bits 64")));
}

TEST(PrivacyChecksTest, MoreColludersThanASessionWithstandsAreRefused) {
  const std::string keys = "mode: distributed, clip: 1, noise_multiplier: 2, assumed_colluders: 2";
  EXPECT_THAT(Problems(Masked(keys)),
              AllOf(HasSubstr("assumed_colluders must be <= 1, what a session of "
                              "privacy.secure_aggregation.minimum 3 members withstands"),
                    HasSubstr("nearest are assumed_colluders 1 and minimum 7")));
}

TEST(PrivacyChecksTest, NoiseOfASumIsThatOfWholeUpdates) {
  const std::string keys = "mode: central, clip: 1, noise_multiplier: 2";
  EXPECT_THAT(Problems(Masked(keys, ", ring_bits: 16")),
              HasSubstr("privacy.secure_aggregation.ring_bits must be 32 or 64 with"));
  EXPECT_THAT(Problems(Private(
                  keys, With(kExperiment, "  cohort: 5\n",
                             "  cohort: 5\n  compression: {fraction: 0.1, rotation: true}\n"))),
              AllOf(HasSubstr("federation.compression.fraction must be 1 with"),
                    HasSubstr("federation.compression.rotation must be false with")));
}

std::string Local(const std::string& algorithm = "fomaml") {
  return With(kExperiment, "{name: maml,", "{name: " + algorithm + ",");
}
constexpr char kLocalKeys[] = "mode: local, clip: 1, noise_multiplier: 2";

TEST(PrivacyChecksTest, RecordLevelTakesAlgorithmsOfSingleGradients) {
  EXPECT_EQ(Problems(Private(kLocalKeys, Local())), "no problem");
  EXPECT_EQ(Problems(Private(kLocalKeys, Local("reptile"))), "no problem");
  EXPECT_THAT(Problems(Private(kLocalKeys)),
              HasSubstr("e.yaml:8:19: algorithm.name must be fedavg, fomaml or reptile with "
                        "privacy.differential_privacy.mode local: only their updates are made of "
                        "single records' gradients, got maml (second derivatives); nearest is "
                        "fomaml"));
}

TEST(PrivacyChecksTest, RecordLevelHasItsBudgetAtTheSite) {
  EXPECT_THAT(Problems(Private("mode: local, clip: 1, epsilon: 3", Local())),
              HasSubstr("policy.epsilon_budget"));
  EXPECT_THAT(Problems(Private(std::string(kLocalKeys) + ", budget: {epsilon: 3}", Local())),
              HasSubstr("budget is for modes central and distributed"));
  EXPECT_THAT(Problems(Private(std::string(kLocalKeys) + ", sampling: poisson", Local())),
              HasSubstr("poisson is for modes central and distributed"));
  EXPECT_THAT(Problems(Private("mode: local, clip: 1", Local())),
              HasSubstr("needs noise_multiplier in mode local"));
}

TEST(PrivacyChecksTest, RecordLevelTakesNoStatisticsOverRecords) {
  const std::string images = With(kEpisodic, "{name: maml}", "{name: fomaml}");
  EXPECT_THAT(Problems(Private(kLocalKeys, images)),
              HasSubstr("model.normalization batch takes statistics over records"));
  EXPECT_EQ(Problems(Private(kLocalKeys,
                             With(images, "{name: conv4}", "{name: conv4, normalization: group}"))),
            "no problem");
  const std::string table = R"(name: rows
model: {name: mlp}
data:
  name: rows
  tasks: {name: split}
  features: [{name: age, kind: number, missing: mean}]
  label: {name: ill, kind: category, levels: [absent, present]}
  standardize: local
  class_weights: balanced
algorithm: {name: fomaml}
federation: {rounds: 20, cohort: 5}
)";
  const std::string problems = Problems(Private(kLocalKeys, table));
  EXPECT_THAT(problems, HasSubstr("data.standardize local takes mean and deviation over records"));
  EXPECT_THAT(problems, HasSubstr("data.features[0].missing mean is taken over records"));
  EXPECT_THAT(problems, HasSubstr("data.class_weights balanced counts records"));
}

}  // namespace
}  // namespace fedmeta

#include "fedmeta/configs/robust_checks.h"

#include <gmock/gmock.h>

#include "fedmeta/tests/configs/config_files.h"

// Robust aggregations: the mode that they need, what does not go with them, the reports they need.
namespace fedmeta {
namespace {

using ::testing::HasSubstr;

/// A federation of 5 with `aggregation` in mode plain_robust, and further keys.
std::string Robust(const std::string& aggregation, std::vector<std::string> overrides = {},
                   const std::string& mode = "plain_robust") {
  overrides.push_back("server.aggregation={" + aggregation + "}");
  overrides.push_back("privacy.secure_aggregation.mode=" + mode);
  const auto loaded = Parse(kEpisodic, overrides);
  return loaded.ok() ? "no problem" : loaded.error().message();
}

TEST(RobustChecks, EachRuleGoesWithItsMode) {
  for (const char* rule :
       {"median", "trimmed_mean", "krum", "multi_krum", "geometric_median", "norm_bound"}) {
    EXPECT_EQ(Robust(std::string("name: ") + rule), "no problem");
    EXPECT_THAT(
        Robust(std::string("name: ") + rule, {}, "plain"),
        HasSubstr("server.aggregation.name " + std::string(rule) +
                  " looks at the update of each client, which sites have to allow: it needs "
                  "privacy.secure_aggregation.mode plain_robust, got plain"));
    EXPECT_THAT(Robust(std::string("name: ") + rule, {}, "secure"),
                HasSubstr("secure aggregation shows only sums: use weighted_mean, or "
                          "privacy.secure_aggregation.mode: plain_robust"));
  }
}

TEST(RobustChecks, TheModeNeedsARule) {
  EXPECT_THAT(Robust("name: weighted_mean"),
              HasSubstr("privacy.secure_aggregation.mode plain_robust needs an aggregation that "
                        "looks at each update (median, trimmed_mean, krum, multi_krum, "
                        "geometric_median, norm_bound), got weighted_mean: nearest is mode plain"));
}

TEST(RobustChecks, MoreThanTwiceThePoisonedUpdatesHaveToReport) {
  for (const char* rule : {"median", "trimmed_mean", "geometric_median", "norm_bound"}) {
    const std::string two = std::string("name: ") + rule + ", byzantine: 2";
    EXPECT_EQ(Robust(two, {"federation.minimum_cohort=5"}), "no problem");
    EXPECT_THAT(Robust(two, {"federation.minimum_cohort=4"}),
                HasSubstr("federation.minimum_cohort must be > 2 x byzantine with "
                          "server.aggregation " +
                          std::string(rule) +
                          ", got 4 <= 4: nearest are minimum_cohort 5 and byzantine 1"));
  }
}

TEST(RobustChecks, KrumNeedsTwoMore) {
  for (const char* rule : {"krum", "multi_krum"}) {
    const std::string one = std::string("name: ") + rule + ", byzantine: 1";
    EXPECT_EQ(Robust(one, {"federation.minimum_cohort=5"}), "no problem");
    EXPECT_THAT(
        Robust(one, {"federation.minimum_cohort=4"}),
        HasSubstr("federation.minimum_cohort must be >= 2 x byzantine + 3 with "
                  "server.aggregation " +
                  std::string(rule) + ", got 4 < 5: nearest are minimum_cohort 5 and byzantine 0"));
    EXPECT_THAT(Robust(one, {"federation.minimum_cohort=2"}),
                HasSubstr("got 2 < 5: nearest is minimum_cohort 5"));
  }
}

TEST(RobustChecks, MultiKrumKeepsWhatIsLeft) {
  EXPECT_EQ(Robust("name: multi_krum, byzantine: 1, keep: 2"), "no problem");
  EXPECT_THAT(Robust("name: multi_krum, byzantine: 1, keep: 3"),
              HasSubstr("server.aggregation.keep must be <= federation.minimum_cohort - byzantine "
                        "- 2 = 2, got 3: nearest are keep 2 and cohort and minimum_cohort 6"));
}

/// The minimum defaults to the cohort, and so the cohort has to grow with it.
TEST(RobustChecks, ACohortThatIsTooSmallIsNamed) {
  EXPECT_THAT(Robust("name: median, byzantine: 3"),
              HasSubstr("got 5 <= 6: nearest are cohort and minimum_cohort 7 and byzantine 2"));
}

TEST(RobustChecks, NoiseOfASumGoesWithNoRule) {
  EXPECT_THAT(
      Robust("name: median", {"privacy.differential_privacy={mode: central, clip: 1, delta: 1e-5, "
                              "noise_multiplier: 1}"}),
      HasSubstr("server.aggregation.name must be weighted_mean with "
                "privacy.differential_privacy.mode central"));
}

TEST(RobustChecks, RulesLookAtWholeUpdates) {
  EXPECT_THAT(Robust("name: krum", {"federation.compression={fraction: 0.5}"}),
              HasSubstr("federation.compression.fraction goes with sums alone"));
  EXPECT_THAT(Robust("name: krum", {"federation.compression={rotation: true}"}),
              HasSubstr("federation.compression.rotation goes with sums alone"));
}

std::string Attacked(const std::string& yaml, const std::string& attack,
                     std::vector<std::string> overrides = {}) {
  overrides.push_back("simulated_attack={" + attack + "}");
  const auto loaded = Parse(yaml, overrides);
  return loaded.ok() ? "no problem" : loaded.error().message();
}

TEST(RobustChecks, AttacksThatCannotBeSimulated) {
  EXPECT_EQ(Attacked(kEpisodic, "clients: 2, kind: label_flip"), "no problem");
  EXPECT_EQ(Attacked(kExperiment, "clients: 2, kind: scale"), "no problem");
  EXPECT_THAT(Attacked(kExperiment, "clients: 2, kind: label_flip"),
              HasSubstr("simulated_attack.kind label_flip needs classes"));
  EXPECT_THAT(Attacked(kEpisodic, "clients: 2, kind: sign_flip",
                       {"privacy.secure_aggregation.mode=secure"}),
              HasSubstr("simulated_attack.kind sign_flip changes an update after"));
  EXPECT_THAT(Attacked(kEpisodic, "clients: 2, kind: scale", {"federation.compression={bits: 8}"}),
              HasSubstr("simulated_attack is not simulated with updates that"));
  EXPECT_THAT(Attacked(kEpisodic, "kind: scale"),
              HasSubstr("simulated_attack.clients is required"));
}

}  // namespace
}  // namespace fedmeta

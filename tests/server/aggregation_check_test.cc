// What a consumer of the library registers is refused before a run, as the builtin rules are.
#include "fedmeta/algorithms/server/aggregation_check.h"

#include "robust_round.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/algorithms/server/robust_aggregator.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

/// Needs 4 f + 3 updates, as no builtin rule does; f = 1.
class OwnRule final : public RobustRule {
 public:
  std::size_t fewest() const override { return 7; }
  void Combine(Updates, std::span<double>) const override {}
};

ServerRegistry WithOwnRule() {
  ServerRegistry registry = BuiltinServer();
  registry.aggregations["own"] = [](const google::protobuf::Any&,
                                    const AggregatorContext& context) {
    return MakeRobustAggregator(std::make_unique<OwnRule>(), context);
  };
  return registry;
}

v1::Experiment Experiment(const std::string& mode, std::uint32_t minimum) {
  v1::Experiment experiment;
  experiment.mutable_server()->mutable_aggregation()->set_name("own");
  experiment.mutable_privacy()->mutable_secure_aggregation()->set_mode(mode);
  experiment.mutable_federation()->set_cohort(8);
  experiment.mutable_federation()->set_minimum_cohort(minimum);
  return experiment;
}

std::string Refusal(const v1::Experiment& experiment) {
  const Status status = CheckAggregation(WithOwnRule(), experiment);
  return status.ok() ? "" : status.error().message();
}

TEST(AggregationCheckTest, AConsumersRuleNeedsTheModeThatSitesAllow) {
  for (const char* mode : {"plain", "secure"}) {
    EXPECT_EQ(Refusal(Experiment(mode, 7)),
              "server.aggregation.name own looks at the update of each client, which sites have to "
              "allow: it needs privacy.secure_aggregation.mode plain_robust, got " +
                  std::string(mode));
  }
  EXPECT_EQ(Refusal(Experiment("plain_robust", 7)), "");
}

TEST(AggregationCheckTest, AConsumersRuleNeedsAsManyUpdatesAsItSays) {
  EXPECT_EQ(Refusal(Experiment("plain_robust", 6)),
            "federation.minimum_cohort must be >= 7, the fewest updates for which "
            "server.aggregation own with these settings holds, got 6 < 7: nearest is "
            "minimum_cohort 7");
  v1::Experiment small = Experiment("plain_robust", 5);
  small.mutable_federation()->clear_minimum_cohort();
  small.mutable_federation()->set_cohort(5);
  EXPECT_THAT(Refusal(small), HasSubstr("nearest is cohort and minimum_cohort 7"));
}

TEST(AggregationCheckTest, TheModeNeedsARule) {
  v1::Experiment experiment = Experiment("plain_robust", 7);
  experiment.mutable_server()->mutable_aggregation()->set_name("weighted_mean");
  EXPECT_THAT(Refusal(experiment), HasSubstr("got weighted_mean: nearest is mode plain"));
  experiment.mutable_privacy()->mutable_secure_aggregation()->set_mode("secure");
  EXPECT_EQ(Refusal(experiment), "");
}

TEST(AggregationCheckTest, BuiltinRulesSayWhatTheLoaderSays) {
  for (const v1::Plugin& rule : RobustRules(2)) {
    v1::Experiment experiment = Experiment("plain_robust", 4);
    *experiment.mutable_server()->mutable_aggregation() = rule;
    const bool krum = rule.name().ends_with("krum");
    EXPECT_THAT(Refusal(experiment), HasSubstr(krum ? "must be >= 7" : "must be >= 5"));
    experiment.mutable_federation()->set_minimum_cohort(7);
    EXPECT_EQ(Refusal(experiment), "") << rule.name();
  }
}

}  // namespace
}  // namespace fedmeta

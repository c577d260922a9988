#include "fedmeta/site/policy.h"

#include <functional>

#include "site_fixtures.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

/// One rule: what the file says and what is offered, and the rule that forbids it; none: allowed.
struct Case {
  const char* name;
  std::function<void(v1::Policy&)> file;
  std::function<void(Offering&)> offered;
  const char* rule;
  v1::Role role = v1::ROLE_TRAIN;
  const char* signed_by = nullptr;
  bool revocation_settled = true;
};

const std::function<void(v1::Policy&)> kOpen = [](v1::Policy&) {};
const std::function<void(Offering&)> kAsIs = [](Offering&) {};

const Case kCases[] = {
    {"NothingForbidsIt", kOpen, kAsIs, ""},
    {"DataThatTheSiteHasNot", kOpen, [](Offering& o) { o.assignments[1].set_data("lung"); },
     "data"},
    {"AlgorithmsThatAreListed",
     [](v1::Policy& p) {
       p.mutable_allow()->add_algorithms("maml");
       p.mutable_allow()->add_algorithms("fedavg");
     },
     kAsIs, ""},
    {"ABaselineThatIsNotListed", [](v1::Policy& p) { p.mutable_allow()->add_algorithms("maml"); },
     kAsIs, "policy.allow.algorithms"},
    {"AResearcherNobodyVouchesFor",
     [](v1::Policy& p) { p.mutable_allow()->add_researchers("spiffe://heart/researcher/lea"); },
     kAsIs, "policy.allow.researchers"},
    {"AResearcherOfThisName",
     [](v1::Policy& p) { p.mutable_allow()->add_researchers("spiffe://heart/researcher/lea"); },
     kAsIs, "", v1::ROLE_TRAIN, "spiffe://heart/researcher/lea"},
    {"AnyResearcherOfTheFederation",
     [](v1::Policy& p) { p.mutable_allow()->add_researchers("spiffe://heart/researcher/*"); },
     kAsIs, "", v1::ROLE_TRAIN, "spiffe://heart/researcher/lea"},
    {"AnotherResearcher",
     [](v1::Policy& p) { p.mutable_allow()->add_researchers("spiffe://heart/researcher/max"); },
     kAsIs, "policy.allow.researchers", v1::ROLE_TRAIN, "spiffe://heart/researcher/lea"},
    {"TrainingWhereOnlyEvaluationIsAllowed",
     [](v1::Policy& p) {
       p.mutable_allow()->clear_purposes();
       p.mutable_allow()->add_purposes("evaluate");
     },
     kAsIs, "policy.allow.purposes"},
    {"EvaluationOfAHoldout",
     [](v1::Policy& p) {
       p.mutable_allow()->clear_purposes();
       p.mutable_allow()->add_purposes("evaluate");
     },
     kAsIs, "", v1::ROLE_HOLDOUT},
    {"EvaluationWhereOnlyTrainingIsAllowed",
     [](v1::Policy& p) {
       p.mutable_allow()->clear_purposes();
       p.mutable_allow()->add_purposes("train");
     },
     kAsIs, "policy.allow.purposes", v1::ROLE_HOLDOUT},
    {"AsManyAsAreNeeded", [](v1::Policy& p) { p.set_minimum_cohort(3); }, kAsIs, ""},
    {"TooFewInARound", [](v1::Policy& p) { p.set_minimum_cohort(4); }, kAsIs,
     "policy.minimum_cohort"},
    {"OwnUpdatesLookedAtWithoutAWord",
     [](v1::Policy& p) { p.mutable_allow()->clear_individual_updates(); },
     [](Offering& o) { o.assignments[1].set_robust_aggregation("krum"); },
     "policy.allow.individual_updates"},
    {"OwnUpdatesLookedAtWhereThatIsAllowed", kOpen,
     [](Offering& o) { o.assignments[1].set_robust_aggregation("krum"); }, ""},
    {"OwnUpdatesOnlyAddedUp", [](v1::Policy& p) { p.mutable_allow()->clear_individual_updates(); },
     kAsIs, ""},
    {"OwnUpdatesLookedAtWhereSumsAreRequired",
     [](v1::Policy& p) { p.mutable_require()->set_secure_aggregation(true); },
     [](Offering& o) {
       for (v1::Assignment& assignment : o.assignments) assignment.set_robust_aggregation("krum");
     },
     "policy.require.secure_aggregation"},
    {"ThreeInASecureSumWithoutAWord", kOpen, [](Offering& o) { o.Secure(); },
     "policy.minimum_cohort"},
    {"ThreeInASecureSumByChoice", [](v1::Policy& p) { p.set_minimum_cohort(3); },
     [](Offering& o) { o.Secure(); }, ""},
    {"ASecureSumWithoutAListOfTheRevoked", [](v1::Policy& p) { p.set_minimum_cohort(3); },
     [](Offering& o) { o.Secure(); }, "identity.revocation_list", v1::ROLE_TRAIN, nullptr,
     /*revocation_settled=*/false},
    {"APlainSumWithoutAListOfTheRevoked", kOpen, kAsIs, "", v1::ROLE_TRAIN, nullptr,
     /*revocation_settled=*/false},
    {"MembersThatAreNotNamed", [](v1::Policy& p) { p.add_members("spiffe://heart/client/*"); },
     kAsIs, "policy.members"},
    {"MembersThatAreWelcome", [](v1::Policy& p) { p.add_members("spiffe://heart/client/*"); },
     [](Offering& o) {
       o.offer.add_participants("site-1");
       o.offer.add_participants("site-2");
     },
     ""},
    {"AMemberThatIsNotWelcome",
     [](v1::Policy& p) {
       p.add_members("spiffe://heart/client/site-1");
       p.add_members("spiffe://heart/client/site-2");
     },
     [](Offering& o) {
       o.offer.add_participants("site-1");
       o.offer.add_participants("site-3");
     },
     "policy.members"},
    {"AMemberOfAnotherFederation", [](v1::Policy& p) { p.add_members("spiffe://lung/client/*"); },
     [](Offering& o) { o.offer.add_participants("site-1"); }, "policy.members"},
    {"AllLegsSecure",
     [](v1::Policy& p) {
       p.mutable_require()->set_secure_aggregation(true);
       p.set_minimum_cohort(3);
     },
     [](Offering& o) { o.Secure(); }, ""},
    {"OneLegNotSecure", [](v1::Policy& p) { p.mutable_require()->set_secure_aggregation(true); },
     [](Offering& o) {
       o.Secure();
       o.assignments[1].clear_secure();
     },
     "policy.require.secure_aggregation"},
    {"NoNoiseWhereItIsRequired",
     [](v1::Policy& p) { p.mutable_require()->set_differential_privacy(true); }, kAsIs,
     "policy.require.differential_privacy"},
    {"NoiseWhereItIsRequired",
     [](v1::Policy& p) { p.mutable_require()->set_differential_privacy(true); },
     [](Offering& o) { o.Private(); }, ""},
    {"ABudgetThatNothingIsChargedTo",
     [](v1::Policy& p) { p.mutable_epsilon_budget()->set_epsilon(1); }, kAsIs,
     "policy.epsilon_budget"},
    {"ABudgetThatRoundsAreChargedTo",
     [](v1::Policy& p) { p.mutable_epsilon_budget()->set_epsilon(1); },
     [](Offering& o) { o.Private(); }, ""},
    // 1 MiB holds 262,144 float32.
    {"AModelThatJustFits", kOpen,
     [](Offering& o) { o.offer.mutable_legs(0)->set_state_coordinates(262'144); }, ""},
    {"AModelThatIsTooLarge", kOpen,
     [](Offering& o) { o.offer.mutable_legs(1)->set_state_coordinates(262'145); },
     "policy.maximum_model_mib"},
};

class PolicyTest : public testing::TestWithParam<Case> {};

TEST_P(PolicyTest, NamesTheRuleThatForbidsIt) {
  const Case& c = GetParam();
  v1::Policy policy = OpenPolicy(1);
  c.file(policy);
  Offering offering;
  c.offered(offering);
  SiteFacts site = HeartSite(c.role);
  site.revocation_settled = c.revocation_settled;
  const Result<IdentityUri> researcher =
      c.signed_by == nullptr ? Error(ErrorCode::kNotFound, "no researcher has signed it")
                             : IdentityUri::Parse(c.signed_by);
  const Decision decision = CheckProposal(policy, site, offering.Make(), researcher);
  EXPECT_EQ(decision.rule, c.rule) << decision.reason;
  EXPECT_EQ(decision.allowed(), std::string(c.rule).empty());
  EXPECT_NE(decision.verdict, Verdict::kPending);
  EXPECT_EQ(decision.reason.empty(), decision.allowed());
}
INSTANTIATE_TEST_SUITE_P(Rules, PolicyTest, testing::ValuesIn(kCases),
                         [](const auto& tested) { return std::string(tested.param.name); });

/// A change to the plan that was offered, and the rule that it breaks.
struct PlanCase {
  const char* name;
  std::function<void(v1::RoundPlan&)> asked;
  const char* rule;
};

const PlanCase kPlans[] = {
    {"AsOffered", [](v1::RoundPlan&) {}, ""},
    {"TheLastRound", [](v1::RoundPlan& p) { p.mutable_key()->set_round(50); }, ""},
    {"ARoundBeyondTheLast", [](v1::RoundPlan& p) { p.mutable_key()->set_round(51); }, "offer"},
    {"AnotherAssignment",
     [](v1::RoundPlan& p) { p.set_assignment_hash(Digest::Of("another").bytes()); }, "offer"},
    {"AnAssignmentUnderAnotherName",
     [](v1::RoundPlan& p) { p.mutable_key()->set_experiment("heart/fedavg"); }, "offer"},
    {"ALargerModel", [](v1::RoundPlan& p) { p.set_state_coordinates(1001); }, "offer"},
    {"ALargerAssignment", [](v1::RoundPlan& p) { p.set_assignment_size(10'000); }, "offer"}};

class PlanPolicyTest : public testing::TestWithParam<PlanCase> {};

TEST_P(PlanPolicyTest, HoldsPlansToTheOffer) {
  Offering offering;
  v1::RoundPlan message = offering.Plan();
  GetParam().asked(message);
  const Decision decision =
      CheckPlan(OpenPolicy(1), offering.Make(), RoundPlan::Create(message).value());
  EXPECT_EQ(decision.rule, GetParam().rule) << decision.reason;
  EXPECT_EQ(decision.allowed(), std::string(GetParam().rule).empty());
}
INSTANTIATE_TEST_SUITE_P(Plans, PlanPolicyTest, testing::ValuesIn(kPlans),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(PlanPolicyTest, APurposeThatIsNotAllowed) {
  v1::Policy policy = OpenPolicy(1);
  policy.mutable_allow()->clear_purposes();
  policy.mutable_allow()->add_purposes("evaluate");
  const Offering offering;
  EXPECT_EQ(CheckPlan(policy, offering.Make(), RoundPlan::Create(offering.Plan()).value()).rule,
            "policy.allow.purposes");
}

}  // namespace
}  // namespace fedmeta

#include "fedmeta/site/policy.h"

#include <algorithm>
#include <cstdint>
#include <functional>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

constexpr std::uint64_t kMebibyte = 1024 * 1024;

Decision Refuse(std::string rule, std::string reason) {
  return {.verdict = Verdict::kRefused, .rule = std::move(rule), .reason = std::move(reason)};
}

template <typename List>
bool Holds(const List& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

/// A rule and what it says of one proposal.
using Rule = std::function<Decision()>;

class Rules {
 public:
  Rules(const v1::Policy& policy, const SiteFacts& site, const Proposal& proposal,
        const Result<IdentityUri>& researcher)
      : policy_(policy), site_(site), proposal_(proposal), researcher_(researcher) {}

  Decision First() const {
    const Rule rules[] = {[this] { return Data(); },
                          [this] { return Algorithms(); },
                          [this] { return Researchers(); },
                          [this] { return Purposes(); },
                          [this] { return IndividualUpdates(); },
                          [this] { return Cohort(); },
                          [this] { return Members(); },
                          [this] { return Secure(); },
                          [this] { return Revocation(); },
                          [this] { return DifferentialPrivacy(); },
                          [this] { return EpsilonBudget(); },
                          [this] { return ModelSize(); }};
    for (const Rule& rule : rules) {
      if (Decision decision = rule(); !decision.allowed()) return decision;
    }
    return {};
  }

 private:
  const std::string& Leg(std::size_t i) const {
    return proposal_.offer.legs(static_cast<int>(i)).experiment();
  }

  Decision Data() const {
    for (const v1::Assignment& assignment : proposal_.assignments) {
      if (!site_.data.contains(assignment.data())) {
        return Refuse("data", "it learns from '" + assignment.data() +
                                  "', which this site's file does not name");
      }
    }
    return {};
  }

  Decision Algorithms() const {
    const auto& allowed = policy_.allow().algorithms();
    for (std::size_t i = 0; i < proposal_.assignments.size(); ++i) {
      const std::string& name = proposal_.assignments[i].algorithm().name();
      if (!allowed.empty() && !Holds(allowed, name))
        return Refuse("policy.allow.algorithms", Leg(i) + " runs " + name);
    }
    return {};
  }

  Decision Researchers() const {
    const auto& allowed = policy_.allow().researchers();
    if (allowed.empty()) return {};
    const std::string rule = "policy.allow.researchers";
    if (!researcher_.ok()) return Refuse(rule, researcher_.error().message());
    const bool named = std::any_of(allowed.begin(), allowed.end(), [&](const std::string& pattern) {
      return MemberMatches(pattern, *researcher_);
    });
    if (named) return {};
    return Refuse(rule, "it is signed by " + researcher_->ToString() + ", who is not among them");
  }

  Decision Purposes() const {
    const bool trains = std::any_of(
        proposal_.assignments.begin(), proposal_.assignments.end(),
        [&](const auto& assignment) { return site_.data.at(assignment.data()) == v1::ROLE_TRAIN; });
    const char* purpose = trains ? "train" : "evaluate";
    if (Holds(policy_.allow().purposes(), purpose)) return {};
    return Refuse("policy.allow.purposes",
                  std::string("this site's part in it would be to ") + purpose);
  }

  Decision IndividualUpdates() const {
    if (policy_.allow().individual_updates()) return {};
    for (std::size_t i = 0; i < proposal_.assignments.size(); ++i) {
      const std::string& rule = proposal_.assignments[i].robust_aggregation();
      if (rule.empty()) continue;
      return Refuse(
          "policy.allow.individual_updates",
          "in " + Leg(i) + " the coordinator looks at this site's own updates, by " + rule);
    }
    return {};
  }

  bool secure() const {
    return std::all_of(proposal_.assignments.begin(), proposal_.assignments.end(),
                       [](const v1::Assignment& assignment) { return assignment.has_secure(); });
  }

  Decision Cohort() const {
    const std::uint32_t least = MinimumCohort(policy_, secure());
    const std::uint32_t promised = proposal_.offer.minimum_cohort();
    if (promised >= least) return {};
    return Refuse("policy.minimum_cohort", "its rounds may be made of " + std::to_string(promised) +
                                               ", at least " + std::to_string(least) +
                                               " are needed here");
  }

  Decision Members() const {
    if (policy_.members().empty()) return {};
    if (proposal_.offer.participants().empty())
      return Refuse("policy.members", "it does not say who takes part");
    for (const std::string& name : proposal_.offer.participants()) {
      const IdentityUri member{
          .federation = site_.identity.federation, .role = IdentityRole::kClient, .name = name};
      if (std::none_of(
              policy_.members().begin(), policy_.members().end(),
              [&](const std::string& pattern) { return MemberMatches(pattern, member); })) {
        return Refuse("policy.members", member.ToString() + " takes part");
      }
    }
    return {};
  }

  Decision Secure() const {
    if (!policy_.require().secure_aggregation() || secure()) return {};
    return Refuse("policy.require.secure_aggregation",
                  "the coordinator would see this site's own updates");
  }

  /// The coordinator's word that a member still counts is none.
  Decision Revocation() const {
    const bool any =
        std::any_of(proposal_.assignments.begin(), proposal_.assignments.end(),
                    [](const v1::Assignment& assignment) { return assignment.has_secure(); });
    if (!any || site_.revocation_settled) return {};
    return Refuse("identity.revocation_list",
                  "without the list this site would mask with members that were revoked: name it, "
                  "or say secure_aggregation.require_revocation_list: false");
  }

  Decision DifferentialPrivacy() const {
    return policy_.require().differential_privacy()
               ? NeedsNoise("policy.require.differential_privacy")
               : Decision();
  }
  Decision EpsilonBudget() const {
    return policy_.has_epsilon_budget() ? NeedsNoise("policy.epsilon_budget") : Decision();
  }
  Decision NeedsNoise(const char* rule) const {
    for (std::size_t i = 0; i < proposal_.assignments.size(); ++i) {
      if (!proposal_.assignments[i].has_differential_privacy())
        return Refuse(rule, Leg(i) + " has no differential privacy");
    }
    return {};
  }

  Decision ModelSize() const {
    for (const v1::OfferedLeg& leg : proposal_.offer.legs()) {
      const std::uint64_t most = policy_.maximum_model_mib() * kMebibyte / sizeof(float);
      if (leg.state_coordinates() > most) {
        return Refuse("policy.maximum_model_mib",
                      leg.experiment() + " has " + FormatCount(leg.state_coordinates()) +
                          " numbers, at most " + FormatCount(most) + " are accepted");
      }
    }
    return {};
  }

  const v1::Policy& policy_;
  const SiteFacts& site_;
  const Proposal& proposal_;
  const Result<IdentityUri>& researcher_;
};

}  // namespace

std::uint32_t MinimumCohort(const v1::Policy& policy, bool secure) {
  constexpr std::uint32_t kSecure = 4, kPlain = 1;
  if (policy.has_minimum_cohort()) return policy.minimum_cohort();
  return secure ? kSecure : kPlain;
}

v1::Policy OpenPolicy(std::uint32_t maximum_model_mib) {
  v1::Policy policy;
  policy.set_approve("any");
  for (const char* purpose : {"train", "evaluate"}) policy.mutable_allow()->add_purposes(purpose);
  policy.mutable_allow()->set_individual_updates(true);
  policy.mutable_disclose()->set_metrics("aggregate");
  policy.set_maximum_model_mib(maximum_model_mib);
  return policy;
}

Decision CheckProposal(const v1::Policy& policy, const SiteFacts& site, const Proposal& proposal,
                       const Result<IdentityUri>& researcher) {
  return Rules(policy, site, proposal, researcher).First();
}

Decision CheckPlan(const v1::Policy& policy, const Proposal& proposal, const RoundPlan& plan) {
  const std::string assignment = plan.message().assignment_hash();
  const auto leg = std::find_if(proposal.offer.legs().begin(), proposal.offer.legs().end(),
                                [&](const v1::OfferedLeg& candidate) {
                                  return candidate.assignment_hash() == assignment &&
                                         candidate.experiment() == plan.key().experiment.value();
                                });
  if (leg == proposal.offer.legs().end())
    return Refuse("offer", "the plan is for something else than what was offered");
  if (plan.message().state_coordinates() != leg->state_coordinates() ||
      plan.message().assignment_size() != leg->assignment_size()) {
    return Refuse("offer", "the plan's sizes are not those that were offered");
  }
  if (plan.key().round > proposal.offer.rounds()) {
    return Refuse("offer", "round " + std::to_string(plan.key().round) + " of " +
                               std::to_string(proposal.offer.rounds()) + " that were offered");
  }
  const char* purpose = plan.message().has_train() ? "train" : "evaluate";
  if (!Holds(policy.allow().purposes(), purpose))
    return Refuse("policy.allow.purposes", std::string("the plan is to ") + purpose);
  return {};
}

}  // namespace fedmeta

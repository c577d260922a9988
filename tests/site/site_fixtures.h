#pragma once

#include <string>
#include <utility>
#include <vector>

#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/site/policy.h"

namespace fedmeta {

/// What an experiment "heart" with legs heart/maml and heart/fedavg offers; tests change it and
/// make the proposal of it.
struct Offering {
  v1::Offer offer;
  std::vector<v1::Assignment> assignments;

  Offering() {
    offer.set_experiment("heart");
    offer.set_rounds(50);
    offer.set_cohort(4);
    offer.set_minimum_cohort(3);
    for (const char* algorithm : {"maml", "fedavg"}) {
      v1::Assignment assignment;
      assignment.set_experiment("heart");
      assignment.set_data("heart");
      assignment.mutable_algorithm()->set_name(algorithm);
      assignment.mutable_model()->set_name("mlp");
      assignments.push_back(std::move(assignment));
      v1::OfferedLeg& leg = *offer.add_legs();
      leg.set_experiment(std::string("heart/") + algorithm);
      leg.set_state_coordinates(1000);
    }
  }

  /// Both legs with terms that change nothing else.
  void Secure() {
    for (v1::Assignment& assignment : assignments) assignment.mutable_secure();
  }
  void Private(const std::string& mode = "local", std::uint32_t assumed_colluders = 0) {
    for (v1::Assignment& assignment : assignments) {
      assignment.mutable_differential_privacy()->set_mode(mode);
      assignment.mutable_differential_privacy()->set_assumed_colluders(assumed_colluders);
    }
  }

  std::vector<std::string> AssignmentBytes() const {
    std::vector<std::string> bytes;
    for (const v1::Assignment& assignment : assignments)
      bytes.push_back(assignment.SerializeAsString());
    return bytes;
  }
  std::string OfferBytes() const {
    v1::Offer named = offer;
    const std::vector<std::string> bytes = AssignmentBytes();
    for (int i = 0; i < named.legs_size(); ++i) {
      const std::string& assignment = bytes[static_cast<std::size_t>(i)];
      named.mutable_legs(i)->set_assignment_hash(Digest::Of(assignment).bytes());
      named.mutable_legs(i)->set_assignment_size(assignment.size());
    }
    return named.SerializeAsString();
  }
  Proposal Make() const { return Proposal::Create(OfferBytes(), AssignmentBytes()).value(); }

  /// Training round 1 of heart/maml, as offered.
  v1::RoundPlan Plan() const {
    const std::string assignment = AssignmentBytes().front();
    v1::RoundPlan plan;
    plan.mutable_key()->set_experiment("heart/maml");
    plan.mutable_key()->set_purpose(v1::PURPOSE_TRAIN);
    plan.mutable_key()->set_round(1);
    plan.mutable_key()->set_attempt(1);
    plan.set_assignment_hash(Digest::Of(assignment).bytes());
    plan.set_assignment_size(assignment.size());
    plan.set_state_hash(Digest::Of("state").bytes());
    plan.set_state_coordinates(1000);
    plan.set_maximum_weight(1);
    plan.mutable_train();
    return plan;
  }
};

inline SiteFacts HeartSite(v1::Role role = v1::ROLE_TRAIN) {
  return {.identity = {.federation = "heart", .role = IdentityRole::kClient, .name = "site-1"},
          .data = {{"heart", role}},
          .revocation_settled = true};
}

}  // namespace fedmeta

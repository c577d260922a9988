#include "fedmeta/site/proposal_json.h"

#include <memory>
#include <string>

#include <google/protobuf/message.h>

#include "fedmeta/configs/schema.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

/// "inner_learning_rate: 0.05 adaptation_steps: 5"; empty for settings of a type that this program
/// does not have.
std::string SettingsText(const v1::Plugin& plugin) {
  const std::unique_ptr<google::protobuf::Message> settings = Unpack(plugin.settings());
  return settings == nullptr ? "" : settings->ShortDebugString();
}

nlohmann::json DescribePrivacy(const v1::Assignment& assignment) {
  nlohmann::json privacy = {{"secure_aggregation", assignment.has_secure()},
                            {"robust_aggregation", assignment.robust_aggregation()},
                            {"differential_privacy", nullptr}};
  if (assignment.has_differential_privacy()) {
    const v1::PrivacyTerms& terms = assignment.differential_privacy();
    privacy["differential_privacy"] = {{"mode", terms.mode()},
                                       {"clip", terms.clip()},
                                       {"noise_multiplier", terms.noise_multiplier()},
                                       {"delta", terms.delta()}};
    // Fewer mean less noise of each member.
    if (terms.mode() == "distributed" && terms.assumed_colluders() > 0)
      privacy["differential_privacy"]["assumed_colluders"] = terms.assumed_colluders();
  }
  return privacy;
}

nlohmann::json DescribeLeaving(const v1::OfferedLeg& leg, const v1::Assignment& assignment,
                               v1::Role role, const v1::Policy& policy) {
  nlohmann::json leaves = nlohmann::json::array();
  if (role == v1::ROLE_TRAIN) {
    const std::uint64_t numbers = leg.state_coordinates();
    std::string update = "one update a round, " + FormatCount(numbers) + " numbers, " +
                         FormatBytes(numbers * sizeof(float)) + ", with a weight: ";
    if (assignment.has_compression() && assignment.compression().fraction() < 1) {
      update +=
          FormatNumber(100 * assignment.compression().fraction()) + "% of its steps are sent, ";
    }
    if (assignment.has_secure()) {
      update += "masked, the coordinator sees sums of sites";
    } else if (!assignment.robust_aggregation().empty()) {
      update += "the coordinator looks at it, by " + assignment.robust_aggregation();
    } else {
      update += "the coordinator sees it";
    }
    leaves.push_back(update);
  }
  const v1::Disclose& disclose = policy.disclose();
  std::string figures = "losses, accuracies and counts: ";
  if (disclose.metrics() == "none") {
    figures += "as zeros";
  } else {
    figures += disclose.metrics() == "named" ? "they may stand under this site's name"
               : assignment.has_secure()     ? "masked, as part of sums of sites"
                                             : "shown as part of sums of sites; the coordinator "
                                               "could read them";
    if (disclose.minimum_examples() > 0) {
      figures += "; zeros where made from fewer than " + FormatCount(disclose.minimum_examples()) +
                 " examples";
    }
  }
  leaves.push_back(figures);
  return leaves;
}

std::string RoleText(v1::Role role) {
  if (role == v1::ROLE_VALIDATION) return "validation";
  return role == v1::ROLE_HOLDOUT ? "holdout" : "train";
}

}  // namespace

nlohmann::json DescribeProposal(const Proposal& proposal, const SiteFacts& site,
                                const v1::Policy& policy) {
  nlohmann::json legs = nlohmann::json::array();
  for (int i = 0; i < proposal.offer.legs_size(); ++i) {
    const v1::OfferedLeg& leg = proposal.offer.legs(i);
    const v1::Assignment& assignment = proposal.assignments[static_cast<std::size_t>(i)];
    const auto data = site.data.find(assignment.data());
    const v1::Role role = data == site.data.end() ? v1::ROLE_TRAIN : data->second;
    legs.push_back(
        {{"name", leg.experiment()},
         {"assignment", Digest::Of(proposal.assignment_bytes[static_cast<std::size_t>(i)]).hex()},
         {"algorithm", assignment.algorithm().name()},
         {"algorithm_settings", SettingsText(assignment.algorithm())},
         {"model", assignment.model().name()},
         {"model_settings", SettingsText(assignment.model())},
         {"numbers", leg.state_coordinates()},
         {"bytes", leg.state_coordinates() * sizeof(float)},
         {"data", assignment.data()},
         {"role", RoleText(role)},
         {"leaves", DescribeLeaving(leg, assignment, role, policy)},
         {"privacy", DescribePrivacy(assignment)}});
  }
  return {{"experiment", proposal.offer.experiment()},
          {"hash", proposal.hash.hex()},
          {"rounds", proposal.offer.rounds()},
          {"cohort", proposal.offer.cohort()},
          {"minimum_cohort", proposal.offer.minimum_cohort()},
          {"participants", std::vector<std::string>(proposal.offer.participants().begin(),
                                                    proposal.offer.participants().end())},
          {"legs", std::move(legs)}};
}

}  // namespace fedmeta

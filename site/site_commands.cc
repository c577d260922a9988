#include "fedmeta/site/site_commands.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "fedmeta/site/proposal_json.h"
#include "fedmeta/site/site_ledger.h"

namespace fedmeta {
namespace {

std::string Dump(const nlohmann::json& object) {
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string TextOf(const nlohmann::json& request, const char* key) {
  const auto found = request.find(key);
  return found != request.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::string SiteCommands::Answer(std::string_view request) {
  const nlohmann::json parsed = nlohmann::json::parse(request, nullptr, false);
  Result<nlohmann::json> answer =
      parsed.is_object() ? Do(parsed)
                         : Error(ErrorCode::kInvalidArgument, "the request is no JSON object");
  if (answer.ok()) return Dump(*answer);
  return Dump(
      {{"error",
        {{"code", ErrorCodeName(answer.error().code())}, {"message", answer.error().message()}}}});
}

Result<nlohmann::json> SiteCommands::Do(const nlohmann::json& request) {
  const std::string command = TextOf(request, "command");
  if (command == "pending") return Pending();
  if (command == "show") return Show(request);
  if (command == "approve") return Decide(request, DecisionLog::Answer::kApproved);
  if (command == "reject") return Decide(request, DecisionLog::Answer::kRejected);
  if (command == "leave") return Decide(request, DecisionLog::Answer::kLeft);
  if (command == "pause") return Pause(request, true);
  if (command == "resume") return Pause(request, false);
  if (command == "ledger") return ReadSiteLedger(context_.state_dir);
  return Error(ErrorCode::kInvalidArgument, "unknown command '" + command + "'");
}

nlohmann::json SiteCommands::Summary(const Proposal& proposal) const {
  const Decision decision = context_.decide(proposal);
  const char* status = decision.allowed()                      ? "allowed"
                       : decision.verdict == Verdict::kPending ? "pending"
                                                               : "refused";
  return {{"experiment", proposal.offer.experiment()},
          {"hash", proposal.hash.hex()},
          {"offered_now", context_.current != nullptr && context_.current->hash == proposal.hash},
          {"status", status},
          {"rule", decision.rule},
          {"reason", decision.reason}};
}

nlohmann::json SiteCommands::Pending() const {
  nlohmann::json experiments = nlohmann::json::array();
  for (const auto& [hash, proposal] : context_.known) experiments.push_back(Summary(*proposal));
  return {{"paused", context_.log.paused()}, {"experiments", std::move(experiments)}};
}

Result<nlohmann::json> SiteCommands::Show(const nlohmann::json& request) const {
  FEDMETA_ASSIGN_OR_RETURN(const auto proposal, Find(request));
  nlohmann::json shown = DescribeProposal(*proposal, context_.site, context_.policy);
  shown.update(Summary(*proposal));
  const Result<IdentityUri> researcher = context_.researcher(*proposal);
  shown["researcher"] = researcher.ok() ? nlohmann::json(researcher->ToString()) : nullptr;
  shown["researcher_reason"] = researcher.ok() ? "" : researcher.error().message();
  return shown;
}

DecisionLog::By SiteCommands::By(const nlohmann::json& request) const {
  return {.who = context_.who, .note = TextOf(request, "note")};
}

Result<nlohmann::json> SiteCommands::Decide(const nlohmann::json& request,
                                            DecisionLog::Answer answer) {
  FEDMETA_ASSIGN_OR_RETURN(const auto proposal, Find(request));
  if (answer == DecisionLog::Answer::kApproved) {
    const Decision rules =
        CheckProposal(context_.policy, context_.site, *proposal, context_.researcher(*proposal));
    if (!rules.allowed()) {
      return Error(ErrorCode::kPermissionDenied,
                   rules.rule + " forbids " + proposal->offer.experiment() + ": " + rules.reason +
                       "; nobody's approval changes that, only the site's file");
    }
  }
  FEDMETA_RETURN_IF_ERROR(context_.log.Record(answer, proposal->hash, proposal->offer.experiment(),
                                              By(request), context_.now));
  decided_ = true;
  left_ = answer == DecisionLog::Answer::kLeft && proposal == context_.current;
  return Summary(*proposal);
}

Result<nlohmann::json> SiteCommands::Pause(const nlohmann::json& request, bool pause) {
  FEDMETA_RETURN_IF_ERROR(context_.log.RecordPause(pause, By(request), context_.now));
  decided_ = true;
  return Pending();
}

/// By name the one offered now, else the only one; by hash, or the beginning of one, any. Without
/// a name the one offered now, or the only one.
Result<std::shared_ptr<const Proposal>> SiteCommands::Find(const nlohmann::json& request) const {
  const std::string wanted = TextOf(request, "experiment");
  std::vector<std::shared_ptr<const Proposal>> found;
  for (const auto& [hash, proposal] : context_.known) {
    const bool named = wanted.empty() || proposal->offer.experiment() == wanted;
    if (named && proposal == context_.current) return proposal;
    if (named || hash.starts_with(wanted)) found.push_back(proposal);
  }
  if (found.size() == 1) return found.front();
  if (context_.known.empty())
    return Error(ErrorCode::kNotFound, "no experiment was offered to this site yet");
  if (found.empty()) {
    return Error(ErrorCode::kNotFound, "no experiment '" + wanted +
                                           "' was offered to this site; `fedmeta site pending` "
                                           "lists those that were");
  }
  return Error(ErrorCode::kInvalidArgument,
               "'" + wanted + "' means " + std::to_string(found.size()) +
                   " experiments: name one by its hash, as `fedmeta site pending` shows it");
}

}  // namespace fedmeta

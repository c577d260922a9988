#include "fedmeta/client/site_privacy_ledger.h"

#include <cmath>
#include <sstream>

#include <nlohmann/json.hpp>

#include "fedmeta/core/text.h"
#include "fedmeta/privacy/accountant.h"

namespace fedmeta {
namespace {

using Json = nlohmann::ordered_json;

double RhoOf(const SiteCharge& charge) {
  const double noise = charge.terms.noise_multiplier();
  return static_cast<double>(charge.releases) / (2 * noise * noise);
}

double EpsilonOfRho(double rho, double delta) {
  if (rho <= 0) return 0;
  // One release with as much noise as gives this rho.
  return SpentBy(Accountant::kZeroConcentrated, {.noise_multiplier = 1 / std::sqrt(2 * rho)}, 1,
                 delta)
      .value()
      .epsilon;
}

const char* PurposeName(Purpose purpose) {
  return purpose == Purpose::kTrain ? "train" : "evaluate";
}

/// What a line adds; nothing: it is damaged.
struct Entry {
  std::string data, mode;
  RoundKey key;
  std::uint64_t epoch = 1;
  double rho = 0;
};
std::optional<Entry> Parse(const std::string& line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  try {
    Entry entry{
        .data = json.at("data").get<std::string>(),
        .mode = json.at("mode").get<std::string>(),
        .key = {.experiment = ExperimentId(json.at("experiment").get<std::string>()),
                .purpose = json.at("purpose").get<std::string>() == "train" ? Purpose::kTrain
                                                                            : Purpose::kEvaluate,
                .round = json.at("round").get<std::uint64_t>(),
                .attempt = json.at("attempt").get<std::uint32_t>(),
                .session = json.at("session").get<std::uint32_t>()},
        .epoch = json.value("epoch", std::uint64_t{1}),
        .rho = json.at("rho").get<double>()};
    if (!(entry.rho > 0 && std::isfinite(entry.rho))) return std::nullopt;
    return entry;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

Result<SitePrivacyLedger> SitePrivacyLedger::Open(const std::filesystem::path& path,
                                                  std::optional<v1::EpsilonBudget> budget) {
  FEDMETA_ASSIGN_OR_RETURN(DurableLines::Opened opened, DurableLines::Open(path));
  SitePrivacyLedger ledger(path, std::move(opened.lines), std::move(budget));
  FEDMETA_RETURN_IF_ERROR(ledger.Read(opened.content));
  return ledger;
}

Status SitePrivacyLedger::Read(const std::string& content) {
  std::istringstream in(content);
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    const std::optional<Entry> entry = Parse(line);
    if (!entry) {
      return Error(ErrorCode::kDataLoss,
                   path_.string() + ":" + std::to_string(number) +
                       ": damaged. It says what this site has spent of its privacy budget: restore "
                       "it from a backup");
    }
    rho_[entry->data] += entry->rho;
    if (entry->mode != "local") sums_.emplace(entry->data, entry->epoch, entry->key);
  }
  return {};
}

bool SitePrivacyLedger::Known(const SiteCharge& charge) const {
  return charge.terms.mode() != "local" && sums_.contains({charge.data, charge.epoch, charge.key});
}

Status SitePrivacyLedger::CheckBudget(const SiteCharge& charge) const {
  if (!budget_ || Known(charge)) return {};
  const auto spent = rho_.find(charge.data);
  const double before = spent == rho_.end() ? 0 : spent->second;
  const double after = EpsilonOfRho(before + RhoOf(charge), budget_->delta());
  if (after <= budget_->epsilon()) return {};
  return Error(ErrorCode::kPermissionDenied,
               "policy.epsilon_budget of data " + charge.data + ": epsilon " +
                   FormatNumber(EpsilonOfRho(before, budget_->delta())) +
                   " is spent, this would make " + FormatNumber(after) + " > " +
                   FormatNumber(budget_->epsilon()) + " at delta " +
                   FormatNumber(budget_->delta()));
}

Status SitePrivacyLedger::Charge(const SiteCharge& charge, WallTime now) {
  if (!(charge.terms.noise_multiplier() > 0) || !(charge.terms.delta() > 0) ||
      !(charge.terms.delta() < 1) || charge.releases == 0) {
    return Error(
        ErrorCode::kInvalidArgument,
        "differential privacy: noise_multiplier must be > 0 and delta between 0 and 1, got " +
            FormatNumber(charge.terms.noise_multiplier()) + " and " +
            FormatNumber(charge.terms.delta()));
  }
  if (Known(charge)) return {};
  FEDMETA_RETURN_IF_ERROR(CheckBudget(charge));
  if (broken_) {
    return Error(ErrorCode::kInternal,
                 path_.string() +
                     " could not be written before: nothing leaves until this client "
                     "is started anew");
  }
  const double rho = RhoOf(charge);
  const Json line = {{"time", FormatUtc(now)},
                     {"data", charge.data},
                     {"experiment", charge.key.experiment.value()},
                     {"purpose", PurposeName(charge.key.purpose)},
                     {"round", charge.key.round},
                     {"attempt", charge.key.attempt},
                     {"session", charge.key.session},
                     {"epoch", charge.epoch},
                     {"mode", charge.terms.mode()},
                     {"unit", charge.terms.mode() == "local" ? "record" : "client"},
                     {"noise_multiplier", charge.terms.noise_multiplier()},
                     {"releases", charge.releases},
                     {"rho", rho},
                     {"epsilon", EpsilonOfRho(rho_[charge.data] + rho, charge.terms.delta())},
                     {"delta", charge.terms.delta()}};
  const Status written =
      lines_.Append(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  broken_ = !written.ok();
  if (broken_) return written;
  rho_[charge.data] += rho;
  if (charge.terms.mode() != "local") sums_.emplace(charge.data, charge.epoch, charge.key);
  return {};
}

std::set<std::pair<std::uint64_t, RoundKey>> SitePrivacyLedger::ChargedBefore(
    std::uint64_t epoch) const {
  std::set<std::pair<std::uint64_t, RoundKey>> attempts;
  for (const auto& [data, charged_under, session] : sums_) {
    if (charged_under >= epoch) continue;
    RoundKey attempt = session;
    attempt.session = 0;
    attempts.emplace(charged_under, std::move(attempt));
  }
  return attempts;
}

double SitePrivacyLedger::Epsilon(const std::string& data, double delta) const {
  const auto spent = rho_.find(data);
  return spent == rho_.end() ? 0 : EpsilonOfRho(spent->second, delta);
}

}  // namespace fedmeta

#include "fedmeta/client/site_privacy_ledger.h"

#include <cmath>
#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/file.h"
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
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (file.get() < 0) return SystemError("cannot open", path);
  SitePrivacyLedger ledger(path, std::move(file), std::move(budget));
  FEDMETA_RETURN_IF_ERROR(ledger.Read());
  FEDMETA_RETURN_IF_ERROR(SyncFolder(FolderOf(path)));
  return ledger;
}

Status SitePrivacyLedger::Read() {
  FEDMETA_ASSIGN_OR_RETURN(const std::string content, ReadFile(path_));
  std::size_t end = 0;
  std::size_t number = 0;
  for (std::size_t next; (next = content.find('\n', end)) != content.npos; end = next + 1) {
    ++number;
    const std::optional<Entry> entry = Parse(content.substr(end, next - end));
    if (!entry) {
      return Error(ErrorCode::kDataLoss,
                   path_.string() + ":" + std::to_string(number) +
                       ": damaged. It says what this site has spent of its privacy budget: restore "
                       "it from a backup");
    }
    rho_[entry->data] += entry->rho;
    if (entry->mode != "local") sums_.emplace(entry->data, entry->key);
  }
  if (end != content.size() && ::ftruncate(file_.get(), static_cast<off_t>(end)) != 0) {
    return SystemError("cannot cut a torn line from", path_);
  }
  return {};
}

bool SitePrivacyLedger::Known(const SiteCharge& charge) const {
  return charge.terms.mode() != "local" && sums_.contains({charge.data, charge.key});
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
                     {"mode", charge.terms.mode()},
                     {"unit", charge.terms.mode() == "local" ? "record" : "client"},
                     {"noise_multiplier", charge.terms.noise_multiplier()},
                     {"releases", charge.releases},
                     {"rho", rho},
                     {"epsilon", EpsilonOfRho(rho_[charge.data] + rho, charge.terms.delta())},
                     {"delta", charge.terms.delta()}};
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  const Status written = WriteAll(file_.get(), AsBytes(text), path_);
  broken_ = !written.ok() || ::fdatasync(file_.get()) != 0;
  if (!written.ok()) return written;
  if (broken_) return SystemError("cannot sync", path_);
  rho_[charge.data] += rho;
  if (charge.terms.mode() != "local") sums_.emplace(charge.data, charge.key);
  return {};
}

double SitePrivacyLedger::Epsilon(const std::string& data, double delta) const {
  const auto spent = rho_.find(data);
  return spent == rho_.end() ? 0 : EpsilonOfRho(spent->second, delta);
}

}  // namespace fedmeta

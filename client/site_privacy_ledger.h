#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/durable_lines.h"
#include "fedmeta/core/result.h"
#include "fedmeta/protocol/round_key.h"
#include "fedmeta/v1/differential_privacy.pb.h"
#include "fedmeta/v1/policy.pb.h"

namespace fedmeta {

/// A release that is about to leave this site.
struct SiteCharge {
  std::string data;  ///< whose records it is made of: the site's name of the data set
  RoundKey key;
  v1::PrivacyTerms terms;
  /// Of the coordinator: one that was restored asks for a round of the same name anew, with other
  /// noise.
  std::uint64_t epoch = 1;
  /// Modes central and distributed: 1. Mode local: the gradients in which one record can take
  /// part (GradientsPerRecord).
  std::uint64_t releases = 1;
};

/// A site's own account of what it has spent on privacy, for each data set over all experiments:
/// privacy_ledger.jsonl in its state folder, which only grows. One object a line, synced before
/// Charge returns and therefore before anything leaves; never refunded:
///
///   time, data, experiment, purpose, round, attempt, session   what was released
///   epoch           of the coordinator; 1 where a line does not say
///   mode, unit ("client", "record"), noise_multiplier, releases
///   rho             releases / (2 noise_multiplier^2): concentrated privacy, which adds up
///   epsilon, delta  of this data set with everything up to this line, at this delta
///
/// Charges of both units are added up. In modes central and distributed the same session of an
/// attempt is charged once an epoch; in mode local each result, since it was made with noise of its
/// own. A torn last line is cut off (nothing had left); other damage refuses the file (kDataLoss).
/// Not thread-safe; one process a folder.
class SitePrivacyLedger {
 public:
  static constexpr char kFile[] = "privacy_ledger.jsonl";

  /// `budget`: the policy's, for each data set; nothing: there is none.
  static Result<SitePrivacyLedger> Open(const std::filesystem::path& path,
                                        std::optional<v1::EpsilonBudget> budget);

  /// kPermissionDenied where the budget does not allow it, with the figures.
  Status CheckBudget(const SiteCharge& charge) const;
  /// CheckBudget, then on disk.
  Status Charge(const SiteCharge& charge, WallTime now);
  /// What was charged under earlier epochs than this one in modes central and distributed: each
  /// attempt (session 0) with its epoch.
  std::set<std::pair<std::uint64_t, RoundKey>> ChargedBefore(std::uint64_t epoch) const;
  /// Spent on a data set so far.
  double Epsilon(const std::string& data, double delta) const;

 private:
  SitePrivacyLedger(std::filesystem::path path, DurableLines lines,
                    std::optional<v1::EpsilonBudget> budget)
      : path_(std::move(path)), lines_(std::move(lines)), budget_(std::move(budget)) {}
  Status Read(const std::string& content);
  bool Known(const SiteCharge& charge) const;

  std::filesystem::path path_;
  DurableLines lines_;
  std::optional<v1::EpsilonBudget> budget_;
  std::map<std::string, double> rho_;  // by data set
  // Charged in modes central and distributed: data set, epoch, session.
  std::set<std::tuple<std::string, std::uint64_t, RoundKey>> sums_;
  bool broken_ = false;  // a charge could not be written
};

}  // namespace fedmeta

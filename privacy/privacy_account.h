#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/core/result.h"
#include "fedmeta/privacy/accountant.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// What an experiment's releases cost at client level (modes central and distributed), before and
/// during a run. The unit is a client, with and without what it sends (zero-out adjacency: who
/// takes part is public). Immutable, thread-safe.
class PrivacyAccount {
 public:
  /// Nothing without privacy.differential_privacy, and nothing in mode local: there each site
  /// accounts for its own records. kInvalidArgument: a noise multiplier that is missing or out of
  /// bounds, sampling poisson where the number of training clients is not known.
  static Result<std::optional<PrivacyAccount>> Of(const v1::Experiment& experiment);

  /// What this many releases cost, at the experiment's delta.
  double Epsilon(std::uint64_t releases) const;
  /// Whether the budget allows this many, all legs together.
  bool Affords(std::uint64_t releases) const { return !affordable_ || releases <= *affordable_; }

  const ReleaseTerms& terms() const { return terms_; }
  Accountant accountant() const { return RingAccountant(terms_.sampling_rate); }
  double delta() const { return delta_; }
  const std::optional<v1::PrivacyBudget>& budget() const { return budget_; }
  /// Releases that the budget allows; nothing: there is none.
  const std::optional<std::uint64_t>& affordable() const { return affordable_; }
  /// One sentence for people: the unit, and what the account rests on.
  std::string Assumption() const;
  /// Who adds the noise, whose of it is counted on, and who is trusted.
  const std::vector<std::string>& noise_assumptions() const { return noise_assumptions_; }

 private:
  PrivacyAccount() = default;
  ReleaseTerms terms_;
  double delta_ = 0;
  std::vector<std::string> noise_assumptions_;
  std::optional<v1::PrivacyBudget> budget_;
  std::optional<std::uint64_t> affordable_;
};

/// What of privacy.differential_privacy an assignment carries.
v1::PrivacyTerms PrivacyTermsOf(const v1::DifferentialPrivacy& keys);

/// Share of the training clients that a round asks, where the experiment assumes that each is drawn
/// on its own; 1 without that assumption. kInvalidArgument where their number is not in the
/// experiment.
Result<double> SamplingRate(const v1::Experiment& experiment);

}  // namespace fedmeta

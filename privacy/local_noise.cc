#include "fedmeta/privacy/local_noise.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "fedmeta/privacy/discrete_gaussian.h"
#include "fedmeta/privacy/threshold.h"

namespace fedmeta {

std::uint32_t UncountedNoise(const v1::PrivacyTerms& terms, std::uint32_t members) {
  const std::uint32_t colluders =
      terms.assumed_colluders() > 0
          ? terms.assumed_colluders()
          : static_cast<std::uint32_t>(members >= kSmallestSession ? AssumedColluders(members) : 0);
  return std::min(std::max(colluders, 1U), members - 1);
}

std::uint64_t LocalNoise::Sigma(std::uint32_t members) const {
  const double counted = members - UncountedNoise(options_.terms, members);
  return static_cast<std::uint64_t>(
      std::ceil(static_cast<double>(options_.sigma) / std::sqrt(counted)));
}

Status LocalNoise::AddTo(RingVector& vector, std::uint32_t members, SecretRng& rng) const {
  if (members < options_.minimum || members > options_.cohort) {
    return Error(ErrorCode::kInvalidArgument,
                 "privacy.differential_privacy: noise for a session of " +
                     std::to_string(options_.minimum) + " to " + std::to_string(options_.cohort) +
                     " members, got " + std::to_string(members));
  }
  return AddNoise(vector, Sigma(members), rng);
}

Status AddNoise(RingVector& vector, std::uint64_t sigma, SecretRng& rng) {
  FEDMETA_ASSIGN_OR_RETURN(const DiscreteGaussian noise, DiscreteGaussian::Create(sigma));
  for (std::size_t i = 0; i < vector.size(); ++i) vector.AddSigned(i, noise.Draw(rng));
  return {};
}

}  // namespace fedmeta

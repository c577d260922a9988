#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "fedmeta/core/result.h"
#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/privacy/masked_sum.h"
#include "fedmeta/privacy/private_sum.h"
#include "fedmeta/privacy/secure_terms.h"

namespace fedmeta {

/// The sums of one secure attempt: a masked one for each group, then what was opened of them. Not
/// thread-safe.
class SecureSums {
 public:
  /// `layout`: null for evaluation; outlives it. `privacy`: of training under differential privacy
  /// of sums; else null.
  static Result<SecureSums> Create(const v1::SecureTerms& terms, const v1::PrivacyTerms* privacy,
                                   const StateLayout* layout, const RoundPlan& plan);

  /// A masked upload. The first of a newer session begins the group's sum anew; one of an older
  /// session is refused (kFailedPrecondition).
  Status Add(std::uint32_t group, std::uint32_t session, std::span<const std::byte> masked);
  /// Before anything is opened; empty: nothing was added.
  std::span<const std::byte> masked(std::uint32_t group);
  /// Opens a group's sum of `members` contributions; under differential privacy in mode central it
  /// gets its noise here, before anything is made of it. kInvalidArgument: no honest clients can
  /// give it.
  Status Unmask(std::uint32_t group, std::uint32_t members,
                std::span<const SecretBytes> self_mask_keys);
  /// The mean over all opened groups, each weighted by its summed weight, in order of their
  /// numbers. kFailedPrecondition: nothing was opened.
  Result<DecodedSum> Finish() const;

 private:
  struct Group {
    std::uint32_t session = 0;
    std::optional<MaskedSum> sum;
    std::optional<DecodedSum> opened;
  };
  explicit SecureSums(RingCodec codec) : codec_(std::move(codec)) {}
  Result<DecodedSum> Decode(RingVector sum, std::uint32_t members);

  RingCodec codec_;
  std::optional<PrivateSum> private_sum_;  // in its place
  bool central_ = false;                   // noise is added here
  std::map<std::uint32_t, Group> groups_;
};

}  // namespace fedmeta

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/offer.pb.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

inline constexpr std::size_t kMaximumOfferBytes = 1024 * 1024;
inline constexpr std::size_t kMaximumOfferedBytes = 16 * 1024 * 1024;  ///< of all assignments

/// An experiment as a site decides on it: the offer, and the assignment of each of its legs, all as
/// received. The offer's hash covers them. Immutable.
struct Proposal {
  Digest hash;
  v1::Offer offer;
  std::string offer_bytes;
  std::vector<v1::Assignment> assignments;  ///< in the order of offer.legs
  std::vector<std::string> assignment_bytes;
  std::string endorsement = {};  ///< v1::Endorsement, as received, not checked; empty: none

  /// kInvalidArgument for an offer that is none: not of its kind, without legs, of legs that do not
  /// belong to one experiment, with sizes beyond protocol/limits.h.
  static Result<v1::Offer> ParseOffer(const std::string& bytes);
  /// `assignments` in the order of the offer's legs; kInvalidArgument unless each is the one that
  /// the offer names.
  static Result<Proposal> Create(std::string offer, std::vector<std::string> assignments);
};

}  // namespace fedmeta

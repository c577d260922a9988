#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "fedmeta/coordinator/leg.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/core/result.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// The experiment as sites decide on it (offer.proto), and what they have to read for that.
/// Immutable.
class ExperimentOffer {
 public:
  ExperimentOffer(const v1::Experiment& experiment, std::span<const Leg> legs);

  const std::string& bytes() const { return bytes_; }  ///< serialised v1::Offer
  Digest hash() const { return Digest::Of(bytes_); }
  /// Of one of its legs; null for anything else.
  std::shared_ptr<const Bytes> FindAssignment(const Digest& digest) const;
  /// kPermissionDenied for a client that federation.participants does not name.
  Status CheckParticipant(const ClientId& client) const;

 private:
  std::string bytes_;
  std::map<Digest, std::shared_ptr<const Bytes>> assignments_;
  std::set<std::string> participants_;
};

}  // namespace fedmeta

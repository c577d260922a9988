#pragma once

#include <memory>
#include <string>

#include "fedmeta/privacy/party.h"

namespace fedmeta {

/// Identities of a federation that lives in one process (simulation): there is nobody to prove
/// anything to outside it, so a "certificate" is the identity and the organisation, and a signature
/// is an HMAC-SHA256 under a secret of the process. All else runs as with certificates. Whoever
/// lacks the secret can forge nothing, as with the real ones. Thread-safe.
class ProcessAuthority {
 public:
  explicit ProcessAuthority(std::string federation);
  ~ProcessAuthority();

  const std::string& federation() const;
  /// spiffe://<federation>/client/<name>; organisation: the identity, if empty. The authority
  /// outlives it.
  std::shared_ptr<const Signer> Admit(const std::string& name,
                                      const std::string& organisation = {}) const;
  const PeerVerifier& verifier() const;

 private:
  class Content;
  std::unique_ptr<Content> content_;
};

}  // namespace fedmeta

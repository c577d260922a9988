#include "fedmeta/privacy/certificate_party.h"

#include <chrono>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "fedmeta/identity/signature.h"
#include "fedmeta/privacy/threshold.h"

namespace fedmeta {
namespace {

// Chains hold for this long without another look. A peer's dates and revocation are looked at every
// time.
constexpr std::chrono::minutes kChainHolds{1};
constexpr std::size_t kMostKept = 2 * kLargestSession;

class CredentialsSigner final : public Signer {
 public:
  CredentialsSigner(std::shared_ptr<const Credentials> credentials, StatementKey key,
                    Digest certificate_hash)
      : credentials_(std::move(credentials)),
        key_(std::move(key)),
        certificate_hash_(certificate_hash) {}
  const IdentityUri& identity() const override { return credentials_->identity; }
  const std::string& certificate() const override { return credentials_->certificate_pem; }
  const Digest& certificate_hash() const override { return certificate_hash_; }
  Result<std::string> Sign(std::string_view domain, std::string_view statement) const override {
    return key_.Sign(domain, statement);
  }

 private:
  const std::shared_ptr<const Credentials> credentials_;
  const StatementKey key_;
  const Digest certificate_hash_;
};

/// The signer of the last session serves on while its certificate does.
class LatestSigner {
 public:
  LatestSigner(std::shared_ptr<const IdentitySource> identity, const Clock& clock)
      : identity_(std::move(identity)), clock_(clock) {}

  Result<std::shared_ptr<const Signer>> Get() {
    auto own = identity_->credentials();
    const TimePoint now = clock_.Now();
    const std::lock_guard lock(mutex_);
    if (signer_ && own == made_of_ && now < until_) return signer_;
    FEDMETA_ASSIGN_OR_RETURN(const VerifiedCertificate certificate,
                             VerifiedCertificate::Verify(own->certificate_pem, own->trust_pem,
                                                         IdentityRole::kClient, clock_.Wall()));
    FEDMETA_ASSIGN_OR_RETURN(StatementKey key, StatementKey::Of(*own));
    signer_ = std::make_shared<const CredentialsSigner>(own, std::move(key), certificate.sha256());
    made_of_ = std::move(own);
    until_ = now + kChainHolds;
    return signer_;
  }

 private:
  const std::shared_ptr<const IdentitySource> identity_;
  const Clock& clock_;
  std::mutex mutex_;
  std::shared_ptr<const Credentials> made_of_;
  std::shared_ptr<const Signer> signer_;
  TimePoint until_;
};

class CertifiedPeer final : public Peer {
 public:
  explicit CertifiedPeer(VerifiedCertificate certificate) : certificate_(std::move(certificate)) {}
  const IdentityUri& identity() const override { return certificate_.identity(); }
  const std::string& organisation() const override { return certificate_.organisation(); }
  const Digest& certificate_hash() const override { return certificate_.sha256(); }
  bool Verifies(std::string_view domain, std::string_view statement,
                std::string_view signature) const override {
    return certificate_.Verifies(domain, statement, signature);
  }

 private:
  const VerifiedCertificate certificate_;
};

class SourceVerifier final : public PeerVerifier {
 public:
  SourceVerifier(const IdentitySource& source, const Clock& clock)
      : source_(source), clock_(clock) {}

  Result<std::shared_ptr<const Peer>> Verify(std::string_view certificate) const override {
    FEDMETA_ASSIGN_OR_RETURN(std::shared_ptr<const Peer> peer, Trusted(std::string(certificate)));
    FEDMETA_RETURN_IF_ERROR(source_.CheckPeer(certificate));
    return peer;
  }

 private:
  struct Known {
    std::shared_ptr<const Peer> peer;
    std::shared_ptr<const Credentials> by;  ///< whose authority it led to
    TimePoint until;
  };

  /// The members of a session are mostly those of the one before.
  Result<std::shared_ptr<const Peer>> Trusted(std::string certificate) const {
    const auto own = source_.credentials();
    const TimePoint now = clock_.Now();
    {
      const std::lock_guard lock(mutex_);
      const auto known = known_.find(certificate);
      if (known != known_.end() && known->second.by == own && now < known->second.until)
        return known->second.peer;
    }
    FEDMETA_ASSIGN_OR_RETURN(VerifiedCertificate verified,
                             VerifiedCertificate::Verify(certificate, own->trust_pem,
                                                         IdentityRole::kClient, clock_.Wall()));
    if (verified.identity().federation != own->identity.federation) {
      return Error(
          ErrorCode::kPermissionDenied,
          verified.identity().ToString() + " is not of the federation " + own->identity.federation);
    }
    auto peer = std::make_shared<const CertifiedPeer>(std::move(verified));
    const std::lock_guard lock(mutex_);
    if (known_.size() >= kMostKept) known_.clear();
    known_.insert_or_assign(std::move(certificate),
                            Known{.peer = peer, .by = own, .until = now + kChainHolds});
    return std::shared_ptr<const Peer>(std::move(peer));
  }

  const IdentitySource& source_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, Known> known_;
};

}  // namespace

SignerSource CertificateSigner(std::shared_ptr<const IdentitySource> identity, const Clock& clock) {
  return [latest = std::make_shared<LatestSigner>(std::move(identity), clock)] {
    return latest->Get();
  };
}

std::unique_ptr<PeerVerifier> CertificateVerifier(const IdentitySource& identity,
                                                  const Clock& clock) {
  return std::make_unique<SourceVerifier>(identity, clock);
}

}  // namespace fedmeta

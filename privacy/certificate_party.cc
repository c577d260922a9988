#include "fedmeta/privacy/certificate_party.h"

#include <utility>

#include "fedmeta/identity/signature.h"

namespace fedmeta {
namespace {

class CredentialsSigner final : public Signer {
 public:
  CredentialsSigner(std::shared_ptr<const Credentials> credentials, Digest certificate_hash)
      : credentials_(std::move(credentials)), certificate_hash_(certificate_hash) {}
  const IdentityUri& identity() const override { return credentials_->identity; }
  const std::string& certificate() const override { return credentials_->certificate_pem; }
  const Digest& certificate_hash() const override { return certificate_hash_; }
  Result<std::string> Sign(std::string_view domain, std::string_view statement) const override {
    return SignStatement(*credentials_, domain, statement);
  }

 private:
  const std::shared_ptr<const Credentials> credentials_;
  const Digest certificate_hash_;
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
    const auto own = source_.credentials();
    FEDMETA_ASSIGN_OR_RETURN(VerifiedCertificate verified,
                             VerifiedCertificate::Verify(certificate, own->trust_pem,
                                                         IdentityRole::kClient, clock_.Wall()));
    if (verified.identity().federation != own->identity.federation) {
      return Error(
          ErrorCode::kPermissionDenied,
          verified.identity().ToString() + " is not of the federation " + own->identity.federation);
    }
    FEDMETA_RETURN_IF_ERROR(source_.CheckPeer(certificate));
    return std::shared_ptr<const Peer>(std::make_shared<CertifiedPeer>(std::move(verified)));
  }

 private:
  const IdentitySource& source_;
  const Clock& clock_;
};

}  // namespace

Result<std::shared_ptr<const Signer>> CertificateSigner(const IdentitySource& identity,
                                                        const Clock& clock) {
  auto own = identity.credentials();
  FEDMETA_ASSIGN_OR_RETURN(const VerifiedCertificate certificate,
                           VerifiedCertificate::Verify(own->certificate_pem, own->trust_pem,
                                                       IdentityRole::kClient, clock.Wall()));
  return std::shared_ptr<const Signer>(
      std::make_shared<const CredentialsSigner>(std::move(own), certificate.sha256()));
}

std::unique_ptr<PeerVerifier> CertificateVerifier(const IdentitySource& identity,
                                                  const Clock& clock) {
  return std::make_unique<SourceVerifier>(identity, clock);
}

}  // namespace fedmeta

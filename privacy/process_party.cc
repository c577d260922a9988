#include "fedmeta/privacy/process_party.h"

#include <utility>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "fedmeta/core/check.h"
#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/privacy/session_context.h"

namespace fedmeta {
namespace {

/// What is signed is the identity too: all share one secret.
std::string Tag(const SecretBytes& secret, const IdentityUri& identity, std::string_view domain,
                std::string_view statement) {
  FieldText fields;
  fields.Add(identity.ToString()).Add(domain).Add(statement);
  const std::string& text = fields.text();
  std::string tag(32, '\0');
  unsigned int size = 0;
  FEDMETA_CHECK(HMAC(EVP_sha256(), secret.Expose().data(), static_cast<int>(secret.Expose().size()),
                     reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                     reinterpret_cast<unsigned char*>(tag.data()), &size) != nullptr &&
                size == tag.size());
  return tag;
}

class ProcessSigner final : public Signer {
 public:
  ProcessSigner(const SecretBytes& secret, IdentityUri identity, std::string certificate)
      : secret_(secret),
        identity_(std::move(identity)),
        certificate_(std::move(certificate)),
        certificate_hash_(Digest::Of(certificate_)) {}
  const IdentityUri& identity() const override { return identity_; }
  const std::string& certificate() const override { return certificate_; }
  const Digest& certificate_hash() const override { return certificate_hash_; }
  Result<std::string> Sign(std::string_view domain, std::string_view statement) const override {
    return Tag(secret_, identity_, domain, statement);
  }

 private:
  const SecretBytes& secret_;
  const IdentityUri identity_;
  const std::string certificate_;
  const Digest certificate_hash_;
};

class ProcessPeer final : public Peer {
 public:
  ProcessPeer(const SecretBytes& secret, IdentityUri identity, std::string organisation,
              Digest certificate_hash)
      : secret_(secret),
        identity_(std::move(identity)),
        organisation_(std::move(organisation)),
        certificate_hash_(certificate_hash) {}
  const IdentityUri& identity() const override { return identity_; }
  const std::string& organisation() const override { return organisation_; }
  const Digest& certificate_hash() const override { return certificate_hash_; }
  bool Verifies(std::string_view domain, std::string_view statement,
                std::string_view signature) const override {
    const std::string expected = Tag(secret_, identity_, domain, statement);
    return signature.size() == expected.size() &&
           CRYPTO_memcmp(signature.data(), expected.data(), expected.size()) == 0;
  }

 private:
  const SecretBytes& secret_;
  const IdentityUri identity_;
  const std::string organisation_;
  const Digest certificate_hash_;
};

}  // namespace

/// A certificate is three lines: identity, organisation, and the authority's tag over both.
class ProcessAuthority::Content final : public PeerVerifier {
 public:
  explicit Content(std::string federation) : federation_(std::move(federation)) {
    secret_ = SecretRng().Draw(32);
  }
  const std::string& federation() const { return federation_; }
  const SecretBytes& secret() const { return secret_; }

  std::string Certify(const IdentityUri& identity, const std::string& organisation) const {
    return identity.ToString() + "\n" + organisation + "\n" +
           Tag(secret_, identity, "certificate", organisation);
  }

  Result<std::shared_ptr<const Peer>> Verify(std::string_view certificate) const override {
    const std::size_t first = certificate.find('\n');
    const std::size_t second =
        first == certificate.npos ? first : certificate.find('\n', first + 1);
    const Error refused(ErrorCode::kUnauthenticated, "not a party of this process");
    if (second == certificate.npos) return refused;
    const auto identity = IdentityUri::Parse(certificate.substr(0, first));
    if (!identity.ok()) return refused;
    std::string organisation(certificate.substr(first + 1, second - first - 1));
    if (Certify(*identity, organisation) != certificate) return refused;
    return std::shared_ptr<const Peer>(std::make_shared<ProcessPeer>(
        secret_, *identity, std::move(organisation), Digest::Of(certificate)));
  }

 private:
  const std::string federation_;
  SecretBytes secret_;
};

ProcessAuthority::ProcessAuthority(std::string federation)
    : content_(std::make_unique<Content>(std::move(federation))) {}
ProcessAuthority::~ProcessAuthority() = default;

const std::string& ProcessAuthority::federation() const { return content_->federation(); }
const PeerVerifier& ProcessAuthority::verifier() const { return *content_; }

std::shared_ptr<const Signer> ProcessAuthority::Admit(const std::string& name,
                                                      const std::string& organisation) const {
  const IdentityUri identity{
      .federation = content_->federation(), .role = IdentityRole::kClient, .name = name};
  std::string certificate =
      content_->Certify(identity, organisation.empty() ? identity.ToString() : organisation);
  return std::make_shared<const ProcessSigner>(content_->secret(), identity,
                                               std::move(certificate));
}

}  // namespace fedmeta

#include "fedmeta/identity/signature.h"

#include <memory>
#include <utility>
#include <vector>

#include "fedmeta/identity/authority_files.h"
#include "fedmeta/identity/chain.h"
#include "fedmeta/identity/x509.h"

namespace fedmeta {
namespace {

using Context = std::unique_ptr<EVP_MD_CTX, x509::Free<EVP_MD_CTX_free>>;

const unsigned char* Data(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string Message(std::string_view domain, std::string_view statement) {
  std::string message(domain);
  message += '\0';
  message += statement;
  return message;
}

Result<std::string> Sign(EVP_PKEY* key, std::string_view domain, std::string_view statement) {
  const std::string message = Message(domain, statement);
  const Context context(EVP_MD_CTX_new());
  std::size_t size = 0;
  if (!context || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, Data(message), message.size()) != 1) {
    return OpenSslFailed("sign");
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     Data(message), message.size()) != 1) {
    return OpenSslFailed("sign");
  }
  signature.resize(size);
  return signature;
}

Error Refuse(const std::string& why) { return {ErrorCode::kPermissionDenied, "signature: " + why}; }

bool Verifies(EVP_PKEY* key, std::string_view domain, std::string_view statement,
              std::string_view signature) {
  const std::string message = Message(domain, statement);
  const Context context(EVP_MD_CTX_new());
  const bool good = context &&
                    EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
                    EVP_DigestVerify(context.get(), Data(signature), signature.size(),
                                     Data(message), message.size()) == 1;
  if (!good) x509::LastError();  // what a peer sent must not show up as a later error
  return good;
}

}  // namespace

struct StatementKey::Content {
  x509::Key key;
};

StatementKey::StatementKey(std::shared_ptr<const Content> content) : content_(std::move(content)) {}

Result<StatementKey> StatementKey::Of(const Credentials& credentials) {
  FEDMETA_ASSIGN_OR_RETURN(x509::Key key,
                           x509::ParseKey(credentials.key_pem.Expose(), "identity.key"));
  return StatementKey(std::make_shared<const Content>(Content{std::move(key)}));
}

Result<std::string> StatementKey::Sign(std::string_view domain, std::string_view statement) const {
  return fedmeta::Sign(content_->key.get(), domain, statement);
}

Result<std::string> SignStatement(const Credentials& credentials, std::string_view domain,
                                  std::string_view statement) {
  FEDMETA_ASSIGN_OR_RETURN(const StatementKey key, StatementKey::Of(credentials));
  return key.Sign(domain, statement);
}

struct VerifiedCertificate::Content {
  x509::Certificate certificate;
  IdentityUri identity;
  std::string organisation;
  Digest sha256;
};

VerifiedCertificate::VerifiedCertificate(std::shared_ptr<const Content> content)
    : content_(std::move(content)) {}
const IdentityUri& VerifiedCertificate::identity() const { return content_->identity; }
const std::string& VerifiedCertificate::organisation() const { return content_->organisation; }
const Digest& VerifiedCertificate::sha256() const { return content_->sha256; }

Result<VerifiedCertificate> VerifiedCertificate::Verify(std::string_view certificates_pem,
                                                        std::string_view trust_pem,
                                                        IdentityRole role, WallTime at) {
  auto own = x509::ParseCertificates(certificates_pem, "the signer's certificate");
  if (!own.ok()) return Refuse(own.error().message());
  FEDMETA_ASSIGN_OR_RETURN(const auto trusted, x509::ParseCertificates(trust_pem, "trust"));
  X509* certificate = own->front().get();
  const x509::AlternativeNames names = x509::NamesOf(certificate);
  if (names.uris.size() != 1) return Refuse("its certificate names no single identity");
  const auto identity = IdentityUri::Parse(names.uris.front());
  if (!identity.ok()) return Refuse(identity.error().message());
  if (identity->role != role) {
    return Refuse(identity->ToString() + " is no " + std::string(RoleName(role)));
  }
  const Status issued = VerifyChain(*own, trusted, role, at);
  if (!issued.ok()) return Refuse(identity->ToString() + ": " + issued.error().message());
  auto content = std::make_shared<Content>();
  content->identity = *identity;
  content->organisation = x509::OrganisationOf(certificate).value_or(identity->ToString());
  content->sha256 = x509::Fingerprint(certificate);
  content->certificate = std::move(own->front());
  return VerifiedCertificate(std::move(content));
}

bool VerifiedCertificate::Verifies(std::string_view domain, std::string_view statement,
                                   std::string_view signature) const {
  return fedmeta::Verifies(X509_get0_pubkey(content_->certificate.get()), domain, statement,
                           signature);
}

Result<IdentityUri> CheckStatement(const SignedStatement& what, std::string_view trust_pem,
                                   IdentityRole role, WallTime at) {
  FEDMETA_ASSIGN_OR_RETURN(const VerifiedCertificate signer,
                           VerifiedCertificate::Verify(what.certificates_pem, trust_pem, role, at));
  if (!signer.Verifies(what.domain, what.statement, what.signature)) {
    return Refuse("not made with the key of " + signer.identity().ToString() +
                  ", or over something else");
  }
  return signer.identity();
}

Result<std::string> SignAsAuthority(const std::filesystem::path& dir, std::string_view domain,
                                    std::string_view statement) {
  FEDMETA_ASSIGN_OR_RETURN(const Authority authority, LoadAuthority(dir));
  return Sign(authority.key.get(), domain, statement);
}

Status CheckAuthority(std::string_view domain, std::string_view statement,
                      std::string_view signature, std::string_view trust_pem) {
  FEDMETA_ASSIGN_OR_RETURN(const auto trusted, x509::ParseCertificates(trust_pem, "trust"));
  for (const x509::Certificate& authority : trusted) {
    if (Verifies(X509_get0_pubkey(authority.get()), domain, statement, signature)) return {};
  }
  return Error(ErrorCode::kPermissionDenied,
               "signature: not made by the authority that this party trusts");
}

}  // namespace fedmeta

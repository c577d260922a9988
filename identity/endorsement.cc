#include "fedmeta/identity/endorsement.h"

#include "fedmeta/identity/signature.h"
#include "fedmeta/v1/endorsement.pb.h"

namespace fedmeta {
namespace {

Error Refused(const std::string& why) {
  return {ErrorCode::kPermissionDenied, "the researcher's signature: " + why};
}

/// Of one that is of its kind.
Result<v1::Endorsement> Parse(std::string_view bytes) {
  if (bytes.empty()) return Error(ErrorCode::kNotFound, "no researcher has signed it");
  v1::Endorsement endorsement;
  if (bytes.size() > kMaximumEndorsementBytes ||
      !endorsement.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Refused("not what `fedmeta sign` makes");
  }
  return endorsement;
}

}  // namespace

Result<std::string> MakeEndorsement(const Credentials& researcher, const std::string& experiment,
                                    const Digest& offer, WallTime now) {
  v1::EndorsedExperiment statement;
  statement.set_experiment(experiment);
  statement.set_offer_hash(offer.bytes());
  statement.set_made_ms(static_cast<std::uint64_t>(now.time_since_epoch().count()));
  v1::Endorsement endorsement;
  endorsement.set_statement(statement.SerializeAsString());
  endorsement.set_certificates_pem(researcher.certificate_pem);
  FEDMETA_ASSIGN_OR_RETURN(*endorsement.mutable_signature(),
                           SignStatement(researcher, kEndorsementDomain, endorsement.statement()));
  return endorsement.SerializeAsString();
}

Result<IdentityUri> CheckEndorsement(std::string_view endorsement, const Digest& offer,
                                     std::string_view trust_pem, WallTime at) {
  FEDMETA_ASSIGN_OR_RETURN(const v1::Endorsement parsed, Parse(endorsement));
  const Result<IdentityUri> signer = CheckStatement({.domain = kEndorsementDomain,
                                                     .statement = parsed.statement(),
                                                     .signature = parsed.signature(),
                                                     .certificates_pem = parsed.certificates_pem()},
                                                    trust_pem, IdentityRole::kResearcher, at);
  if (!signer.ok()) return Refused(signer.error().message());
  v1::EndorsedExperiment statement;
  if (!statement.ParseFromString(parsed.statement()) || statement.offer_hash() != offer.bytes()) {
    return Refused(signer->ToString() + " signed another experiment, or another state of this one");
  }
  return *signer;
}

Result<IdentityUri> CheckEndorsement(std::string_view endorsement, const Digest& offer,
                                     const IdentitySource& identity, WallTime at) {
  FEDMETA_ASSIGN_OR_RETURN(
      IdentityUri signer,
      CheckEndorsement(endorsement, offer, identity.credentials()->trust_pem, at));
  FEDMETA_ASSIGN_OR_RETURN(const v1::Endorsement parsed, Parse(endorsement));
  if (const Status counts = identity.CheckPeer(parsed.certificates_pem()); !counts.ok())
    return Refused(signer.ToString() + ": " + counts.error().message());
  return signer;
}

}  // namespace fedmeta

#include "fedmeta/privacy/session_keys.h"

#include <algorithm>

#include <openssl/crypto.h>

#include "fedmeta/core/bytes.h"
#include "fedmeta/privacy/hkdf.h"
#include "fedmeta/privacy/session_context.h"

namespace fedmeta {
namespace {

SecretBytes Derive(const SecretBytes& secret, const Digest& session, const FieldText& purpose) {
  return Hkdf(secret.Expose(), session.bytes(), purpose.text());
}

}  // namespace

SecretBytes ShareKey(const SecretBytes& agreed, const Digest& session, std::string_view source,
                     std::string_view destination) {
  return Derive(
      agreed, session,
      FieldText().Add("fedmeta secure aggregation 1 share key").Add(source).Add(destination));
}

SecretBytes PairMaskKey(const SecretBytes& agreed, const Digest& session, std::string_view one,
                        std::string_view other) {
  const auto [first, second] = std::minmax(one, other);
  return Derive(agreed, session,
                FieldText().Add("fedmeta secure aggregation 1 pair mask").Add(first).Add(second));
}

SecretBytes SelfMaskKey(const SecretBytes& seed, const Digest& session, std::string_view identity) {
  return Derive(seed, session,
                FieldText().Add("fedmeta secure aggregation 1 self mask").Add(identity));
}

Digest SeedCommitment(const SecretBytes& seed, std::string_view identity) {
  DigestBuilder builder;  // no copy of the seed
  const FieldText fields =
      FieldText().Add("fedmeta secure aggregation 1 seed commitment").Add(identity);
  builder.Add(AsBytes(fields.text()));
  builder.Add(AsBytes(seed.Expose()));
  return builder.Finish();
}

SecretBytes SaltedShare(const SecretBytes& salt, const SecretBytes& share) {
  std::string joined(kSaltedShareBytes, '\0');
  joined.assign(salt.Expose()).append(share.Expose());
  SecretBytes salted(joined);
  OPENSSL_cleanse(joined.data(), joined.size());
  return salted;
}

Digest ShareHash(const Digest& session, std::string_view source, std::string_view destination,
                 std::string_view salted_share) {
  DigestBuilder builder;
  const std::string address = ShareAddress(session, source, destination);
  builder.Add(AsBytes(address));
  builder.Add(AsBytes(salted_share));
  return builder.Finish();
}

std::string ShareAddress(const Digest& session, std::string_view source,
                         std::string_view destination) {
  return FieldText()
      .Add("fedmeta secure aggregation 1 share")
      .Add(session)
      .Add(source)
      .Add(destination)
      .text();
}

}  // namespace fedmeta

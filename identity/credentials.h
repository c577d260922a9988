#pragma once

#include <string>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/identity/identity_uri.h"
#include "fedmeta/v1/client.pb.h"

namespace fedmeta {

/// A party's own certificate, key and the authority it trusts, read and checked before anything is
/// dialled or served: key matches certificate, chain verifies, within its dates, one URI SAN with
/// the expected role and the right extended key usage.
struct Credentials {
  std::string certificate_pem;
  SecretBytes key_pem;
  std::string trust_pem;
  IdentityUri identity;
  WallTime not_after{};
  double days_left = 0;  ///< until then, when it was loaded
};
Result<Credentials> LoadCredentials(const v1::Identity& files, IdentityRole expected_role,
                                    const Clock& clock);

}  // namespace fedmeta

#pragma once

#include <vector>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_uri.h"
#include "fedmeta/identity/x509.h"

// For this room only.
namespace fedmeta {

/// Whether `own`, a certificate and those between it and its authority, leads to one of `trusted`
/// at that time, with the purpose that the role needs. The error is OpenSSL's word for why not.
Status VerifyChain(const std::vector<x509::Certificate>& own,
                   const std::vector<x509::Certificate>& trusted, IdentityRole role, WallTime at);

}  // namespace fedmeta

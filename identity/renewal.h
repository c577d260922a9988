#pragma once

#include <filesystem>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// A new certificate for the same identity and names, in two steps with the authority's signature
/// between them.
struct RenewalOptions {
  std::filesystem::path certificate;  ///< in use
  std::filesystem::path key;          ///< in use
  bool same_key = false;              ///< else a new key waits beside the old one as <key>.next
};
/// Step 1: writes the request, <certificate> with the extension .csr. A key that waits already is
/// used. Returns the path of the request.
Result<std::filesystem::path> RequestRenewal(const RenewalOptions& options);

/// Step 2: puts the signed certificate, and the key that waits for it, in the place of those in
/// use. Each file is replaced whole; between the two, running processes keep what they have,
/// because the pair does not match. After a crash between the two, the same call completes it.
/// Refuses a certificate of another identity, without its key, or out of its dates.
Status InstallRenewal(const RenewalOptions& options,
                      const std::filesystem::path& signed_certificate, const Clock& clock);

}  // namespace fedmeta

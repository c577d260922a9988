#pragma once

#include <filesystem>
#include <string>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/x509.h"

// For this room only.
namespace fedmeta {

/// What `fedmeta pki init` made, read back: the key belongs to the certificate.
struct Authority {
  x509::Certificate certificate;
  x509::Key key;
  std::string federation;
};
Result<Authority> LoadAuthority(const std::filesystem::path& dir);

/// "OpenSSL cannot <doing>: ...", from its error queue.
Error OpenSslFailed(const char* doing);

}  // namespace fedmeta

#pragma once

#include <filesystem>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/x509.h"

namespace fedmeta {

/// PEM (PKCS #8), mode 0600 from the first moment; an existing file is never touched
/// (kAlreadyExists).
Status WritePrivateKey(const std::filesystem::path& path, const EVP_PKEY* key);
Result<x509::Key> ReadPrivateKey(const std::filesystem::path& path);

}  // namespace fedmeta

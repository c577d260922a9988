#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/x509.h"

// For this room only.
namespace fedmeta {

/// What peers present, parsed once: the same bytes come with every call, and OpenSSL takes longer
/// to read a certificate than a small call takes. Says nothing about whom to believe. Bounded,
/// thread-safe.
class CertificateCache {
 public:
  using Certificates = std::shared_ptr<const std::vector<x509::Certificate>>;
  /// As x509::ParseCertificates, for certificates that a peer presented.
  Result<Certificates> Parse(std::string_view pem);

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, Certificates> parsed_;
};

}  // namespace fedmeta

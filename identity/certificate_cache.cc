#include "fedmeta/identity/certificate_cache.h"

#include <utility>

namespace fedmeta {
namespace {

// Of the peers that are about: a coordinator's clients, or the members of a session.
constexpr std::size_t kMostKept = 512;

}  // namespace

Result<CertificateCache::Certificates> CertificateCache::Parse(std::string_view pem) {
  std::string key(pem);
  {
    const std::lock_guard lock(mutex_);
    const auto found = parsed_.find(key);
    if (found != parsed_.end()) return found->second;
  }
  FEDMETA_ASSIGN_OR_RETURN(auto parsed, x509::ParseCertificates(pem, "what the peer presented"));
  auto kept = std::make_shared<const std::vector<x509::Certificate>>(std::move(parsed));
  const std::lock_guard lock(mutex_);
  if (parsed_.size() >= kMostKept) parsed_.clear();
  parsed_.emplace(std::move(key), kept);
  return kept;
}

}  // namespace fedmeta

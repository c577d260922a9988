#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "fedmeta/core/clock.h"
#include "fedmeta/identity/authority.h"
#include "fedmeta/identity/credentials.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {

/// A folder of its own, and short ways to make identities in it.
class PkiTest : public ::testing::Test {
 protected:
  PkiTest() {
    // A date of the 2020s; OpenSSL's tools, which look at the real clock, get certificates that are
    // valid now.
    clock_.Advance(
        std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()));
  }

  std::filesystem::path Authority(const std::string& federation = "heart",
                                  const std::string& folder = "authority") {
    const Status status =
        InitAuthority({.dir = folder_ / folder, .federation = federation}, clock_);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message());
    return folder_ / folder;
  }
  std::filesystem::path Request(const std::string& identity,
                                std::vector<std::string> dns_names = {},
                                std::vector<std::string> ip_addresses = {}) {
    const auto request = MakeRequest({.dir = folder_ / "party",
                                      .identity = IdentityUri::Parse(identity).value(),
                                      .dns_names = std::move(dns_names),
                                      .ip_addresses = std::move(ip_addresses)});
    EXPECT_TRUE(request.ok()) << (request.ok() ? "" : request.error().message());
    return request.value();
  }
  /// Signs beside the key; <name>.pem.
  Result<IdentityUri> Sign(const std::filesystem::path& request,
                           const std::string& authority = "authority",
                           std::chrono::seconds validity = std::chrono::days(365)) {
    return SignRequest({.authority_dir = folder_ / authority,
                        .request = request,
                        .certificate = CertificateOf(request),
                        .validity = validity},
                       clock_);
  }
  static std::filesystem::path CertificateOf(std::filesystem::path request) {
    return request.replace_extension(".pem");
  }
  v1::Identity Files(const std::filesystem::path& request,
                     const std::string& authority = "authority") const {
    v1::Identity files;
    files.set_certificate(CertificateOf(request));
    files.set_key(std::filesystem::path(request).replace_extension(".key"));
    files.set_trust(folder_ / authority / "authority.pem");
    return files;
  }

  const TemporaryFolder temporary_;
  const std::filesystem::path folder_ = temporary_.path();
  ManualClock clock_;
};

template <typename T>
std::string MessageOf(const Result<T>& result) {
  return result.ok() ? "(no error)" : result.error().message();
}

}  // namespace fedmeta

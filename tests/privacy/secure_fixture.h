#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "fedmeta/core/rng.h"
#include "fedmeta/privacy/masked_sum.h"
#include "fedmeta/privacy/opening_log.h"
#include "fedmeta/privacy/process_party.h"
#include "fedmeta/privacy/secure_client.h"
#include "fedmeta/privacy/secure_server.h"

namespace fedmeta {

inline constexpr char kFederation[] = "heart";

/// A session's subject, the same for all unless a test says otherwise.
inline SecureClient::Start SomeStart(std::uint32_t session = 1, std::uint64_t round = 5,
                                     std::uint64_t words = 8) {
  return {.key = {.experiment = ExperimentId("heart/maml"),
                  .purpose = Purpose::kTrain,
                  .round = round,
                  .attempt = 1,
                  .session = session},
          .group = 0,
          .plan_hash = Digest::Of("plan"),
          // The state moves on from round to round, and the model with it.
          .model_hash = Digest::Of("model of round " + std::to_string(round)),
          .bits = RingBits::k32,
          .words = words};
}

inline RingVector RandomVector(RingBits bits, std::size_t words, Rng& rng, std::size_t wide = 0) {
  RingVector vector(bits, words, wide);
  for (std::size_t i = 0; i < words; ++i)
    vector.AddSigned(i, static_cast<std::int64_t>(rng.Next64()));
  return vector;
}

/// One site: its client and its latch.
struct SecureSite {
  ClientId id;
  std::unique_ptr<OpeningLatch> latch = OpeningsInMemory();
  std::optional<SecureClient> client = {};
};

/// Sites of one federation, and what an honest coordinator does with them.
class SecureFederation {
 public:
  explicit SecureFederation(std::size_t sites, std::uint32_t minimum = kSmallestSession) {
    for (std::size_t i = 0; i < sites; ++i) {
      const std::string number = std::to_string(i + 1);
      Add("site-" + std::string(3 - number.size(), '0') + number, minimum);
    }
  }
  SecureSite& Add(const std::string& name, std::uint32_t minimum = kSmallestSession,
                  const std::string& organisation = {}) {
    SecureSite& site = sites_.emplace_back(SecureSite{.id = ClientId(name)});
    site.client.emplace(
        SecureClient::Create(
            {.federation = kFederation,
             .policy = {.minimum_members = minimum, .members = {"spiffe://heart/client/*"}},
             .signer =
                 [signer = authority_.Admit(name, organisation)]() {
                   return Result<std::shared_ptr<const Signer>>(signer);
                 },
             .verifier = &authority_.verifier(),
             .latch = site.latch.get()})
            .value());
    return site;
  }
  std::vector<SecureSite>& sites() { return sites_; }
  SecureSite& operator[](std::size_t i) { return sites_[i]; }
  std::size_t size() const { return sites_.size(); }
  const ProcessAuthority& authority() const { return authority_; }

  SecureServer Server(const SecureClient::Start& start) const {
    return SecureServer(ServerOptions(start));
  }
  SecureServer::Options ServerOptions(const SecureClient::Start& start) const {
    return {.federation = kFederation,
            .key = start.key,
            .group = start.group,
            .plan_hash = start.plan_hash,
            .model_hash = start.model_hash,
            .bits = start.bits,
            .words = start.words,
            .verifier = &authority_.verifier()};
  }

 private:
  ProcessAuthority authority_{kFederation};
  std::vector<SecureSite> sites_;
};

template <typename T>
std::string Said(const Result<T>& result) {
  return result.ok() ? "(no error)" : result.error().message();
}
inline std::string Said(const Status& status) {
  return status.ok() ? "(no error)" : status.error().message();
}

/// Expects success and gives the value.
template <typename T>
T Must(Result<T> result) {
  EXPECT_TRUE(result.ok()) << Said(result);
  return std::move(result).value();
}
inline void Must(const Status& status) { EXPECT_TRUE(status.ok()) << Said(status); }

}  // namespace fedmeta

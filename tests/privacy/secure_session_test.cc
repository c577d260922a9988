#include "secure_fixture.h"
#include <gmock/gmock.h>

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

/// All phases, in order, with nothing lost.
RingVector RunSession(SecureFederation& federation, const SecureClient::Start& start,
                      const std::vector<RingVector>& vectors) {
  SecureServer server = federation.Server(start);
  for (SecureSite& site : federation.sites())
    Must(server.AddAdvertisement(site.id, Must(site.client->Advertise(start))));
  const std::string roster = Must(server.Roster());
  for (SecureSite& site : federation.sites())
    Must(server.AddShares(site.id, Must(site.client->Share(roster))));
  MaskedSum sum(start.bits, start.words);
  for (std::size_t i = 0; i < federation.size(); ++i) {
    SecureSite& site = federation[i];
    const auto masked = Must(site.client->Mask(Must(server.Delivery(site.id)), vectors[i]));
    Must(server.AddReceipt(site.id, masked.receipt, Digest::Of(masked.vector)));
    Must(sum.Add(masked.vector));
  }
  const std::string opening = Must(server.OpeningRequest());
  for (SecureSite& site : federation.sites()) {
    if (!server.CanReconstruct())
      Must(server.AddOpening(site.id, Must(site.client->Open(opening))));
  }
  EXPECT_TRUE(server.findings().empty());
  return std::move(sum).Unmask(Must(server.Reconstruct()));
}

TEST(SecureSessionTest, TheMaskedSumIsThePlainSumForEverySizeAndBothRings) {
  Rng rng({.seed = 1, .purpose = "test"});
  for (std::size_t n = 3; n <= 64; ++n) {
    SecureFederation federation(n);
    SecureClient::Start start = SomeStart(1, 5, 33);
    start.bits = n % 2 == 0 ? RingBits::k32 : RingBits::k64;
    std::vector<RingVector> vectors;
    RingVector plain(start.bits, start.words);
    for (std::size_t i = 0; i < n; ++i) {
      vectors.push_back(RandomVector(start.bits, start.words, rng));
      Must(plain.Add(vectors.back()));
    }
    EXPECT_EQ(RunSession(federation, start, vectors), plain) << n;
  }
}

}  // namespace
}  // namespace fedmeta

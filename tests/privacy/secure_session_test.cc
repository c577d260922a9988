// A session and what the network may do to it: losses, repetitions, reorderings, a coordinator that
// starts anew. Whatever happens, the sum over exactly the members is opened, or nothing.
#include <cmath>
#include <numeric>

#include "rogue_member.h"
#include "secure_fixture.h"
#include <gmock/gmock.h>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kWords = 33, kWide = 6;

/// What becomes of one attempt at a round on a network that loses, repeats and reorders.
class Schedule {
 public:
  Schedule(std::size_t sites, RingBits bits, std::uint64_t seed)
      : rng_({.seed = seed, .purpose = "schedule"}), federation_(sites) {
    start_ = SomeStart(1, 5, kWords);
    start_.bits = bits;
    for (std::size_t i = 0; i < sites; ++i) {
      vectors_.push_back(RandomVector(bits, kWords, rng_, kWide));
      present_.push_back(i);
    }
    // About one lost client a schedule, whatever its size; in some schedules none.
    loss_ = rng_.Uniform() < 0.25 ? 0 : 0.35 / static_cast<double>(sites);
  }

  /// Sessions until one is opened, or too few are left.
  void Run() {
    while (present_.size() >= kSmallestSession) {
      SecureServer server = federation_.Server(start_);
      if (Prepare(server)) {
        Open(std::move(server));
        return;
      }
      ++start_.key.session;
      ++sessions_lost;
    }
  }

  /// Sites of the opened sum; nothing: no sum.
  std::optional<std::pair<std::vector<std::size_t>, RingVector>> opened = {};
  int sessions_lost = 0;
  bool spent = false;  ///< shares have left, but too few

  RingVector PlainSum(const std::vector<std::size_t>& sites) const {
    RingVector sum(start_.bits, kWords, kWide);
    for (const std::size_t i : sites) Must(sum.Add(vectors_[i]));
    return sum;
  }

 private:
  bool Lost() { return rng_.Uniform() < loss_; }
  bool Repeated() { return rng_.Uniform() < 0.2; }
  void Shuffle() { rng_.Shuffle(std::span(present_)); }

  /// Calls one(site) in any order for those who are there, some twice; the others are lost.
  template <typename One>
  void Each(One one) {
    Shuffle();
    std::erase_if(present_, [&](std::size_t) { return Lost(); });
    std::vector<std::size_t> order = present_;
    for (const std::size_t site : present_) {
      if (Repeated()) order.push_back(site);
    }
    rng_.Shuffle(std::span(order));
    for (const std::size_t site : order) one(federation_[site], site);
  }

  /// R0 to R2; false if somebody was lost.
  bool Prepare(SecureServer& server) {
    Each([&](SecureSite& site, std::size_t) {
      Must(server.AddAdvertisement(site.id, Must(site.client->Advertise(start_))));
    });
    members_ = present_;
    if (members_.size() < kSmallestSession) {
      EXPECT_FALSE(server.Roster().ok());
      return false;
    }
    const std::string roster = Must(server.Roster());
    Each([&](SecureSite& site, std::size_t) {
      Must(server.AddShares(site.id, Must(site.client->Share(roster))));
    });
    if (present_.size() < members_.size()) return NothingOpens(server);
    masked_ = MaskedSum(RingVector(start_.bits, kWords, kWide));
    std::set<std::size_t> added;
    Each([&](SecureSite& site, std::size_t i) {
      const auto masked = Must(site.client->Mask(Must(server.Delivery(site.id)), vectors_[i]));
      Must(server.AddReceipt(site.id, masked.receipt, Digest::Of(masked.vector)));
      if (added.insert(i).second) Must(masked_.Add(masked.vector));
    });
    return present_.size() == members_.size() || NothingOpens(server);
  }

  static bool NothingOpens(SecureServer& server) {
    EXPECT_FALSE(server.missing().empty());
    EXPECT_FALSE(server.OpeningRequest().ok());
    EXPECT_FALSE(server.Reconstruct().ok());
    return false;
  }

  void Open(SecureServer server) {
    const std::string request = Must(server.OpeningRequest());
    if (rng_.Uniform() < 0.3) {  // killed after it had stored this, and perhaps asked
      const std::string snapshot = Must(server.Snapshot());
      const std::span<const std::byte> stored = masked_.bytes();
      const Bytes masked(stored.begin(), stored.end());
      if (!present_.empty() && rng_.Uniform() < 0.5)
        Must(federation_[present_[0]].client->Open(request));  // whose reply is lost
      server = Must(SecureServer::Restore(federation_.ServerOptions(start_), snapshot));
      masked_ = MaskedSum(RingVector(start_.bits, kWords, kWide));
      EXPECT_TRUE(masked_.Add(masked).ok());
      EXPECT_EQ(Must(server.OpeningRequest()), request);
    }
    if (rng_.Uniform() < 0.2) loss_ = 0.3;  // so that some rounds are spent
    Each([&](SecureSite& site, std::size_t) {
      Must(server.AddOpening(site.id, Must(site.client->Open(request))));
    });
    EXPECT_TRUE(server.findings().empty());
    EXPECT_EQ(server.CanReconstruct(), present_.size() >= OpeningThreshold(members_.size()));
    if (!server.CanReconstruct()) {
      EXPECT_FALSE(server.Reconstruct().ok());
      spent = true;
      return;
    }
    opened = {members_, std::move(masked_).Unmask(Must(server.Reconstruct()))};
  }

  Rng rng_;
  SecureFederation federation_;
  SecureClient::Start start_;
  std::vector<RingVector> vectors_;
  std::vector<std::size_t> present_, members_;
  MaskedSum masked_{RingVector(RingBits::k32, 0)};
  double loss_ = 0;
};

/// Four parts of one sweep, so that they run side by side. Each size from 3 to 64 comes at least
/// once; the many schedules are of small ones, where a loss weighs most.
class SchedulesTest : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SchedulesTest, TheSumOverExactlyTheMembersIsOpenedOrNothing) {
  constexpr std::uint64_t kSchedules = 1040, kParts = 4;
  int opened = 0, again = 0, spent = 0;
  for (std::uint64_t i = GetParam(); i < kSchedules; i += kParts) {
    const std::size_t sites = i < 62 ? 3 + i : 3 + i % 6;
    // All widths in turn; 33 to 39 stand for 64.
    const std::uint32_t width = 8 + static_cast<std::uint32_t>(i % 32);
    Schedule schedule(sites, RingBitsOf(width > 32 ? 64 : width).value(), i);
    schedule.Run();
    again += schedule.sessions_lost > 0 ? 1 : 0;
    spent += schedule.spent ? 1 : 0;
    if (!schedule.opened) continue;
    ++opened;
    const auto& [members, sum] = *schedule.opened;
    ASSERT_TRUE(sum == schedule.PlainSum(members)) << "schedule " << i << " of " << sites;
  }
  // The schedules are worth something only if all of this happens.
  EXPECT_GT(opened, 100);
  EXPECT_GT(again, 20);
  EXPECT_GT(spent, 5);
}
INSTANTIATE_TEST_SUITE_P(Parts, SchedulesTest, ::testing::Values(0, 1, 2, 3));

/// Three sites and more, with the phases one by one.
class SessionTest : public ::testing::Test {
 protected:
  explicit SessionTest(std::size_t sites = 4) : federation_(sites) {}

  void Advertise() {
    for (SecureSite& site : federation_.sites())
      Must(server_.AddAdvertisement(site.id, Must(site.client->Advertise(start_))));
  }
  void Share() {
    Advertise();
    const std::string roster = Must(server_.Roster());
    for (SecureSite& site : federation_.sites())
      Must(server_.AddShares(site.id, Must(site.client->Share(roster))));
  }
  std::string MaskOne(SecureSite& site) {
    const auto masked =
        Must(site.client->Mask(Must(server_.Delivery(site.id)), RingVector(start_.bits, 8)));
    Must(server_.AddReceipt(site.id, masked.receipt, Digest::Of(masked.vector)));
    return std::string(AsText(masked.vector));
  }
  void Mask() {
    Share();
    for (SecureSite& site : federation_.sites()) MaskOne(site);
  }

  SecureFederation federation_;
  SecureClient::Start start_ = SomeStart();
  SecureServer server_ = federation_.Server(start_);
};

TEST_F(SessionTest, TheServerSaysWhoIsMissing) {
  Must(server_.AddAdvertisement(federation_[0].id, Must(federation_[0].client->Advertise(start_))));
  EXPECT_THAT(Said(server_.Roster()), HasSubstr("a session needs 3 members, got 1"));
  Advertise();
  EXPECT_THAT(server_.missing(), ElementsAre());
  const std::string roster = Must(server_.Roster());
  Must(server_.AddShares(federation_[1].id, Must(federation_[1].client->Share(roster))));
  EXPECT_THAT(server_.missing(),
              ElementsAre(federation_[0].id, federation_[2].id, federation_[3].id));
  EXPECT_THAT(Said(server_.Delivery(federation_[1].id)), HasSubstr("no place in this phase"));
}

TEST_F(SessionTest, WhatComesLateOrFromNobodyIsRefusedAndChangesNothing) {
  SecureSite late = std::move(federation_.Add("site-late"));
  federation_.sites().pop_back();
  Advertise();
  const std::string roster = Must(server_.Roster());
  const std::string advertised = Must(late.client->Advertise(start_));
  EXPECT_THAT(Said(server_.AddAdvertisement(late.id, advertised)), HasSubstr("no place"));
  EXPECT_THAT(Said(server_.AddShares(late.id, "shares")), HasSubstr("no place"));
  EXPECT_EQ(Must(server_.Roster()), roster);
  EXPECT_THAT(Said(server_.AddOpening(federation_[0].id, "opening")), HasSubstr("no place"));
}

TEST_F(SessionTest, ASecondDifferentMessageIsRefused) {
  SecureServer other = federation_.Server(SomeStart(2));
  Share();
  const Status status = server_.AddShares(federation_[0].id, "something else");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kAlreadyExists);
}

TEST_F(SessionTest, AClientsAdvertisementCannotBeSentByAnother) {
  EXPECT_THAT(Said(server_.AddAdvertisement(ClientId("site-002"),
                                            Must(federation_[0].client->Advertise(start_)))),
              HasSubstr("sent the advertisement of spiffe://heart/client/site-001"));
}

TEST_F(SessionTest, AReceiptForAnotherVectorIsRefused) {
  Share();
  SecureSite& site = federation_[0];
  const auto masked =
      Must(site.client->Mask(Must(server_.Delivery(site.id)), RingVector(start_.bits, 8)));
  EXPECT_THAT(Said(server_.AddReceipt(site.id, masked.receipt, Digest::Of("other bytes"))),
              HasSubstr("is for another vector"));
}

TEST_F(SessionTest, NoMoreThan128Members) {
  SecureFederation large(kLargestSession + 1);
  SecureServer server = large.Server(start_);
  for (std::size_t i = 0; i < kLargestSession; ++i)
    Must(server.AddAdvertisement(large[i].id, Must(large[i].client->Advertise(start_))));
  SecureSite& one_more = large[kLargestSession];
  EXPECT_THAT(Said(server.AddAdvertisement(one_more.id, Must(one_more.client->Advertise(start_)))),
              HasSubstr("at most 128 members"));
}

TEST_F(SessionTest, ADamagedSnapshotIsRefused) {
  Mask();
  Must(server_.OpeningRequest());
  const std::string snapshot = Must(server_.Snapshot());
  const auto options = federation_.ServerOptions(start_);
  EXPECT_TRUE(SecureServer::Restore(options, snapshot).ok());
  for (std::size_t at = 0; at < snapshot.size(); at += 7) {
    std::string damaged = snapshot;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_FALSE(SecureServer::Restore(options, damaged).ok()) << at;
  }
  EXPECT_FALSE(SecureServer::Restore(options, snapshot.substr(0, snapshot.size() / 2)).ok());
}

/// Seven members, threshold five: room for two that go wrong. The last is a rogue.
class BadMemberTest : public SessionTest {
 protected:
  BadMemberTest() : SessionTest(6), rogue_(federation_, "site-rogue") {}

  /// R0 and R1, the rogue's shares changed by `change(rank of the destination, share)`.
  void Share(const RogueMember::ChangeShare& change) {
    Must(server_.AddAdvertisement(rogue_.id(), rogue_.Advertise(start_)));
    Advertise();
    const std::string roster = Must(server_.Roster());
    Must(server_.AddShares(rogue_.id(), rogue_.Share(roster, change)));
    for (SecureSite& site : federation_.sites())
      Must(server_.AddShares(site.id, Must(site.client->Share(roster))));
  }
  /// R2 of all. The sum of the vectors is `plain_`.
  void Mask() {
    Rng rng({.seed = 3, .purpose = "test"});
    const auto add = [&](const ClientId& id, const auto& masked, const RingVector& vector) {
      Must(server_.AddReceipt(id, masked.receipt, Digest::Of(masked.vector)));
      Must(masked_.Add(masked.vector));
      Must(plain_.Add(vector));
    };
    for (SecureSite& site : federation_.sites()) {
      const RingVector vector = RandomVector(start_.bits, 8, rng);
      add(site.id, Must(site.client->Mask(Must(server_.Delivery(site.id)), vector)), vector);
    }
    const RingVector vector = RandomVector(start_.bits, 8, rng);
    add(rogue_.id(), rogue_.Mask(Must(server_.Delivery(rogue_.id())), vector), vector);
  }
  std::vector<std::string> Findings() const {
    std::vector<std::string> texts;
    for (const SecureFinding& finding : server_.findings()) texts.push_back(finding.ToString());
    return texts;
  }

  RogueMember rogue_;
  MaskedSum masked_{RingVector(RingBits::k32, 8)};
  RingVector plain_{RingBits::k32, 8};
};

TEST_F(BadMemberTest, ARogueThatDoesAsItShouldIsNotNoticed) {
  Share({});
  Mask();
  const std::string request = Must(server_.OpeningRequest());
  Must(server_.AddOpening(rogue_.id(), rogue_.Open({})));
  for (SecureSite& site : federation_.sites())
    Must(server_.AddOpening(site.id, Must(site.client->Open(request))));
  EXPECT_TRUE(std::move(masked_).Unmask(Must(server_.Reconstruct())) == plain_);
  EXPECT_THAT(Findings(), ElementsAre());
}

TEST_F(BadMemberTest, AHolderThatOpensOtherSharesIsNamedAndDoesNoHarm) {
  Share({});
  Mask();
  const std::string request = Must(server_.OpeningRequest());
  Must(server_.AddOpening(rogue_.id(), rogue_.Open([](std::size_t source, std::string& share) {
    if (source == 2) share[40] = static_cast<char>(share[40] ^ 1);
    if (source == 4) share.clear();
  })));
  for (std::size_t i = 0; i < 4; ++i)
    Must(server_.AddOpening(federation_[i].id, Must(federation_[i].client->Open(request))));
  EXPECT_FALSE(server_.CanReconstruct());  // four good shares of two seeds, and five are needed
  Must(server_.AddOpening(federation_[4].id, Must(federation_[4].client->Open(request))));
  EXPECT_TRUE(std::move(masked_).Unmask(Must(server_.Reconstruct())) == plain_);
  EXPECT_THAT(Findings(),
              ElementsAre("site-rogue opened a share that is not the one signed for it"));
}

// The rogue signs a share that is on no line with the others: nobody can tell before the opening.
TEST_F(BadMemberTest, ASharerOfOneBadShareIsNamedAndItsSeedIsRecovered) {
  Share([](std::size_t destination, std::string& share) {
    if (destination == 1) share[3] = static_cast<char>(share[3] ^ 1);
  });
  Mask();
  const std::string request = Must(server_.OpeningRequest());
  Must(server_.AddOpening(rogue_.id(), rogue_.Open({})));
  for (SecureSite& site : federation_.sites())
    Must(server_.AddOpening(site.id, Must(site.client->Open(request))));
  EXPECT_TRUE(std::move(masked_).Unmask(Must(server_.Reconstruct())) == plain_);
  EXPECT_THAT(Findings(),
              ElementsAre("site-rogue signed shares that do not give the seed it committed to"));
}

TEST_F(BadMemberTest, ASharerWhoseSeedCannotBeRecoveredIsNamedAndTheRoundIsSpent) {
  Share([](std::size_t destination, std::string& share) {
    if (destination % 2 == 1) share[3] = static_cast<char>(share[3] ^ 1);
  });
  Mask();
  const std::string request = Must(server_.OpeningRequest());
  for (SecureSite& site : federation_.sites())
    Must(server_.AddOpening(site.id, Must(site.client->Open(request))));
  ASSERT_TRUE(server_.CanReconstruct());
  EXPECT_THAT(Said(server_.Reconstruct()),
              HasSubstr("the shares of spiffe://heart/client/site-rogue do not give the seed"));
  EXPECT_THAT(Findings(),
              ElementsAre("site-rogue signed shares that do not give the seed it committed to"));
}

TEST_F(BadMemberTest, AShareThatIsNotTheSignedOneIsComplainedOfBeforeAnythingIsMasked) {
  Share([](std::size_t destination, std::string& share) {
    if (destination == 0) share = "another share";  // sealed; the hash is of the right one
  });
  SecureSite& site = federation_[0];
  const auto masked =
      site.client->Mask(Must(server_.Delivery(site.id)), RingVector(start_.bits, 8));
  ASSERT_FALSE(masked.ok());
  EXPECT_EQ(masked.error().code(), ErrorCode::kDataLoss);
  ASSERT_TRUE(site.client->complaint().has_value());
  Must(server_.AddComplaint(site.id, *site.client->complaint()));
  EXPECT_THAT(Findings(), ElementsAre(HasSubstr("site-001 cannot open the share of site-rogue")));
  EXPECT_FALSE(server_.OpeningRequest().ok());
  EXPECT_FALSE(server_.AddComplaint(federation_[1].id, *site.client->complaint()).ok());
}

}  // namespace
}  // namespace fedmeta

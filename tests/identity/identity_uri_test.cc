#include "fedmeta/identity/identity_uri.h"

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

TEST(IdentityUriTest, ReadsBackWhatItWrites) {
  for (const char* text :
       {"spiffe://heart/client/site-1", "spiffe://heart.example/coordinator/main_2",
        "spiffe://h/researcher/lea", "spiffe://h/auditor/A.B"}) {
    const auto identity = IdentityUri::Parse(text);
    ASSERT_TRUE(identity.ok()) << text;
    EXPECT_EQ(identity.value().ToString(), text);
  }
}

TEST(IdentityUriTest, SplitsFederationRoleAndName) {
  const IdentityUri identity = IdentityUri::Parse("spiffe://heart/client/site-1").value();
  EXPECT_EQ(identity.federation, "heart");
  EXPECT_EQ(identity.role, IdentityRole::kClient);
  EXPECT_EQ(identity.name, "site-1");
}

class HostileIdentityTest : public ::testing::TestWithParam<std::string> {};

TEST_P(HostileIdentityTest, IsRefusedInOnePrintableLine) {
  const auto identity = IdentityUri::Parse(GetParam());
  ASSERT_FALSE(identity.ok());
  EXPECT_EQ(identity.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_LT(identity.error().message().size(), 600U);
  for (const char c : identity.error().message()) EXPECT_TRUE(c >= 0x20 && c < 0x7f);
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, HostileIdentityTest,
    ::testing::Values(
        "", "spiffe://", "spiffe://heart", "spiffe://heart/client", "spiffe://heart/client/",
        "spiffe:///client/a", "spiffe://heart//a", "spiffe://heart/admin/a",
        "spiffe://heart/Client/a", "http://heart/client/a", "SPIFFE://heart/client/a",
        " spiffe://heart/client/a", "spiffe://heart/client/a/b", "spiffe://heart/client/..",
        "spiffe://heart/client/.hidden", "spiffe://heart/client/a b",
        "spiffe://heart/client/a\nlevel=error", "spiffe://heart/client/a%2e",
        "spiffe://user@heart/client/a", "spiffe://heart:1/client/a", "spiffe://heart/client/a?q",
        "spiffe://heart/client/*", "spiffe://heart/client/\xc3\xa9",
        std::string("spiffe://heart/client/a\0b", 25),
        "spiffe://heart/client/" + std::string(129, 'a'),
        "spiffe://" + std::string(129, 'a') + "/client/a", std::string(1 << 20, 'x')));

TEST(MemberMatchesTest, WholeIdentityMatchesItselfOnly) {
  const IdentityUri site = IdentityUri::Parse("spiffe://heart/client/site-1").value();
  EXPECT_TRUE(MemberMatches("spiffe://heart/client/site-1", site));
  EXPECT_FALSE(MemberMatches("spiffe://heart/client/site-10", site));
  EXPECT_FALSE(MemberMatches("spiffe://heart/client/site-", site));
}

TEST(MemberMatchesTest, StarCoversAnyNameOfOneRoleAndFederation) {
  const auto matches = [](const char* identity) {
    return MemberMatches("spiffe://heart/client/*", IdentityUri::Parse(identity).value());
  };
  EXPECT_TRUE(matches("spiffe://heart/client/site-1"));
  EXPECT_FALSE(matches("spiffe://heart/researcher/site-1"));
  EXPECT_FALSE(matches("spiffe://heart2/client/site-1"));
}

TEST(MemberMatchesTest, StarAfterTheStartOfANameCoversThatStart) {
  const IdentityUri site = IdentityUri::Parse("spiffe://heart/client/north-1").value();
  EXPECT_TRUE(MemberMatches("spiffe://heart/client/north-*", site));
  EXPECT_FALSE(MemberMatches("spiffe://heart/client/south-*", site));
}

TEST(MemberMatchesTest, StarNeverReplacesFederationOrRole) {
  const IdentityUri site = IdentityUri::Parse("spiffe://heart/client/site-1").value();
  for (const char* pattern : {"*", "", "spiffe://*", "spiffe://heart/*", "spiffe://heart/client*",
                              "spiffe://*/client/site-1", "spiffe://heart/*/site-1",
                              "spiffe://heart/client/*-1", "spiffe://heart/client/**"}) {
    EXPECT_FALSE(MemberMatches(pattern, site)) << pattern;
  }
}

}  // namespace
}  // namespace fedmeta

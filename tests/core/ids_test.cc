#include "fedmeta/core/ids.h"

#include <type_traits>
#include <unordered_set>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

// Mixing two kinds of names, or a name and a plain string, does not compile.
static_assert(!std::is_convertible_v<ClientId, ExperimentId>);
static_assert(!std::is_convertible_v<std::string, ClientId>);
static_assert(!std::is_assignable_v<ClientId&, ExperimentId>);

TEST(StrongIdTest, OrdersByBytes) {
  EXPECT_LT(ClientId("site-10"), ClientId("site-2"));
  EXPECT_LT(ClientId("Z"), ClientId("a"));
  EXPECT_EQ(ClientId("a"), ClientId("a"));
}

TEST(StrongIdTest, IsEmptyUntilNamed) {
  EXPECT_TRUE(ClientId().empty());
  EXPECT_FALSE(ClientId("a").empty());
}

TEST(StrongIdTest, CanBeHashed) {
  const std::unordered_set<ClientId> ids = {ClientId("a"), ClientId("b"), ClientId("a")};
  EXPECT_EQ(ids.size(), 2U);
}

}  // namespace
}  // namespace fedmeta

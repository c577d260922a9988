#include "fedmeta/core/secret_bytes.h"

#include <ostream>
#include <string>
#include <type_traits>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};

static_assert(!std::is_copy_constructible_v<SecretBytes>);
static_assert(!std::is_copy_assignable_v<SecretBytes>);
static_assert(std::is_nothrow_move_constructible_v<SecretBytes>);
static_assert(!std::is_convertible_v<SecretBytes, std::string>);
static_assert(!std::is_convertible_v<SecretBytes, std::string_view>);
static_assert(!Printable<SecretBytes> && Printable<std::string>);

TEST(SecretBytesTest, ShowsItselfOnlyWhenAsked) { EXPECT_EQ(SecretBytes("pass").Expose(), "pass"); }

TEST(SecretBytesTest, MovingEmptiesTheSource) {
  SecretBytes source("pass");
  SecretBytes target(std::move(source));
  EXPECT_EQ(target.Expose(), "pass");
  EXPECT_TRUE(source.empty());  // NOLINT: what a moved-from secret holds is the point
  SecretBytes assigned("other");
  assigned = std::move(target);
  EXPECT_EQ(assigned.Expose(), "pass");
  EXPECT_TRUE(target.empty());  // NOLINT
}

TEST(SecretBytesTest, ComparesContent) {
  EXPECT_TRUE(SecretBytes("pass").Equals(SecretBytes("pass")));
  EXPECT_FALSE(SecretBytes("pass").Equals(SecretBytes("pasS")));
  EXPECT_FALSE(SecretBytes("pass").Equals(SecretBytes("pas")));
  EXPECT_TRUE(SecretBytes().Equals(SecretBytes("")));
}

}  // namespace
}  // namespace fedmeta

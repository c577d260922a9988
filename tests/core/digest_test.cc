#include "fedmeta/core/digest.h"

#include <string>

#include <gtest/gtest.h>

#include "fedmeta/core/bytes.h"

namespace fedmeta {
namespace {

// Vectors of FIPS 180-2, appendix B, and of the empty message.
TEST(DigestTest, MatchesTheVectorsOfFips180) {
  EXPECT_EQ(Digest::Of("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Digest::Of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Digest::Of(std::string(1000000, 'a')).hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(Digest::Of("").hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(DigestTest, PiecesGiveTheDigestOfTheWhole) {
  DigestBuilder builder;
  builder.Add(AsBytes("ab"));
  builder.Add({});
  builder.Add(AsBytes("c"));
  EXPECT_EQ(builder.Finish(), Digest::Of("abc"));
}

TEST(DigestTest, RawBytesRoundTrip) {
  const Digest digest = Digest::Of("abc");
  const auto read = Digest::FromBytes(digest.bytes());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, digest);
}

TEST(DigestTest, RefusesAnyOtherLength) {
  for (const std::size_t size : {0, 31, 33}) {
    const auto read = Digest::FromBytes(std::string(size, 'x'));
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().message(), "a SHA-256 digest has 32 bytes, got " + std::to_string(size));
  }
}

}  // namespace
}  // namespace fedmeta

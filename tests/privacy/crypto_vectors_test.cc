// Published vectors of every primitive. RFC 8032 (Ed25519) does not apply: signatures are ECDSA
// P-256, made and verified by OpenSSL with the keys of certificates.
#include <string>
#include <type_traits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/hex.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/privacy/hkdf.h"
#include "fedmeta/privacy/key_agreement.h"
#include "fedmeta/privacy/mask_stream.h"
#include "fedmeta/privacy/process_party.h"
#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/privacy/session_context.h"
#include "fedmeta/privacy/session_keys.h"
#include "fedmeta/privacy/shamir.h"
#include "fedmeta/privacy/share_cipher.h"

namespace fedmeta {
namespace {

std::string Unhex(std::string_view hex) { return FromHex(hex).value(); }
using fedmeta::ToHex;
std::string ToHex(const SecretBytes& secret) { return ToHex(secret.Expose()); }
SecretBytes Secret(std::string_view hex) { return SecretBytes(Unhex(hex)); }

// RFC 5869, appendix A.1 to A.3.
TEST(HkdfTest, Rfc5869) {
  EXPECT_EQ(ToHex(Hkdf(std::string(22, '\x0b'), Unhex("000102030405060708090a0b0c"),
                       Unhex("f0f1f2f3f4f5f6f7f8f9"), 42)),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  const auto run = [](int from, int to) {
    std::string bytes;
    for (int i = from; i <= to; ++i) bytes += static_cast<char>(i);
    return bytes;
  };
  EXPECT_EQ(
      ToHex(Hkdf(run(0x00, 0x4f), run(0x60, 0xaf), run(0xb0, 0xff), 82)),
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c6"
      "5e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
  EXPECT_EQ(ToHex(Hkdf(std::string(22, '\x0b'), "", "", 42)),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

// RFC 7748, 5.2 and 6.1.
TEST(KeyAgreementTest, Rfc7748) {
  const AgreementKey alice(
      Secret("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
  const AgreementKey bob(
      Secret("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
  EXPECT_EQ(ToHex(alice.public_key()),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(ToHex(bob.public_key()),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const std::string shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
  EXPECT_EQ(ToHex(alice.Agree(bob.public_key()).value()), shared);
  EXPECT_EQ(ToHex(bob.Agree(alice.public_key()).value()), shared);
  const AgreementKey scalar(
      Secret("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"));
  EXPECT_EQ(
      ToHex(scalar.Agree(Unhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"))
                .value()),
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
}

TEST(KeyAgreementTest, RefusesEveryPointOfLowOrderAndOtherSizes) {
  const AgreementKey key(SecretRng().Draw(32));
  for (const char* point :
       {"0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "", "00",
        "0900000000000000000000000000000000000000000000000000000000000000"
        "00"}) {
    EXPECT_FALSE(key.Agree(Unhex(point)).ok()) << point;
  }
}

// RFC 8439, 2.8.2.
TEST(ShareCipherTest, Rfc8439) {
  const SecretBytes key =
      Secret("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const std::string nonce = Unhex("070000004041424344454647");
  const std::string context = Unhex("50515253c0c1c2c3c4c5c6c7");
  const std::string text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
      "sunscreen would be it.";
  const std::string sealed = Seal(key, context, text, nonce);
  EXPECT_EQ(
      ToHex(sealed),
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69"
      "da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad67594"
      "5585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691");
  EXPECT_EQ(OpenSealed(key, context, sealed, nonce).value().Expose(), text);
  EXPECT_FALSE(OpenSealed(key, "another context", sealed, nonce).has_value());
  EXPECT_FALSE(OpenSealed(key, context, sealed.substr(0, 15), nonce).has_value());
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    std::string changed = sealed;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(OpenSealed(key, context, changed, nonce).has_value()) << at;
  }
}

// AES-256 of the blocks 0 (NIST's known answers, KeySbox 0) and 1 (GCM specification, test case 13)
// under a key of zeros.
TEST(MaskStreamTest, IsAes256InCounterModeFromZero) {
  const SecretBytes key(std::string(32, '\0'));
  RingVector vector(RingBits::k32, 8);
  ApplyMask(key, MaskSign::kAdd, vector);
  EXPECT_EQ(ToHex(AsText(vector.ToBytes())),
            "dc95c078a2408989ad48a21492842087530f8afbc74536b9a963b4f1c4cb738b");
  EXPECT_EQ(static_cast<std::uint32_t>(vector.Signed(0)), 0x78c095dcU);  // little-endian
}

TEST(MaskStreamTest, ManyMasksAreOneAfterAnother) {
  const std::vector<SecretBytes> keys = [] {
    SecretRng rng;
    std::vector<SecretBytes> drawn;
    for (int i = 0; i < 5; ++i) drawn.push_back(rng.Draw(32));
    return drawn;
  }();
  // Enough for four threads; neither a block's size nor a multiple.
  constexpr std::size_t kWords = 4 * 65536 + 4099;
  RingVector one_by_one(RingBits::k32, kWords);
  std::vector<MaskTerm> terms;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const MaskSign sign = i % 2 == 0 ? MaskSign::kAdd : MaskSign::kSubtract;
    terms.push_back({.key = &keys[i], .sign = sign});
    ApplyMask(keys[i], sign, one_by_one);
  }
  for (const std::size_t threads : {1, 2, 3, 4, 64}) {
    RingVector together(RingBits::k32, kWords);
    ApplyMasks(terms, together, threads);
    EXPECT_TRUE(together == one_by_one) << threads;
  }
}

TEST(MaskStreamTest, BothRingsReadOneStreamAndWhatIsAddedComesOff) {
  const SecretBytes key = SecretRng().Draw(32);
  for (const std::size_t bytes : {std::size_t{8}, std::size_t{8192}, std::size_t{50000}}) {
    RingVector narrow(RingBits::k32, bytes / 4), wide(RingBits::k64, bytes / 8);
    ApplyMask(key, MaskSign::kAdd, narrow);
    ApplyMask(key, MaskSign::kAdd, wide);
    EXPECT_EQ(AsText(narrow.ToBytes()), AsText(wide.ToBytes()));
    ApplyMask(key, MaskSign::kSubtract, narrow);
    ApplyMask(key, MaskSign::kSubtract, wide);
    EXPECT_TRUE(narrow == RingVector(RingBits::k32, bytes / 4));
    EXPECT_TRUE(wide == RingVector(RingBits::k64, bytes / 8));
  }
}

// Shares of the bytes 00 00 00 21 with threshold 3: every triple gives them back.
TEST(ShamirTest, PublishedShares) {
  const std::string shares[] = {Unhex("70cf762e6ed4aa1c"), Unhex("30a0c5ac26eb91cc"),
                                Unhex("3f73ee902844b747"), Unhex("1d48f0cf72e01a8d"),
                                Unhex("4a1fcc7406bdbb88")};
  int triples = 0;
  for (std::uint32_t a = 1; a <= 5; ++a) {
    for (std::uint32_t b = a + 1; b <= 5; ++b) {
      for (std::uint32_t c = b + 1; c <= 5; ++c, ++triples) {
        const std::uint32_t points[] = {a, b, c};
        const std::string_view three[] = {shares[a - 1], shares[b - 1], shares[c - 1]};
        EXPECT_EQ(ToHex(ShareCombiner(points).Combine(three, 4).value()), "00000021");
      }
    }
  }
  EXPECT_EQ(triples, 10);
}

TEST(ShamirTest, AnyThresholdOfSharesGivesTheSecretAndOneLessGivesAnother) {
  SecretRng rng;
  for (const std::size_t members : {3U, 4U, 10U, 128U}) {
    const std::size_t threshold = 2 * members / 3 + 1;
    const SecretBytes secret = rng.Draw(32);
    const auto shares = SplitSecret(secret, threshold, members, rng);
    ASSERT_EQ(shares.size(), members);
    EXPECT_EQ(shares[0].Expose().size(), ShareBytes(32));
    for (const std::size_t first : {std::size_t{0}, members - threshold}) {
      std::vector<std::uint32_t> points;
      std::vector<std::string_view> some;
      for (std::size_t i = 0; i < threshold; ++i) {
        points.push_back(static_cast<std::uint32_t>(first + i + 1));
        some.push_back(shares[first + i].Expose());
      }
      EXPECT_TRUE(ShareCombiner(points).Combine(some, 32).value().Equals(secret));
      points.pop_back();
      some.pop_back();
      const auto other = ShareCombiner(points).Combine(some, 32);
      EXPECT_FALSE(other.has_value() && other->Equals(secret));
    }
  }
}

TEST(ShamirTest, WhatIsNoShareIsRefused) {
  const std::uint32_t points[] = {1, 2};
  const ShareCombiner combiner(points);
  const std::string good(8, '\0'), too_large = Unhex("8000000b00000000"), odd(7, '\0');
  const std::string_view with_too_large[] = {good, too_large}, with_odd[] = {good, odd};
  EXPECT_FALSE(combiner.Combine(with_too_large, 4).has_value());
  EXPECT_FALSE(combiner.Combine(with_odd, 4).has_value());
  // 2 a - b with a = 2^31 - 1 and b = 0 is more than 31 bits: no piece of a secret.
  const std::string large = Unhex("0000000080000000");
  const std::string_view beyond[] = {large, large};
  EXPECT_FALSE(combiner.Combine(beyond, 4).has_value());
}

// One key a purpose, session and direction: share keys seal with one nonce, so a key that served
// both directions would seal twice.
TEST(SessionKeysTest, KeysDifferByPurposeSessionAndDirection) {
  const SecretBytes agreed = SecretRng().Draw(32);
  const Digest one = Digest::Of("one"), other = Digest::Of("other");
  EXPECT_FALSE(ShareKey(agreed, one, "a", "b").Equals(ShareKey(agreed, one, "b", "a")));
  EXPECT_FALSE(ShareKey(agreed, one, "a", "b").Equals(ShareKey(agreed, other, "a", "b")));
  EXPECT_FALSE(ShareKey(agreed, one, "a", "bc").Equals(ShareKey(agreed, one, "ab", "c")));
  EXPECT_TRUE(PairMaskKey(agreed, one, "a", "b").Equals(PairMaskKey(agreed, one, "b", "a")));
  EXPECT_FALSE(PairMaskKey(agreed, one, "a", "b").Equals(PairMaskKey(agreed, other, "a", "b")));
  EXPECT_FALSE(PairMaskKey(agreed, one, "a", "b").Equals(ShareKey(agreed, one, "a", "b")));
  EXPECT_FALSE(SelfMaskKey(agreed, one, "a").Equals(SelfMaskKey(agreed, other, "a")));
  EXPECT_FALSE(SelfMaskKey(agreed, one, "a").Equals(SelfMaskKey(agreed, one, "b")));
  EXPECT_NE(SeedCommitment(agreed, "a"), SeedCommitment(agreed, "b"));
  EXPECT_NE(ShareHash(one, "a", "b", "share"), ShareHash(one, "b", "a", "share"));
}

TEST(SignedMessageTest, HoldsInItsPlaceAlone) {
  const ProcessAuthority authority("heart");
  const auto signer = authority.Admit("site-1");
  const auto peer = authority.verifier().Verify(signer->certificate()).value();
  const SessionContext context{.federation = "heart",
                               .key = {.experiment = ExperimentId("heart/maml"),
                                       .purpose = Purpose::kTrain,
                                       .round = 3,
                                       .attempt = 1,
                                       .session = 1},
                               .group = 2};
  const Digest session = Digest::Of("session"), other_session = Digest::Of("other");
  const Placed place{.context = context, .message = SessionMessage::kReceipt, .session = &session};
  v1::SignedMessage message = SignBody(*signer, place, "body").value();
  EXPECT_TRUE(VerifyBody(*peer, place, message));
  EXPECT_FALSE(VerifyBody(
      *peer, {.context = context, .message = SessionMessage::kOpening, .session = &session},
      message));
  EXPECT_FALSE(VerifyBody(
      *peer, {.context = context, .message = SessionMessage::kReceipt, .session = &other_session},
      message));
  EXPECT_FALSE(
      VerifyBody(*peer, {.context = context, .message = SessionMessage::kReceipt}, message));
  const auto elsewhere = [&](const auto& change) {
    SessionContext other = context;
    change(other);
    return VerifyBody(*peer,
                      {.context = other, .message = SessionMessage::kReceipt, .session = &session},
                      message);
  };
  EXPECT_FALSE(elsewhere([](auto& c) { c.federation = "lungs"; }));
  EXPECT_FALSE(elsewhere([](auto& c) { c.key.experiment = ExperimentId("heart/fedavg"); }));
  EXPECT_FALSE(elsewhere([](auto& c) { c.key.purpose = Purpose::kEvaluate; }));
  EXPECT_FALSE(elsewhere([](auto& c) { c.key.round = 4; }));
  EXPECT_FALSE(elsewhere([](auto& c) { c.key.attempt = 2; }));
  EXPECT_FALSE(elsewhere([](auto& c) { c.key.session = 2; }));
  EXPECT_FALSE(elsewhere([](auto& c) { c.group = 1; }));
  message.set_body("another body");
  EXPECT_FALSE(VerifyBody(*peer, place, message));
}

// A seeded stream in the place of a secret one does not compile, nor the reverse.
static_assert(!std::is_convertible_v<Rng, SecretRng> && !std::is_convertible_v<SecretRng, Rng>);
static_assert(!std::is_constructible_v<SecretRng, Rng> &&
              !std::is_constructible_v<SecretRng, Rng&>);
static_assert(!std::is_constructible_v<SecretRng, StreamName>);
static_assert(!std::is_invocable_v<decltype(SplitSecret), const SecretBytes&, std::size_t,
                                   std::size_t, Rng&>);
static_assert(!std::is_copy_constructible_v<SecretRng> &&
              !std::is_copy_constructible_v<SecretBytes>);

TEST(SecretRngTest, DrawsAreDistinctAndBelowTheirBound) {
  SecretRng one, other;
  EXPECT_NE(one.Next64(), other.Next64());
  EXPECT_FALSE(one.Draw(32).Equals(other.Draw(32)));
  std::string large(5000, '\0');
  one.Fill(std::as_writable_bytes(std::span(large)));
  EXPECT_NE(large, std::string(5000, '\0'));
  std::array<int, 3> counts{};
  for (int i = 0; i < 3000; ++i) ++counts.at(one.Below(3));
  // 1,000 expected each, sigma 26: wrong once in a billion.
  for (const int count : counts) EXPECT_NEAR(count, 1000, 160);
}

TEST(ProcessAuthorityTest, SignaturesOfOthersDoNotHold) {
  const ProcessAuthority authority("heart"), other("heart");
  const auto signer = authority.Admit("site-1", "clinic");
  const std::string signature = signer->Sign("domain", "statement").value();
  const auto peer = authority.verifier().Verify(signer->certificate()).value();
  EXPECT_EQ(peer->organisation(), "clinic");
  EXPECT_TRUE(peer->Verifies("domain", "statement", signature));
  EXPECT_FALSE(peer->Verifies("domains", "tatement", signature));
  EXPECT_FALSE(peer->Verifies("domain", "another", signature));
  EXPECT_FALSE(peer->Verifies("domain", "statement", ""));
  const auto site_2 = authority.verifier().Verify(authority.Admit("site-2")->certificate()).value();
  EXPECT_EQ(site_2->organisation(), "spiffe://heart/client/site-2");
  EXPECT_FALSE(site_2->Verifies("domain", "statement", signature));
  EXPECT_FALSE(other.verifier().Verify(signer->certificate()).ok());
  EXPECT_FALSE(authority.verifier().Verify("spiffe://heart/client/site-1\nbank\n").ok());
}

}  // namespace
}  // namespace fedmeta

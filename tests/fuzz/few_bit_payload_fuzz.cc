// What a peer sends in few bits: packed words, vectors over narrow rings, plain updates of few
// bits, terms of compression. The first byte says which, the next three their sizes. Whatever is
// taken has one form on the wire, and all that read it agree.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/core/check.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/privacy/packed_words.h"
#include "fedmeta/privacy/ring_vector.h"
#include "fedmeta/privacy/update_compression.h"

namespace {

using namespace fedmeta;

StateLayout Layout(std::int64_t coordinates) {
  return StateLayout::Create({{.name = "theta",
                               .rule = ServerRule::kOptimize,
                               .scale = 1,
                               .tensors = {{"weight", {coordinates}, TensorKind::kBody}}}})
      .value();
}

void Words(std::span<const std::byte> bytes, unsigned bits) {
  std::vector<std::uint32_t> words(bytes.size() * 8 / bits);
  if (PackedBytes(words.size(), bits) != bytes.size()) return;
  UnpackWords(bytes, bits, words);
  for (const std::uint32_t word : words) {
    FEDMETA_CHECK(bits == 32 || word >> bits == 0);
    const std::int64_t value = SignExtended(word, bits);
    FEDMETA_CHECK(std::abs(2 * value) <= std::int64_t{1} << bits);
  }
  Bytes packed(bytes.size());
  PackWords(words, bits, packed);
  FEDMETA_CHECK(std::ranges::equal(packed, bytes) == HasCleanEnd(bytes, words.size(), bits));
}

void Vector(std::span<const std::byte> bytes, RingBits bits, std::size_t size, std::size_t wide) {
  RingVector sum(bits, size, wide);
  const auto vector = RingVector::FromBytes(bits, size, wide, bytes);
  FEDMETA_CHECK(sum.AddBytes(bytes).ok() == vector.ok());
  if (!vector.ok()) return;
  FEDMETA_CHECK(bytes.size() == vector->wire_size() && *vector == sum);
  FEDMETA_CHECK(std::ranges::equal(vector->ToBytes(), bytes));
  RingVector twice = *vector;
  FEDMETA_CHECK(twice.Add(*vector).ok() && sum.AddBytes(bytes).ok() && twice == sum);
  for (std::size_t i = 0; i < size; ++i) sum.AddSigned(i, -twice.Signed(i));
  FEDMETA_CHECK(sum == RingVector(bits, size, wide));
}

/// `rest` is the payload, or is written over a good one.
void Update(std::span<const std::byte> rest, std::uint32_t bits, std::size_t size, bool over) {
  const StateLayout layout = Layout(static_cast<std::int64_t>(size));
  const auto codec =
      ContributionCodec::Create({.layout = &layout, .maximum_contributors = 3, .bits = bits})
          .value();
  Bytes payload(rest.begin(), rest.end());
  if (over) {
    Rng rounding(StreamName{.seed = 1, .purpose = "fuzz", .round = 1});
    Contribution good{.update = std::vector<float>(size, 0.5F), .weight = 1, .metrics = {{}}};
    payload = codec.ToWire(good, &rounding).value();
    std::copy_n(rest.begin(), std::min(rest.size(), payload.size()), payload.begin());
  }
  std::vector<std::uint64_t> encoded;
  const Status taken = codec.EncodeWire(payload, encoded);
  const auto contribution = codec.FromWire(payload);
  FEDMETA_CHECK(taken.ok() == contribution.ok());
  if (!taken.ok()) return;
  FEDMETA_CHECK(payload.size() == codec.wire_size() &&
                encoded == codec.Encode(*contribution).value());
  FEDMETA_CHECK(codec.Decode(encoded, 1).ok());
}

void Terms(std::span<const std::byte> bytes, std::size_t size, std::uint64_t round) {
  v1::CompressionTerms terms;
  if (!terms.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const StateLayout layout = Layout(static_cast<std::int64_t>(size));
  const auto compression =
      UpdateCompression::Create({.terms = terms, .layout = &layout, .seed = 1, .round = round});
  FEDMETA_CHECK(compression.ok() == CheckTerms(terms).ok());
  if (!compression.ok()) return;
  FEDMETA_CHECK(ExchangedCoordinates(terms, layout) <= size);
  std::vector<float> residual(size);
  const std::vector<float> sent = compression->Compress(std::vector<float>(size, 0.5F), residual);
  FEDMETA_CHECK(sent.size() == compression->exchanged().size());
  const auto mean = compression->Expand({sent.begin(), sent.end()});
  FEDMETA_CHECK(mean.size() == size &&
                std::ranges::all_of(mean, [](double value) { return std::isfinite(value); }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const auto rest = std::as_bytes(std::span(data + 4, size - 4));
  const std::size_t count = data[2];
  switch (data[0] % 4) {
    case 0:
      Words(rest, 1 + data[1] % 32);
      break;
    case 1: {
      const auto bits = RingBitsOf(data[1] % 65);
      if (bits.ok()) Vector(rest, *bits, count, std::min<std::size_t>(data[3], count));
      break;
    }
    case 2:
      Update(rest, 2 + data[1] % 31, 1 + count, data[3] % 2 == 1);
      break;
    default:
      Terms(rest, 1 + count, data[3]);
      break;
  }
  return 0;
}

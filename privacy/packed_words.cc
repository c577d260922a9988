#include "fedmeta/privacy/packed_words.h"

#include "fedmeta/core/check.h"

namespace fedmeta {

void PackWords(std::span<const std::uint32_t> words, unsigned bits, std::span<std::byte> packed) {
  FEDMETA_CHECK(bits >= 1 && bits <= 32 && packed.size() == PackedBytes(words.size(), bits));
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  std::uint64_t held = 0;  // bits not yet written, lowest first
  unsigned count = 0;
  std::size_t at = 0;
  for (const std::uint32_t word : words) {
    held |= (word & mask) << count;
    count += bits;
    for (; count >= 8; count -= 8, held >>= 8) packed[at++] = static_cast<std::byte>(held & 0xff);
  }
  if (count > 0) packed[at] = static_cast<std::byte>(held & 0xff);
}

void UnpackWords(std::span<const std::byte> packed, unsigned bits, std::span<std::uint32_t> words) {
  FEDMETA_CHECK(bits >= 1 && bits <= 32 && packed.size() == PackedBytes(words.size(), bits));
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  std::uint64_t held = 0;
  unsigned count = 0;
  std::size_t at = 0;
  for (std::uint32_t& word : words) {
    for (; count < bits; count += 8) held |= static_cast<std::uint64_t>(packed[at++]) << count;
    word = static_cast<std::uint32_t>(held & mask);
    held >>= bits;
    count -= bits;
  }
}

bool HasCleanEnd(std::span<const std::byte> packed, std::size_t words, unsigned bits) {
  const std::size_t used = words % 8 * bits % 8;  // bits of the last byte, 0: all
  return used == 0 || (packed.back() >> used) == std::byte{0};
}

}  // namespace fedmeta

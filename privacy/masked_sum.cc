#include "fedmeta/privacy/masked_sum.h"

#include <string>
#include <utility>

#include "fedmeta/privacy/mask_stream.h"

namespace fedmeta {

Result<MaskedSum> MaskedSum::Restore(RingBits bits, std::uint64_t words,
                                     std::span<const std::byte> masked) {
  MaskedSum sum(bits, words);
  FEDMETA_RETURN_IF_ERROR(sum.Add(masked));
  return sum;
}

Status MaskedSum::Add(std::span<const std::byte> masked) { return sum_.AddBytes(masked); }

RingVector MaskedSum::Unmask(std::span<const SecretBytes> self_mask_keys) && {
  for (const SecretBytes& key : self_mask_keys) ApplyMask(key, MaskSign::kSubtract, sum_);
  return std::move(sum_);
}

}  // namespace fedmeta

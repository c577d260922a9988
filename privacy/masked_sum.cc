#include "fedmeta/privacy/masked_sum.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fedmeta/privacy/mask_stream.h"

namespace fedmeta {

Status MaskedSum::Add(std::span<const std::byte> masked) { return sum_.AddBytes(masked); }

std::span<const std::byte> MaskedSum::bytes() { return sum_.Wire(bytes_); }

RingVector MaskedSum::Unmask(std::span<const SecretBytes> self_mask_keys) && {
  std::vector<MaskTerm> masks;
  for (const SecretBytes& key : self_mask_keys) masks.push_back({&key, MaskSign::kSubtract});
  // The clients wait for it.
  ApplyMasks(masks, sum_, std::thread::hardware_concurrency());
  return std::move(sum_);
}

}  // namespace fedmeta

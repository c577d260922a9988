#pragma once

#include <cstddef>

// For this room only.
namespace fedmeta {

/// to[i] = operation(to[i], from[i]), for ranges that do not overlap. In pieces of a fixed length,
/// which the compiler turns into vector code at -O2; of a length known only when it runs it does
/// not.
template <typename From, typename Word, typename Operation>
void CombineWords(const From* __restrict from, Word* __restrict to, std::size_t size,
                  Operation operation) {
  constexpr std::size_t kPiece = 256 / sizeof(Word);
  std::size_t at = 0;
  for (; at + kPiece <= size; at += kPiece) {
    for (std::size_t i = 0; i < kPiece; ++i) to[at + i] = operation(to[at + i], from[at + i]);
  }
  for (; at < size; ++at) to[at] = operation(to[at], from[at]);
}

}  // namespace fedmeta

#include "fedmeta/privacy/mask_stream.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "fedmeta/core/check.h"
#include "fedmeta/privacy/word_loops.h"

namespace fedmeta {
namespace {

// Large enough that starting a call costs nothing, small enough for the first-level cache together
// with its zeros and the words.
constexpr std::size_t kBlockBytes = 8192;
alignas(64) constexpr std::array<unsigned char, kBlockBytes> kZeros{};
constexpr std::size_t kWorthAThread = 256 * 1024;  // bytes of a vector

class KeyStream {
 public:
  /// From that block of 16 bytes on.
  KeyStream(const SecretBytes& key, std::uint64_t block) : context_(EVP_CIPHER_CTX_new()) {
    const std::string_view raw = key.Expose();
    FEDMETA_CHECK(raw.size() == 32);
    std::array<unsigned char, 16> counter{};  // big-endian
    for (std::size_t i = 0; i < 8; ++i)
      counter[15 - i] = static_cast<unsigned char>(block >> (8 * i));
    FEDMETA_CHECK(context_ && EVP_EncryptInit_ex(context_.get(), EVP_aes_256_ctr(), nullptr,
                                                 reinterpret_cast<const unsigned char*>(raw.data()),
                                                 counter.data()) == 1);
  }
  /// The next at most kBlockBytes.
  void Next(std::span<std::byte> to) {
    int written = 0;
    FEDMETA_CHECK(EVP_EncryptUpdate(context_.get(), reinterpret_cast<unsigned char*>(to.data()),
                                    &written, kZeros.data(), static_cast<int>(to.size())) == 1);
  }

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  std::unique_ptr<EVP_CIPHER_CTX, Free> context_;
};

/// To words that begin `offset` bytes into the vector, a multiple of 16.
template <typename Word>
void ApplyToPart(std::span<const MaskTerm> masks, std::size_t offset, std::span<Word> words) {
  std::vector<KeyStream> streams;
  streams.reserve(masks.size());
  for (const MaskTerm& mask : masks) streams.emplace_back(*mask.key, offset / 16);
  constexpr std::size_t kBlockWords = kBlockBytes / sizeof(Word);
  alignas(64) std::array<Word, kBlockWords> block;
  for (std::size_t at = 0; at < words.size(); at += kBlockWords) {
    const std::span<Word> part = words.subspan(at, std::min(kBlockWords, words.size() - at));
    const std::span<Word> stream = std::span(block).first(part.size());
    for (std::size_t i = 0; i < masks.size(); ++i) {
      streams[i].Next(std::as_writable_bytes(stream));
      if (masks[i].sign == MaskSign::kAdd) {
        CombineWords(stream.data(), part.data(), part.size(), std::plus<Word>());
      } else {
        CombineWords(stream.data(), part.data(), part.size(), std::minus<Word>());
      }
    }
  }
  OPENSSL_cleanse(block.data(), sizeof(block));
}

}  // namespace

void ApplyMasks(std::span<const MaskTerm> masks, RingVector& vector, std::size_t threads) {
  vector.Visit([&]<typename Word>(std::span<Word> words) {
    // Whole blocks each, and enough of them to be worth a thread.
    const std::size_t most = std::max<std::size_t>(1, words.size_bytes() / kWorthAThread);
    const std::size_t parts = std::clamp<std::size_t>(threads, 1, most);
    const std::size_t each = (words.size() / parts + kBlockBytes) / kBlockBytes * kBlockBytes;
    std::vector<std::jthread> others;
    for (std::size_t at = each; at < words.size(); at += each) {
      const std::span<Word> part = words.subspan(at, std::min(each, words.size() - at));
      others.emplace_back([=] { ApplyToPart(masks, at * sizeof(Word), part); });
    }
    ApplyToPart(masks, 0, words.first(std::min(each, words.size())));
  });
}

}  // namespace fedmeta

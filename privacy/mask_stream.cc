#include "fedmeta/privacy/mask_stream.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
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

class KeyStream {
 public:
  explicit KeyStream(const SecretBytes& key) : context_(EVP_CIPHER_CTX_new()) {
    const std::string_view raw = key.Expose();
    FEDMETA_CHECK(raw.size() == 32);
    FEDMETA_CHECK(context_ && EVP_EncryptInit_ex(context_.get(), EVP_aes_256_ctr(), nullptr,
                                                 reinterpret_cast<const unsigned char*>(raw.data()),
                                                 kZeros.data()) == 1);
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

}  // namespace

void ApplyMasks(std::span<const MaskTerm> masks, RingVector& vector) {
  std::vector<KeyStream> streams;
  streams.reserve(masks.size());
  for (const MaskTerm& mask : masks) streams.emplace_back(*mask.key);
  vector.Visit([&]<typename Word>(std::span<Word> words) {
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
  });
}

}  // namespace fedmeta

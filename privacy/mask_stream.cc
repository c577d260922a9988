#include "fedmeta/privacy/mask_stream.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <span>

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

}  // namespace

void ApplyMask(const SecretBytes& key, MaskSign sign, RingVector& vector) {
  const std::string_view raw = key.Expose();
  FEDMETA_CHECK(raw.size() == 32);
  const auto free_context = [](EVP_CIPHER_CTX* context) { EVP_CIPHER_CTX_free(context); };
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(free_context)> context(EVP_CIPHER_CTX_new(),
                                                                        free_context);
  FEDMETA_CHECK(context && EVP_EncryptInit_ex(context.get(), EVP_aes_256_ctr(), nullptr,
                                              reinterpret_cast<const unsigned char*>(raw.data()),
                                              kZeros.data()) == 1);
  vector.Visit([&]<typename Word>(std::span<Word> words) {
    constexpr std::size_t kBlockWords = kBlockBytes / sizeof(Word);
    alignas(64) std::array<Word, kBlockWords> mask;
    for (std::size_t at = 0; at < words.size(); at += kBlockWords) {
      const std::span<Word> part = words.subspan(at, std::min(kBlockWords, words.size() - at));
      int written = 0;
      FEDMETA_CHECK(EVP_EncryptUpdate(context.get(), reinterpret_cast<unsigned char*>(mask.data()),
                                      &written, kZeros.data(),
                                      static_cast<int>(part.size_bytes())) == 1);
      if (sign == MaskSign::kAdd) {
        CombineWords(mask.data(), part.data(), part.size(), std::plus<Word>());
      } else {
        CombineWords(mask.data(), part.data(), part.size(), std::minus<Word>());
      }
    }
    OPENSSL_cleanse(mask.data(), sizeof(mask));
  });
}

}  // namespace fedmeta

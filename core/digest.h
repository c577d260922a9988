#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// A SHA-256 value.
class Digest {
 public:
  static constexpr std::size_t kSize = 32;
  Digest() = default;
  /// From 32 raw bytes, e.g. a protobuf field.
  static Result<Digest> FromBytes(std::string_view bytes);
  static Digest Of(std::span<const std::byte> data);
  static Digest Of(std::string_view text);

  std::string bytes() const;  ///< 32 raw bytes
  std::string hex() const;    ///< 64 lower-case digits
  auto operator<=>(const Digest&) const = default;

 private:
  friend class DigestBuilder;
  std::array<unsigned char, kSize> value_{};
};

/// SHA-256 over pieces as they come. Not thread-safe.
class DigestBuilder {
 public:
  DigestBuilder();
  ~DigestBuilder();
  DigestBuilder(DigestBuilder&&) noexcept;
  DigestBuilder& operator=(DigestBuilder&&) noexcept;
  void Add(std::span<const std::byte> data);
  /// Once; the builder is spent.
  Digest Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace fedmeta

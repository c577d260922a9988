#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

struct NamedTensor {
  std::string name = {};
  std::vector<std::int64_t> shape = {};
  std::vector<float> values = {};
};

/// The safetensors format (8-byte length, JSON header, data): F32 tensors and string metadata.
struct SafeTensors {
  std::map<std::string, std::string> metadata = {};
  std::vector<NamedTensor> tensors = {};                 ///< in the order written
  const NamedTensor* Find(std::string_view name) const;  ///< null: no such tensor
};

Status WriteSafeTensors(const std::filesystem::path& path, const SafeTensors& content);
/// Hostile input: header length, offsets, overlaps, shapes and dtypes are checked before anything
/// is allocated. Other dtypes than F32: refused.
Result<SafeTensors> ReadSafeTensors(const std::filesystem::path& path);
Result<SafeTensors> ParseSafeTensors(std::span<const std::byte> bytes);

}  // namespace fedmeta

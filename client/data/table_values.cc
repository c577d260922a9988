#include "fedmeta/client/data/table_values.h"

namespace fedmeta {
namespace {

constexpr std::size_t kBlockRows = 1024;

}  // namespace

void TableValues::Append(std::span<const float> row, std::int32_t label) {
  if (labels_.size() % kBlockRows == 0) blocks_.emplace_back().reserve(kBlockRows * features_);
  blocks_.back().insert(blocks_.back().end(), row.begin(), row.end());
  labels_.push_back(label);
}

std::span<const float> TableValues::row(std::size_t index) const {
  return std::span(blocks_[index / kBlockRows]).subspan(index % kBlockRows * features_, features_);
}

std::uint64_t TableValues::bytes() const {
  return blocks_.size() * kBlockRows * features_ * sizeof(float) +
         labels_.capacity() * sizeof(std::int32_t) + groups_.capacity() * sizeof(std::uint32_t) +
         parts_.capacity();
}

}  // namespace fedmeta

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fedmeta/client/data/dataset.h"

namespace fedmeta {

/// Rows of one float a feature: a number, the place of a level among the levels, or NaN for a value
/// that is not there; with each row's label and, where there are groups and parts, its group and
/// part. Grows in blocks, so that a large table is never copied. Thread-safe once it no longer
/// grows.
class TableValues {
 public:
  explicit TableValues(std::size_t features) : features_(features) {}

  void Append(std::span<const float> row, std::int32_t label);
  void AppendGroup(std::uint32_t group) { groups_.push_back(group); }
  void AppendPart(RowPart part) { parts_.push_back(part); }
  std::size_t rows() const { return labels_.size(); }
  std::span<const float> row(std::size_t index) const;
  std::int32_t label(std::size_t index) const { return labels_[index]; }
  /// One a row, or none.
  std::span<const std::uint32_t> groups() const { return groups_; }
  std::span<const RowPart> parts() const { return parts_; }
  std::uint64_t bytes() const;

 private:
  std::size_t features_;
  std::vector<std::vector<float>> blocks_;
  std::vector<std::int32_t> labels_;
  std::vector<std::uint32_t> groups_;
  std::vector<RowPart> parts_;
};

}  // namespace fedmeta

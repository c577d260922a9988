#include "fedmeta/algorithms/server/moments.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "fedmeta/core/check.h"

namespace fedmeta {

Moments::Moments(std::string_view name, std::size_t count, std::size_t coordinates, double initial)
    : header_("fedmeta moments 1 " + std::string(name) + " " + std::to_string(count) + " " +
              std::to_string(coordinates) + "\n"),
      vectors_(count, std::vector<double>(coordinates, initial)) {}

std::span<double> Moments::Part(std::size_t vector, std::size_t first, std::size_t size) {
  FEDMETA_CHECK(vector < vectors_.size());
  std::vector<double>& whole = vectors_[vector];
  FEDMETA_CHECK(first <= whole.size() && size <= whole.size() - first);
  return std::span(whole).subspan(first, size);
}

void Moments::Fill(std::size_t vector, double value) { std::ranges::fill(vectors_[vector], value); }

Bytes Moments::Save() const {
  const auto header = AsBytes(header_);
  Bytes saved(header.begin(), header.end());
  for (const std::vector<double>& vector : vectors_) {
    const auto values = AsBytes(std::span<const double>(vector));
    saved.insert(saved.end(), values.begin(), values.end());
  }
  return saved;
}

Status Moments::Restore(std::span<const std::byte> saved) {
  const auto header = AsBytes(header_);
  if (saved.size() < header.size() || !std::ranges::equal(saved.first(header.size()), header)) {
    return Error(ErrorCode::kInvalidArgument,
                 "saved optimizer state: must start with '" +
                     header_.substr(0, header_.size() - 1) +
                     "': it belongs to another optimizer or another model");
  }
  std::size_t expected = header.size();
  for (const std::vector<double>& vector : vectors_) expected += vector.size() * sizeof(double);
  if (saved.size() != expected) {
    return Error(ErrorCode::kDataLoss, "saved optimizer state: must have " +
                                           std::to_string(expected) + " bytes, got " +
                                           std::to_string(saved.size()));
  }
  std::vector<std::vector<double>> restored = vectors_;
  const std::byte* from = saved.data() + header.size();
  for (std::vector<double>& vector : restored) {
    if (vector.empty()) continue;
    std::memcpy(vector.data(), from, vector.size() * sizeof(double));
    from += vector.size() * sizeof(double);
    if (!std::ranges::all_of(vector, [](double value) { return std::isfinite(value); })) {
      return Error(ErrorCode::kDataLoss, "saved optimizer state: a value is not finite");
    }
  }
  vectors_ = std::move(restored);
  return {};
}

}  // namespace fedmeta

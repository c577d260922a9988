#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// One array of NumPy's NPY format, versions 1.0 and 2.0: little-endian f4, f8, i4, i8, or u1, rows
/// first ("C order").
class NpyArray {
 public:
  /// Errors (kInvalidArgument): another type or order, a header or a length that does not fit.
  static Result<NpyArray> Parse(Bytes content);

  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::size_t size() const;  ///< elements
  bool whole_numbers() const { return type_ == 'i' || type_ == 'u'; }
  double At(std::size_t index) const;

 private:
  Bytes content_;
  std::size_t first_ = 0;  // byte of the first element
  char type_ = 'f';
  std::size_t width_ = 4;
  std::vector<std::int64_t> shape_;
};

}  // namespace fedmeta

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/core/digest.h"

namespace fedmeta {

/// What a source holds and so what loss it is learned with. Values are ObjectiveKind's (that header needs LibTorch).
enum class TargetKind : std::uint8_t { kClass, kBinary, kReal };

/// A table of examples in memory, read once and shared by all views of it. Immutable, thread-safe. Free of LibTorch.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::size_t size() const = 0;                              ///< examples
  virtual const std::vector<std::int64_t>& example_shape() const = 0;
  /// Writes example `row` (product of example_shape() floats).
  virtual void Read(std::size_t row, std::span<float> example) const = 0;
  virtual std::int64_t label(std::size_t row) const = 0;             ///< class in [0, classes())
  virtual std::int64_t classes() const = 0;
  /// SHA-256 over content, for the manifest.
  virtual const Digest& fingerprint() const = 0;
};

/// Some rows of a dataset under a client's own class codes.
struct DatasetView {
  std::shared_ptr<const Dataset> dataset;
  std::shared_ptr<const std::vector<std::uint32_t>> rows;   ///< may be shared by many clients (scheme shared)
  /// code_of[class] = this client's code, -1 where it has none; empty: the dataset's own labels.
  std::vector<std::int64_t> code_of;
  std::size_t size() const { return rows->size(); }
  std::int64_t code(std::size_t index) const {
    const std::int64_t label = dataset->label((*rows)[index]);
    return code_of.empty() ? label : code_of[static_cast<std::size_t>(label)];
  }
};

}  // namespace fedmeta

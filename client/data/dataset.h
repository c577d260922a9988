#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/core/digest.h"

namespace fedmeta {

/// What a source holds and so what loss it is learned with. Values are ObjectiveKind's (that header
/// needs LibTorch).
enum class TargetKind : std::uint8_t { kClass, kBinary, kReal };

/// How one number of a table becomes an input: (value - center) / spread, a missing one (fill -
/// center) / spread.
struct NumberEncoding {
  double fill = 0;
  double center = 0;
  double spread = 1;
  bool known = false;  ///< some row that it was fitted to has a value
};
/// Of a split: which part a row belongs to by its site's word.
enum class RowPart : std::uint8_t { kAny, kTrain, kValidation, kTest };

/// A table of examples in memory, read once and shared by all views of it. Immutable, thread-safe.
/// Free of LibTorch.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::size_t size() const = 0;  ///< examples
  virtual const std::vector<std::int64_t>& example_shape() const = 0;
  /// Writes example `row` (product of example_shape() floats).
  virtual void Read(std::size_t row, std::span<float> example) const = 0;
  virtual std::int64_t label(std::size_t row) const = 0;  ///< class in [0, classes())
  virtual std::int64_t classes() const = 0;
  /// SHA-256 over content, for the manifest.
  virtual const Digest& fingerprint() const = 0;
  /// One name a class, or empty where the source names none.
  virtual std::span<const std::string> class_names() const { return {}; }
  /// Whose each row is, where the source says so: the clients that partition.scheme column makes.
  struct Owners {
    std::vector<std::string> names;     ///< ascending
    std::vector<std::uint32_t> of_row;  ///< index into names
  };
  virtual const Owners* owners() const { return nullptr; }
  /// Whose record each row is (a patient, a customer): rows of one group stay on one side of a
  /// split. Empty: each row stands for itself.
  virtual std::span<const std::uint32_t> groups() const { return {}; }
  /// What the site says a row is for; empty: nothing of any row.
  virtual std::span<const RowPart> parts() const { return {}; }
  /// The same rows where examples are made with means, medians and deviations: those of `rows`
  /// alone. Null where an example does not depend on other rows.
  virtual std::shared_ptr<const Dataset> FitTo(std::span<const std::uint32_t>) const {
    return nullptr;
  }
  /// Of a table: one a feature, those of categories without meaning; else empty.
  virtual std::span<const NumberEncoding> encodings() const { return {}; }
};

/// The dataset fitted to `rows`, itself where there is nothing to fit.
std::shared_ptr<const Dataset> Fitted(const std::shared_ptr<const Dataset>& dataset,
                                      std::span<const std::uint32_t> rows);

/// Rows grouped by the dataset's own class, in row order within a class. Immutable once built.
struct RowsByClass {
  std::vector<std::uint32_t> rows;
  std::vector<std::size_t> first;  ///< classes + 1 offsets into rows
  std::span<const std::uint32_t> of(std::size_t label) const {
    return std::span(rows).subspan(first[label], first[label + 1] - first[label]);
  }
};

/// 0 ... count - 1.
std::shared_ptr<const std::vector<std::uint32_t>> WholeRows(std::size_t count);

std::shared_ptr<const RowsByClass> GroupByClass(const Dataset& dataset,
                                                std::span<const std::uint32_t> rows);

/// Some rows of a dataset under a client's own class codes.
struct DatasetView {
  std::shared_ptr<const Dataset> dataset;
  /// May be shared by many clients (scheme shared).
  std::shared_ptr<const std::vector<std::uint32_t>> rows;
  /// code_of[class] = this client's code, -1 where it has none; empty: the dataset's own labels.
  std::vector<std::int64_t> code_of = {};
  /// The rows grouped, where many clients share them; null: grouped when asked for.
  std::shared_ptr<const RowsByClass> by_class = nullptr;

  std::size_t size() const { return rows->size(); }
  std::int64_t code_of_class(std::int64_t label) const {
    return code_of.empty() ? label : code_of[static_cast<std::size_t>(label)];
  }
  std::int64_t code(std::size_t index) const {
    return code_of_class(dataset->label((*rows)[index]));
  }
};

/// The classes that a view holds examples of, in the order of the client's codes: whoever numbers
/// its classes alike draws alike, whatever the classes are called in the dataset.
struct ClassesOfView {
  std::shared_ptr<const RowsByClass> rows;
  std::vector<std::size_t> classes;  ///< dataset classes, ascending by code
};

ClassesOfView ListClasses(const DatasetView& view);

}  // namespace fedmeta

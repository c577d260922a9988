#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/client/data/table_values.h"
#include "fedmeta/v1/dictionary.pb.h"

namespace fedmeta {

/// A table as the model sees it: the inputs of InputNames (protocol/dictionary.h), all finite.
///
/// What fills a missing value and what standardises comes from FitTo's rows alone, so that query
/// rows never shape their own examples. Mean, median and standard deviation (n - 1) are of the
/// known values. Where there is none: feature.impute fills, else the input is 0; where they do not
/// spread, they are centred only. Categories are not standardised. A dataset that was not fitted is
/// as if no value were known.
class TableDataset final : public Dataset {
 public:
  TableDataset(std::shared_ptr<const TableValues> values,
               std::shared_ptr<const v1::Dictionary> dictionary, const Digest& fingerprint);

  std::size_t size() const override { return values_->rows(); }
  const std::vector<std::int64_t>& example_shape() const override { return shape_; }
  void Read(std::size_t row, std::span<float> example) const override;
  std::int64_t label(std::size_t row) const override { return values_->label(row); }
  std::int64_t classes() const override { return dictionary_->label().levels_size(); }
  const Digest& fingerprint() const override { return fingerprint_; }
  std::span<const std::string> class_names() const override { return levels_; }
  std::span<const std::uint32_t> groups() const override { return values_->groups(); }
  std::span<const RowPart> parts() const override { return values_->parts(); }
  std::shared_ptr<const Dataset> FitTo(std::span<const std::uint32_t> rows) const override;

  std::span<const NumberEncoding> encodings() const override { return encodings_; }

 private:
  NumberEncoding Fit(std::size_t feature, std::span<const std::uint32_t> rows) const;

  std::shared_ptr<const TableValues> values_;
  std::shared_ptr<const v1::Dictionary> dictionary_;
  std::vector<std::int64_t> shape_;
  std::vector<std::string> levels_;
  Digest fingerprint_;
  std::vector<NumberEncoding> encodings_;
};

}  // namespace fedmeta

#include "fedmeta/client/data/table_dataset.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fedmeta/protocol/dictionary.h"

namespace fedmeta {
namespace {

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// Of at least one; the mean of the two middle ones where their number is even.
double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/// 1 where they do not spread.
double Spread(const std::vector<double>& values, double mean) {
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  if (!(sum > 0)) return 1;
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

}  // namespace

TableDataset::TableDataset(std::shared_ptr<const TableValues> values,
                           std::shared_ptr<const v1::Dictionary> dictionary,
                           const Digest& fingerprint)
    : values_(std::move(values)),
      dictionary_(std::move(dictionary)),
      shape_({static_cast<std::int64_t>(InputNames(*dictionary_).size())}),
      levels_(dictionary_->label().levels().begin(), dictionary_->label().levels().end()),
      fingerprint_(fingerprint) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(dictionary_->features_size()); ++i) {
    encodings_.push_back(Fit(i, {}));
  }
}

void TableDataset::Read(std::size_t row, std::span<float> example) const {
  const std::span<const float> values = values_->row(row);
  std::size_t at = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const v1::Feature& feature = dictionary_->features(static_cast<int>(i));
    const bool missing = std::isnan(values[i]);
    if (feature.levels().empty()) {
      const NumberEncoding& encoding = encodings_[i];
      const double value = missing ? encoding.fill : static_cast<double>(values[i]);
      example[at++] = static_cast<float>((value - encoding.center) / encoding.spread);
    } else {
      const auto levels = static_cast<std::size_t>(feature.levels_size());
      std::fill_n(example.begin() + static_cast<std::ptrdiff_t>(at), levels, 0.0F);
      if (!missing) example[at + static_cast<std::size_t>(values[i])] = 1;
      at += levels;
    }
    if (HasFlag(feature)) example[at++] = missing ? 1 : 0;
  }
}

std::shared_ptr<const Dataset> TableDataset::FitTo(std::span<const std::uint32_t> rows) const {
  auto fitted = std::make_shared<TableDataset>(*this);
  for (std::size_t i = 0; i < encodings_.size(); ++i) fitted->encodings_[i] = Fit(i, rows);
  return fitted;
}

NumberEncoding TableDataset::Fit(std::size_t index, std::span<const std::uint32_t> rows) const {
  const v1::Feature& feature = dictionary_->features(static_cast<int>(index));
  NumberEncoding encoding;
  if (!feature.levels().empty()) return encoding;
  std::vector<double> known;
  for (const std::uint32_t row : rows) {
    const float value = values_->row(row)[index];
    if (!std::isnan(value)) known.push_back(value);
  }
  const bool local = dictionary_->standardize() == "local";
  if (local) encoding.center = feature.impute();
  if (dictionary_->standardize() == "given") {
    encoding.center = feature.mean();
    encoding.spread = feature.standard_deviation();
  }
  if (!known.empty() && local) {
    encoding.center = Mean(known);
    encoding.spread = Spread(known, encoding.center);
  }
  encoding.fill = encoding.center;
  encoding.known = !known.empty();
  if (known.empty()) {
    if (feature.has_impute()) encoding.fill = feature.impute();
  } else if (feature.missing() == "mean") {
    encoding.fill = Mean(known);
  } else if (feature.missing() == "median") {
    encoding.fill = Median(std::move(known));
  }
  return encoding;
}

}  // namespace fedmeta

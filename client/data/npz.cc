// Source npz: a table of examples and one of classes, as NumPy writes them.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "fedmeta/client/data/factories.h"
#include "fedmeta/client/data/npy.h"
#include "fedmeta/client/data/zip_file.h"

namespace fedmeta {
namespace {

constexpr std::int64_t kMostClasses = 1'000'000;

class NpzDataset final : public Dataset {
 public:
  NpzDataset(NpyArray examples, std::vector<std::int64_t> labels, std::int64_t classes,
             Digest fingerprint)
      : examples_(std::move(examples)),
        shape_(examples_.shape().begin() + 1, examples_.shape().end()),
        labels_(std::move(labels)),
        classes_(classes),
        fingerprint_(fingerprint) {}

  std::size_t size() const override { return labels_.size(); }
  const std::vector<std::int64_t>& example_shape() const override { return shape_; }
  void Read(std::size_t row, std::span<float> example) const override {
    for (std::size_t i = 0; i < example.size(); ++i) {
      example[i] = static_cast<float>(examples_.At(row * example.size() + i));
    }
  }
  std::int64_t label(std::size_t row) const override { return labels_[row]; }
  std::int64_t classes() const override { return classes_; }
  const Digest& fingerprint() const override { return fingerprint_; }

 private:
  NpyArray examples_;
  std::vector<std::int64_t> shape_;
  std::vector<std::int64_t> labels_;
  std::int64_t classes_;
  Digest fingerprint_;
};

Error Refuse(const std::string& array, const std::string& why) {
  return {ErrorCode::kInvalidArgument, "array '" + array + "' " + why};
}

Result<NpyArray> ReadArray(const ZipFile& file, const std::string& name) {
  FEDMETA_ASSIGN_OR_RETURN(Bytes content, file.Member(name + ".npy"));
  Result<NpyArray> array = NpyArray::Parse(std::move(content));
  if (!array.ok()) return Refuse(name, array.error().message());
  return array;
}

}  // namespace

Result<OpenedSource> OpenNpz(const v1::NpzSettings& settings) {
  const std::string x = settings.x().empty() ? "x" : settings.x();
  const std::string y = settings.y().empty() ? "y" : settings.y();
  FEDMETA_ASSIGN_OR_RETURN(const ZipFile file, ZipFile::Read(settings.path()));
  FEDMETA_ASSIGN_OR_RETURN(NpyArray examples, ReadArray(file, x));
  FEDMETA_ASSIGN_OR_RETURN(const NpyArray classes, ReadArray(file, y));
  const std::vector<std::int64_t>& shape = examples.shape();
  if (shape.size() < 2 || examples.size() == 0 ||
      shape[0] > std::numeric_limits<std::uint32_t>::max()) {
    return Refuse(x, "must have examples in rows, shape [examples, ...]");
  }
  if (!classes.whole_numbers() || classes.shape().size() != 1 || classes.shape()[0] != shape[0]) {
    return Refuse(y, "must be whole numbers, one an example of '" + x + "'");
  }
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (!std::isfinite(static_cast<float>(examples.At(i)))) {
      return Refuse(x, "holds values that are not finite");
    }
  }
  std::vector<std::int64_t> labels(classes.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = static_cast<std::int64_t>(classes.At(i));
    if (labels[i] < 0 || labels[i] >= kMostClasses) {
      return Refuse(y, "must be classes from 0 to " + std::to_string(kMostClasses - 1));
    }
  }
  const std::int64_t count = *std::max_element(labels.begin(), labels.end()) + 1;
  OpenedSource opened;
  opened.dataset = std::make_shared<const NpzDataset>(std::move(examples), std::move(labels), count,
                                                      file.fingerprint());
  opened.input_shape = opened.dataset->example_shape();
  opened.fingerprint = opened.dataset->fingerprint();
  return opened;
}

}  // namespace fedmeta

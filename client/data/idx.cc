#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fedmeta/client/data/factories.h"
#include "fedmeta/client/data/idx_file.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

namespace fs = std::filesystem;

/// `named`: folder and kind. The files' own names stay out of errors, as rows and values do: errors
/// leave the site.
Error Refuse(const std::string& named, const std::string& why) {
  return {ErrorCode::kInvalidArgument, named + ": " + why};
}

class IdxDataset final : public Dataset {
 public:
  IdxDataset(IdxFile images, std::vector<std::int32_t> labels, std::vector<std::string> names,
             bool normalize)
      : shape_({1, images.extents[1], images.extents[2]}),
        width_(std::size_t{images.extents[1]} * images.extents[2]),
        pixels_(std::move(images.bytes)),
        labels_(std::move(labels)),
        classes_(*std::max_element(labels_.begin(), labels_.end()) + 1),
        names_(std::move(names)) {
    for (std::size_t value = 0; value < value_of_.size(); ++value) {
      value_of_[value] = static_cast<float>(value) / (normalize ? 255.0F : 1.0F);
    }
    DigestBuilder digest;
    digest.Add(AsBytes(std::span<const std::int64_t>(shape_)));
    digest.Add(AsBytes(std::span<const std::int32_t>(labels_)));
    digest.Add(AsBytes(std::span<const std::uint8_t>(pixels_)));
    fingerprint_ = digest.Finish();
  }

  std::size_t size() const override { return labels_.size(); }
  const std::vector<std::int64_t>& example_shape() const override { return shape_; }
  void Read(std::size_t row, std::span<float> example) const override {
    const std::uint8_t* pixel = pixels_.data() + row * width_;
    for (float& value : example) value = value_of_[*pixel++];
  }
  std::int64_t label(std::size_t row) const override { return labels_[row]; }
  std::int64_t classes() const override { return classes_; }
  const Digest& fingerprint() const override { return fingerprint_; }
  std::span<const std::string> class_names() const override { return names_; }

 private:
  std::vector<std::int64_t> shape_;
  std::size_t width_;
  std::vector<std::uint8_t> pixels_;
  std::vector<std::int32_t> labels_;
  std::int64_t classes_;
  std::vector<std::string> names_;
  std::array<float, 256> value_of_{};
  Digest fingerprint_;
};

// PART, then nothing or "-...-", then one of the endings, then nothing or ".gz".
bool Matches(std::string_view name, std::string_view part, std::span<const std::string> endings) {
  if (!name.starts_with(part)) return false;
  name.remove_prefix(part.size());
  if (name.ends_with(".gz")) name.remove_suffix(3);
  return std::any_of(endings.begin(), endings.end(), [&](const std::string& ending) {
    if (!name.ends_with(ending)) return false;
    const std::string_view middle = name.substr(0, name.size() - ending.size());
    return middle.empty() || (middle.ends_with('-') && (part.empty() || middle.starts_with('-')));
  });
}

Result<fs::path> FindOne(const fs::path& folder, const std::string& part,
                         std::span<const std::string> endings) {
  std::error_code failure;
  std::vector<std::string> found;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    std::string name = entry->path().filename().string();
    if (Matches(name, part, endings)) found.push_back(std::move(name));
  }
  if (failure) {
    return Error(ErrorCode::kNotFound, "source.path " + folder.string() + ": " + failure.message());
  }
  std::sort(found.begin(), found.end());
  if (found.size() == 1) return folder / found.front();
  const std::string looked_for = "one file " + part + "[-...-]" + Join(endings, " or ") + "[.gz]";
  if (found.empty()) {
    return Error(ErrorCode::kNotFound,
                 folder.string() + ": looked for " + looked_for + ", found none; see source.part");
  }
  return Refuse(folder.string(), "looked for " + looked_for + ", found " +
                                     std::to_string(found.size()) + "; choose by source.part");
}

Result<std::vector<std::int32_t>> ReadLabels(const fs::path& path, const std::string& named) {
  FEDMETA_ASSIGN_OR_RETURN(const IdxFile file, ReadIdxFile(path, named, 1));
  std::vector<std::int32_t> labels(file.extents[0]);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (file.type == IdxType::kUnsignedByte) {
      labels[i] = file.bytes[i];
      continue;
    }
    const unsigned value = (unsigned{file.bytes[2 * i]} << 8) | file.bytes[2 * i + 1];
    labels[i] = static_cast<std::int16_t>(value);
    if (labels[i] < 0) {
      return Refuse(named, "at least one is negative; labels are 0 to 32767");
    }
  }
  return labels;
}

std::vector<std::string> SplitTabs(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream in(line);
  for (std::string field; std::getline(in, field, '\t');) fields.push_back(std::move(field));
  return fields;
}

// PART-classes.tsv, where it lies beside the images: a header, then class_id, ..., alphabet,
// character.
Result<std::vector<std::string>> ReadClassNames(const fs::path& path, const std::string& named,
                                                std::size_t classes) {
  if (!fs::exists(path)) return std::vector<std::string>();
  FEDMETA_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::istringstream in(text);
  std::string line;
  std::getline(in, line);
  const std::vector<std::string> header = SplitTabs(line);
  const auto column = [&header](std::string_view name) {
    return static_cast<std::size_t>(std::find(header.begin(), header.end(), name) - header.begin());
  };
  const std::size_t alphabet = column("alphabet");
  const std::size_t character = column("character");
  const std::size_t id = column("class_id");
  if (std::max({alphabet, character, id}) >= header.size()) {
    return Refuse(named, "line 1: expected columns class_id, alphabet and character");
  }
  std::vector<std::string> names;
  while (std::getline(in, line)) {
    const std::vector<std::string> fields = SplitTabs(line);
    if (fields.size() != header.size() || fields[id] != std::to_string(names.size())) {
      return Refuse(named, "expected " + std::to_string(header.size()) +
                               " fields a line and class_id counting up from 0");
    }
    names.push_back(fields[alphabet] + "/" + fields[character]);
  }
  if (names.size() != classes) {
    return Refuse(named, "names " + std::to_string(names.size()) + " classes, the labels have " +
                             std::to_string(classes));
  }
  return names;
}

}  // namespace

Result<OpenedSource> OpenIdx(const v1::IdxSettings& settings) {
  const fs::path folder = settings.path();
  const std::string& part = settings.part();
  FEDMETA_ASSIGN_OR_RETURN(const fs::path image_path,
                           FindOne(folder, part, std::array<std::string, 1>{"images-idx3-ubyte"}));
  FEDMETA_ASSIGN_OR_RETURN(
      const fs::path label_path,
      FindOne(folder, part, std::array<std::string, 2>{"labels-idx1-ubyte", "labels-idx1-int16"}));
  const std::string named_images = folder.string() + ": the images";
  const std::string named_labels = folder.string() + ": the labels";
  FEDMETA_ASSIGN_OR_RETURN(IdxFile images, ReadIdxFile(image_path, named_images, 3));
  if (images.type != IdxType::kUnsignedByte) {
    return Refuse(named_images, "holds int16 pixels, expected unsigned bytes");
  }
  FEDMETA_ASSIGN_OR_RETURN(std::vector<std::int32_t> labels, ReadLabels(label_path, named_labels));
  if (labels.size() != images.extents[0]) {
    return Refuse(named_labels, "are " + std::to_string(labels.size()) + ", the images " +
                                    std::to_string(images.extents[0]));
  }
  const int classes = *std::max_element(labels.begin(), labels.end()) + 1;
  FEDMETA_ASSIGN_OR_RETURN(
      std::vector<std::string> names,
      ReadClassNames(folder / (part + "-classes.tsv"), folder.string() + ": the class names",
                     static_cast<std::size_t>(classes)));
  OpenedSource opened;
  opened.dataset = std::make_shared<const IdxDataset>(std::move(images), std::move(labels),
                                                      std::move(names), settings.normalize());
  opened.input_shape = opened.dataset->example_shape();
  opened.fingerprint = opened.dataset->fingerprint();
  return opened;
}

}  // namespace fedmeta

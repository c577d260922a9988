#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "fedmeta/client/data/source.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/tests/support/temporary_folder.h"
#include "fedmeta/v1/data.pb.h"

namespace fedmeta {

/// `sizes[c]` examples of class c, dealt out in turns; the first value of an example is its row.
class FakeTable final : public Dataset {
 public:
  explicit FakeTable(std::vector<std::size_t> sizes, std::vector<std::int64_t> shape = {1, 2, 2})
      : shape_(std::move(shape)), classes_(static_cast<std::int64_t>(sizes.size())) {
    bool any = true;
    while (any) {
      any = false;
      for (std::size_t c = 0; c < sizes.size(); ++c) {
        if (sizes[c] == 0) continue;
        --sizes[c];
        labels_.push_back(static_cast<std::int64_t>(c));
        any = true;
      }
    }
  }
  void NameClasses() {
    for (std::int64_t c = 0; c < classes_; ++c) names_.push_back("a/c" + std::to_string(c));
  }

  std::size_t size() const override { return labels_.size(); }
  const std::vector<std::int64_t>& example_shape() const override { return shape_; }
  void Read(std::size_t row, std::span<float> example) const override {
    for (std::size_t i = 0; i < example.size(); ++i) {
      example[i] = static_cast<float>(row) + static_cast<float>(i) * 1e6F;
    }
  }
  std::int64_t label(std::size_t row) const override { return labels_[row]; }
  std::int64_t classes() const override { return classes_; }
  const Digest& fingerprint() const override { return fingerprint_; }
  std::span<const std::string> class_names() const override { return names_; }

 private:
  std::vector<std::int64_t> shape_;
  std::int64_t classes_;
  std::vector<std::int64_t> labels_;
  std::vector<std::string> names_;
  Digest fingerprint_;
};

inline OpenedSource TableSource(std::shared_ptr<const Dataset> table) {
  OpenedSource source;
  source.input_shape = table->example_shape();
  source.dataset = std::move(table);
  return source;
}

/// Of examples of a FakeTable that are upright.
inline std::vector<std::size_t> RowsOf(const ExampleSet& examples) {
  std::vector<std::size_t> rows;
  if (examples.count == 0) return rows;
  const std::size_t width = examples.inputs.size() / examples.count;
  for (std::size_t i = 0; i < examples.count; ++i) {
    rows.push_back(static_cast<std::size_t>(examples.inputs[i * width]));
  }
  return rows;
}

template <typename Settings>
v1::Plugin PluginOf(const std::string& name, const Settings& settings) {
  v1::Plugin plugin;
  plugin.set_name(name);
  plugin.mutable_settings()->PackFrom(settings);
  return plugin;
}

inline v1::EpisodicSettings Episodic(unsigned ways, unsigned shots, unsigned queries,
                                     const std::string& rotations = "none") {
  v1::EpisodicSettings settings;
  settings.set_ways(ways);
  settings.set_shots(shots);
  settings.set_queries(queries);
  settings.set_rotations(rotations);
  return settings;
}

inline Rng TestRng(std::uint64_t round = 0) {
  return Rng({.seed = 11, .purpose = "test", .round = round});
}

/// Where the published tables lie.
inline std::filesystem::path DataRoot() {
  const char* root = std::getenv("FEDMETA_DATA");
  return root != nullptr ? std::filesystem::path(root)
                         : std::filesystem::path(FEDMETA_SOURCE_DIR) / "../shared/data";
}

}  // namespace fedmeta

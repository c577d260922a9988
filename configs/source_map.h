#pragma once

#include <map>
#include <string>
#include <string_view>

namespace fedmeta {

/// Where a value was written: "experiment.yaml:12:7", "argument 3", "default".
struct Place {
  std::string file;  ///< or "argument 3"
  int line = 0;      ///< from 1; 0: the place has no lines
  int column = 0;
  std::string ToString() const;
};

/// Field path ("data.tasks.ways", "evaluation.baselines[1].learning_rate") -> place. Outlives
/// parsing, for checks across fields.
class SourceMap {
 public:
  void Set(const std::string& path, Place place) { places_[path] = std::move(place); }
  /// The place of the path, or of its nearest parent that has one, or of the file.
  Place Find(std::string_view path) const;
  bool Has(std::string_view path) const { return places_.contains(std::string(path)); }

 private:
  std::map<std::string, Place> places_;
};

}  // namespace fedmeta

#include "fedmeta/client/data/class_split.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <unordered_map>

#include "fedmeta/core/file.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

constexpr std::size_t kOmniglotClasses = 1623;

Error Refuse(const std::string& why) { return {ErrorCode::kInvalidArgument, why}; }

ClassSplit DrawSplit(std::size_t train, std::size_t validation, std::uint64_t seed) {
  std::vector<std::size_t> classes(kOmniglotClasses);
  std::iota(classes.begin(), classes.end(), std::size_t{0});
  Rng rng({.seed = seed, .purpose = "class_split"});
  rng.Shuffle(std::span(classes));
  const auto cut = [&classes](std::size_t begin, std::size_t end) {
    std::vector<std::size_t> part(classes.begin() + static_cast<std::ptrdiff_t>(begin),
                                  classes.begin() + static_cast<std::ptrdiff_t>(end));
    std::sort(part.begin(), part.end());
    return part;
  };
  return {.train = cut(0, train),
          .validation = cut(train, train + validation),
          .test = cut(train + validation, kOmniglotClasses)};
}

using ClassByName = std::unordered_map<std::string, std::size_t>;

Result<std::vector<std::size_t>> ReadList(const std::filesystem::path& path,
                                          const ClassByName& known) {
  FEDMETA_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::set<std::size_t> classes;
  std::istringstream in(text);
  std::size_t number = 1;
  for (std::string line; std::getline(in, line); ++number) {
    const std::size_t second = line.find('/', line.find('/') + 1);
    const auto found = known.find(line.substr(0, second));
    if (found == known.end()) {
      return Refuse(path.string() + ", line " + std::to_string(number) +
                    ": the source has no such class");
    }
    classes.insert(found->second);
  }
  if (classes.empty()) return Refuse(path.string() + ": names no class");
  return std::vector<std::size_t>(classes.begin(), classes.end());
}

Result<ClassSplit> ReadSplit(const std::filesystem::path& folder, const Dataset& dataset) {
  const std::span<const std::string> names = dataset.class_names();
  if (names.empty()) {
    return Refuse(
        "partition.class_split vinyals needs a source that names its classes: put PART-classes.tsv "
        "beside the images");
  }
  ClassByName known;
  for (std::size_t c = 0; c < names.size(); ++c) known[names[c]] = c;
  ClassSplit split;
  FEDMETA_ASSIGN_OR_RETURN(split.train, ReadList(folder / "train.txt", known));
  FEDMETA_ASSIGN_OR_RETURN(split.validation, ReadList(folder / "val.txt", known));
  FEDMETA_ASSIGN_OR_RETURN(split.test, ReadList(folder / "test.txt", known));
  std::vector<bool> used(names.size(), false);
  for (const auto* part : {&split.train, &split.validation, &split.test}) {
    for (const std::size_t c : *part) {
      if (used[c]) {
        return Refuse("partition.split_dir " + folder.string() + ": a class stands in two lists");
      }
      used[c] = true;
    }
  }
  return split;
}

}  // namespace

Result<ClassSplit> SplitClasses(const v1::Partition& settings, const Dataset& dataset,
                                std::uint64_t seed) {
  const std::string& name = settings.class_split();
  const auto classes = static_cast<std::size_t>(dataset.classes());
  if (name.empty() || name == "none") {
    ClassSplit all;
    all.train.resize(classes);
    std::iota(all.train.begin(), all.train.end(), std::size_t{0});
    all.validation = all.test = all.train;
    return all;
  }
  if (name == "vinyals") return ReadSplit(settings.split_dir(), dataset);
  if (name != "maml" && name != "reptile") {
    return Refuse("partition.class_split must be none, maml, reptile or vinyals, got '" + name +
                  "'");
  }
  if (classes != kOmniglotClasses) {
    return Refuse("partition.class_split " + name +
                  " divides the 1,623 classes of Omniglot, the source has " +
                  std::to_string(classes));
  }
  return name == "maml" ? DrawSplit(1100, 100, seed) : DrawSplit(1200, 0, seed);
}

}  // namespace fedmeta

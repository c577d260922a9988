#include "fedmeta/configs/problem.h"

#include <algorithm>
#include <tuple>

namespace fedmeta {
namespace {

/// Lines of the file first, in reading order; then places without lines, "argument 2" before
/// "argument 10".
auto ReadingOrder(const Place& place) {
  return std::make_tuple(place.line == 0, place.line, place.column,
                         place.line == 0 ? place.file.size() : 0,
                         place.line == 0 ? place.file : "");
}

}  // namespace

Error ProblemsError(const std::vector<Problem>& problems) {
  std::vector<Problem> sorted = problems;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return ReadingOrder(a.place) < ReadingOrder(b.place);
  });
  std::string text;
  for (const Problem& problem : sorted) {
    text += problem.place.ToString() + ": " + problem.message + "\n";
  }
  text += std::to_string(sorted.size()) + (sorted.size() == 1 ? " problem" : " problems") +
          ". Nothing was started.";
  return {ErrorCode::kInvalidArgument, text};
}

}  // namespace fedmeta

#include "fedmeta/core/state_layout.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <sstream>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

constexpr std::array<std::string_view, 4> kKindNames = {"body", "head", "normalisation", "buffer"};
constexpr std::array<std::string_view, 3> kRuleNames = {"optimize", "mean", "accumulate"};
constexpr std::size_t kLargestCount = std::size_t{1} << 40;

bool IsName(std::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 127; });
}

std::string CanonicalText(std::span<const Segment> segments) {
  std::string text = "fedmeta layout 1\n";
  for (const Segment& segment : segments) {
    text += "segment " + segment.name + " " +
            std::string(kRuleNames[static_cast<std::size_t>(segment.rule)]) + " " +
            FormatNumber(segment.scale) + "\n";
    for (const TensorSpec& tensor : segment.tensors) {
      text += "tensor " + tensor.name + " " +
              std::string(kKindNames[static_cast<std::size_t>(tensor.kind)]);
      for (const std::int64_t extent : tensor.shape) text += " " + std::to_string(extent);
      text += "\n";
    }
  }
  return text;
}

template <typename Enum, std::size_t N>
std::optional<Enum> FromName(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

/// The name is repeated in an error only where it is printable.
Status CheckName(const char* what, const std::string& name, std::set<std::string>& taken) {
  if (!IsName(name)) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string("layout: a ") + what + " name is empty or not printable");
  }
  if (!taken.insert(name).second) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string("layout: ") + what + " name '" + name + "' is repeated");
  }
  return {};
}

}  // namespace

Result<std::size_t> ElementCount(std::span<const std::int64_t> shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0)
      return Error(ErrorCode::kInvalidArgument,
                   "shape: extent must be >= 0, got " + std::to_string(extent));
    if (extent != 0 && count > kLargestCount / static_cast<std::size_t>(extent)) {
      return Error(ErrorCode::kInvalidArgument, "shape: more than 2^40 elements");
    }
    count *= static_cast<std::size_t>(extent);
  }
  return count;
}

Result<StateLayout> StateLayout::Create(std::vector<Segment> segments) {
  StateLayout layout;
  std::set<std::string> segment_names;
  for (const Segment& segment : segments) {
    FEDMETA_RETURN_IF_ERROR(CheckName("segment", segment.name, segment_names));
    if (!std::isfinite(segment.scale))
      return Error(ErrorCode::kInvalidArgument,
                   "layout: scale of segment '" + segment.name + "' is not finite");
    if (segment.tensors.empty())
      return Error(ErrorCode::kInvalidArgument,
                   "layout: segment '" + segment.name + "' has no tensors");
    std::set<std::string> names;
    std::vector<std::size_t> offsets;
    for (const TensorSpec& tensor : segment.tensors) {
      FEDMETA_RETURN_IF_ERROR(CheckName("tensor", tensor.name, names));
      FEDMETA_ASSIGN_OR_RETURN(const std::size_t count, ElementCount(tensor.shape));
      offsets.push_back(layout.size_);
      layout.size_ += count;
      if (layout.size_ > kLargestCount)
        return Error(ErrorCode::kInvalidArgument, "layout: more than 2^40 coordinates");
    }
    offsets.push_back(layout.size_);
    layout.offsets_.push_back(std::move(offsets));
  }
  if (layout.size_ == 0) return Error(ErrorCode::kInvalidArgument, "layout: no coordinates");
  layout.segments_ = std::move(segments);
  layout.text_ = CanonicalText(layout.segments_);
  layout.fingerprint_ = Digest::Of(layout.text_);
  return layout;
}

Result<StateLayout> StateLayout::Parse(std::string_view text) {
  std::istringstream lines{std::string(text)};
  std::string line;
  std::size_t number = 1;
  const auto refused = [&number](const std::string& what) {
    return Error(ErrorCode::kInvalidArgument,
                 "layout, line " + std::to_string(number) + ": " + what);
  };
  if (!std::getline(lines, line) || line != "fedmeta layout 1")
    return refused("must be 'fedmeta layout 1'");
  std::vector<Segment> segments;
  while (std::getline(lines, line)) {
    ++number;
    std::istringstream words(line);
    std::string word;
    std::string name;
    std::string kind;
    words >> word >> name >> kind;
    if (word == "segment") {
      std::string scale;
      words >> scale;
      const auto rule = FromName<ServerRule>(kRuleNames, kind);
      const auto factor = ParseNumber(scale);
      if (!rule) return refused("unknown server rule");
      if (!factor) return refused("scale is not a number");
      segments.push_back({.name = name, .rule = *rule, .scale = *factor, .tensors = {}});
    } else if (word == "tensor" && !segments.empty()) {
      const auto tensor_kind = FromName<TensorKind>(kKindNames, kind);
      if (!tensor_kind) return refused("unknown kind of tensor");
      TensorSpec tensor{.name = name, .shape = {}, .kind = *tensor_kind};
      std::int64_t extent = 0;
      while (words >> extent) tensor.shape.push_back(extent);
      segments.back().tensors.push_back(std::move(tensor));
    } else {
      return refused("must start with 'segment', or within one with 'tensor'");
    }
  }
  FEDMETA_ASSIGN_OR_RETURN(StateLayout layout, Create(std::move(segments)));
  if (layout.text() != text)
    return Error(ErrorCode::kInvalidArgument, "layout: text is not in canonical form");
  return layout;
}

std::size_t StateLayout::offset(std::size_t segment, std::size_t tensor) const {
  return offsets_[segment][tensor];
}

std::size_t StateLayout::segment_size(std::size_t segment) const {
  return offsets_[segment].back() - offsets_[segment].front();
}

std::string StateLayout::CoordinateName(std::size_t coordinate) const {
  for (std::size_t s = 0; s < segments_.size(); ++s) {
    for (std::size_t t = 0; t < segments_[s].tensors.size(); ++t) {
      if (coordinate < offsets_[s][t + 1])
        return segments_[s].name + "/" + segments_[s].tensors[t].name;
    }
  }
  return "coordinate " + std::to_string(coordinate);
}

}  // namespace fedmeta

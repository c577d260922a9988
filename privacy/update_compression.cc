#include "fedmeta/privacy/update_compression.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "fedmeta/core/check.h"
#include "fedmeta/core/text.h"
#include "fedmeta/privacy/coordinate_sample.h"

namespace fedmeta {
namespace {

std::size_t Optimised(const StateLayout& layout) {
  std::size_t coordinates = 0;
  for (std::size_t s = 0; s < layout.segments().size(); ++s) {
    if (layout.segments()[s].rule == ServerRule::kOptimize) coordinates += layout.segment_size(s);
  }
  return coordinates;
}

/// Of `optimised` coordinates, at least one.
std::size_t Sampled(const v1::CompressionTerms& terms, std::size_t optimised) {
  const double share = std::ceil(terms.fraction() * static_cast<double>(optimised));
  return std::min(optimised, static_cast<std::size_t>(std::max(1.0, share)));
}

/// The layout's coordinates that are sent, ascending.
std::vector<std::size_t> DrawSent(const v1::CompressionTerms& terms, const StateLayout& layout,
                                  Rng& rng) {
  const std::size_t optimised = Optimised(layout);
  const std::vector<std::size_t> sample =
      SampleCoordinates(optimised, Sampled(terms, optimised), rng);
  std::vector<std::size_t> sent;
  auto next = sample.begin();
  std::size_t before = 0;  // optimised coordinates of earlier segments
  for (std::size_t s = 0; s < layout.segments().size(); ++s) {
    const std::size_t offset = layout.segment_offset(s), size = layout.segment_size(s);
    if (layout.segments()[s].rule != ServerRule::kOptimize) {
      for (std::size_t i = 0; i < size; ++i) sent.push_back(offset + i);
      continue;
    }
    for (; next != sample.end() && *next < before + size; ++next)
      sent.push_back(offset + *next - before);
    before += size;
  }
  return sent;
}

Result<StateLayout> LayoutOf(std::size_t coordinates) {
  return StateLayout::Create(
      {{.name = "update",
        .tensors = {{.name = "compressed", .shape = {static_cast<std::int64_t>(coordinates)}}}}});
}

}  // namespace

Status CheckTerms(const v1::CompressionTerms& terms) {
  const auto refused = [](const std::string& what) {
    return Error(ErrorCode::kInvalidArgument, "compression: " + what);
  };
  if (!(terms.fraction() > 0 && terms.fraction() <= 1))
    return refused("fraction must be > 0 and <= 1, got " + FormatNumber(terms.fraction()));
  if (terms.bits() < 2 || terms.bits() > 32)
    return refused("bits must be 2 to 32, got " + std::to_string(terms.bits()));
  return {};
}

bool ShortensUpdates(const v1::CompressionTerms& terms) {
  return terms.fraction() < 1 || terms.rotation();
}

std::size_t ExchangedCoordinates(const v1::CompressionTerms& terms, const StateLayout& layout) {
  if (!(terms.fraction() < 1)) return layout.size();
  const std::size_t optimised = Optimised(layout);
  return layout.size() - optimised + Sampled(terms, optimised);
}

Result<UpdateCompression> UpdateCompression::Create(const Options& options) {
  const v1::CompressionTerms& terms = options.terms;
  FEDMETA_RETURN_IF_ERROR(CheckTerms(terms));
  UpdateCompression compression;
  compression.layout_ = options.layout;
  Rng rng({.seed = options.seed, .purpose = "compression", .round = options.round});
  const std::size_t exchanged = ExchangedCoordinates(terms, *options.layout);
  if (exchanged < options.layout->size()) {
    compression.sent_ = DrawSent(terms, *options.layout, rng);
    const std::size_t optimised = Optimised(*options.layout);
    if (!terms.error_feedback()) {
      compression.scale_ =
          static_cast<double>(optimised) / static_cast<double>(Sampled(terms, optimised));
    }
  }
  if (terms.rotation()) compression.rotation_.emplace(exchanged, rng);
  FEDMETA_ASSIGN_OR_RETURN(compression.exchanged_, LayoutOf(exchanged));
  return compression;
}

std::vector<float> UpdateCompression::Compress(std::span<const float> update,
                                               std::span<float> residual) const {
  FEDMETA_CHECK(update.size() == layout_->size());
  FEDMETA_CHECK(residual.empty() || residual.size() == update.size());
  for (std::size_t i = 0; i < residual.size(); ++i) residual[i] += update[i];
  const std::span<const float> from = residual.empty() ? update : residual;
  std::vector<float> sent;
  if (sent_.empty()) {
    sent.assign(from.begin(), from.end());
    std::fill(residual.begin(), residual.end(), 0.0F);
  } else {
    sent.reserve(sent_.size());
    for (const std::size_t i : sent_) {
      sent.push_back(from[i]);
      if (!residual.empty()) residual[i] = 0;
    }
  }
  if (rotation_) rotation_->Apply(sent);
  return sent;
}

std::vector<double> UpdateCompression::Expand(std::vector<double> mean) const {
  FEDMETA_CHECK(mean.size() == exchanged_.size());
  if (rotation_) rotation_->Invert(mean);
  if (sent_.empty()) return mean;
  std::vector<double> whole(layout_->size());
  for (std::size_t i = 0; i < sent_.size(); ++i) whole[sent_[i]] = mean[i];
  if (scale_ == 1) return whole;
  for (std::size_t s = 0; s < layout_->segments().size(); ++s) {
    if (layout_->segments()[s].rule != ServerRule::kOptimize) continue;
    const auto segment =
        std::span(whole).subspan(layout_->segment_offset(s), layout_->segment_size(s));
    for (double& value : segment) value *= scale_;
  }
  return whole;
}

}  // namespace fedmeta

#include "fedmeta/client/data/table_report.h"

#include <algorithm>
#include <cmath>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

constexpr std::uint64_t kLeastShown = 10;
constexpr std::uint64_t kRounding = 10;

bool IsSmall(std::uint64_t count) { return count > 0 && count < kLeastShown; }

}  // namespace

std::string ShownCount(std::uint64_t count) { return IsSmall(count) ? "<10" : FormatCount(count); }

CountDisclosure::CountDisclosure(std::span<const std::uint64_t> parts)
    : rounds_(std::any_of(parts.begin(), parts.end(), IsSmall)) {}

std::uint64_t CountDisclosure::Rounded(std::uint64_t count) const {
  return rounds_ ? (count + kRounding / 2) / kRounding * kRounding : count;
}

std::string CountDisclosure::Show(std::uint64_t count) const {
  if (!rounds_ || count < kLeastShown) return ShownCount(count);
  return "about " + FormatCount(Rounded(count));
}

std::uint64_t CountDisclosure::Sum(std::span<const std::uint64_t> parts) const {
  std::uint64_t sum = 0;
  for (const std::uint64_t part : parts)
    sum += rounds_ && IsSmall(part) ? kRounding / 2 : Rounded(part);
  return Rounded(sum);
}

std::string CountDisclosure::ShowSum(std::span<const std::uint64_t> parts) const {
  const std::uint64_t sum = Sum(parts);
  return (rounds_ && sum > 0 ? "about " : "") + ShownCount(sum);
}

std::string CountDisclosure::ShowWithShare(std::uint64_t count, std::uint64_t sum) const {
  if (count < kLeastShown || sum == 0) return Show(count);
  const double share = 100.0 * static_cast<double>(Rounded(count)) / static_cast<double>(sum);
  return Show(count) + " (" + FormatNumber(std::min(100.0, std::round(share))) + " %)";
}

std::vector<std::uint64_t> UsedParts(const TableReport& report) {
  std::vector<std::uint64_t> parts;
  for (const auto& [level, count] : report.labels) parts.push_back(count);
  return parts;
}

std::vector<std::uint64_t> RowParts(const TableReport& report) {
  std::vector<std::uint64_t> parts = UsedParts(report);
  parts.insert(parts.end(), {report.without_label, report.label_outside, report.without_group});
  for (const FeatureReport& feature : report.features) parts.push_back(feature.dropped);
  return parts;
}

CountDisclosure DisclosureOf(const TableReport& report) {
  std::vector<std::uint64_t> parts = RowParts(report);
  for (const FeatureReport& feature : report.features) {
    if (feature.absent) continue;
    const std::uint64_t lost =
        feature.missing + feature.outside + feature.unknown + feature.unreadable;
    for (const std::uint64_t count : {feature.missing, feature.outside, feature.unknown,
                                      feature.unreadable, report.rows - lost}) {
      parts.push_back(count);
    }
  }
  return CountDisclosure(parts);
}

}  // namespace fedmeta

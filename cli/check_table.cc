#include "fedmeta/cli/check_table.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "fedmeta/client/data/table_builder.h"
#include "fedmeta/client/data/table_report.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/dictionary.h"

namespace fedmeta {
namespace {

using Json = Findings::Json;

/// The reasons that apply, e.g. "left out: 12 without label, <10 without chol".
std::string LeftOut(const TableReport& report, const CountDisclosure& shown) {
  std::vector<std::string> reasons;
  const auto add = [&](std::uint64_t count, const std::string& why) {
    if (count > 0) reasons.push_back(shown.Show(count) + " " + why);
  };
  add(report.without_group, "without group");
  add(report.without_label, "without label");
  add(report.label_outside, "with a label out of range");
  for (const FeatureReport& feature : report.features) add(feature.dropped, "for " + feature.name);
  return reasons.empty() ? "none left out" : "left out: " + Join(reasons, ", ");
}

std::string Pad(const std::string& text, std::size_t width) {
  return text + std::string(text.size() < width ? width - text.size() : 1, ' ');
}

void DescribeFeatures(const TableReport& report, const CountDisclosure& shown, Findings& findings) {
  constexpr std::size_t kColumn = 16;
  const std::uint64_t rows = shown.Sum(RowParts(report));
  std::size_t width = kColumn;
  for (const FeatureReport& feature : report.features) {
    width = std::max(width, feature.name.size() + 2);
  }
  findings.Line(Pad("feature", width) + Pad("missing", kColumn) + Pad("out of range", kColumn) +
                Pad("unknown level", kColumn) + "no number");
  for (const FeatureReport& feature : report.features) {
    if (feature.absent) {
      findings.Line(Pad(feature.name, width) + "no such column: imputed");
      continue;
    }
    findings.Line(
        Pad(feature.name, width) + Pad(shown.ShowWithShare(feature.missing, rows), kColumn) +
        Pad(shown.ShowWithShare(feature.outside, rows), kColumn) +
        Pad(shown.ShowWithShare(feature.unknown, rows), kColumn) + shown.Show(feature.unreadable));
  }
}

}  // namespace

Findings::Json TableJson(const TableReport& report) {
  const CountDisclosure shown = DisclosureOf(report);
  Json features = Json::object();
  for (const FeatureReport& feature : report.features) {
    features[feature.name] = {{"absent", feature.absent},
                              {"missing", shown.Show(feature.missing)},
                              {"out_of_range", shown.Show(feature.outside)},
                              {"unknown_level", shown.Show(feature.unknown)},
                              {"no_number", shown.Show(feature.unreadable)},
                              {"rows_left_out", shown.Show(feature.dropped)}};
  }
  Json labels = Json::object();
  for (const auto& [level, count] : report.labels) labels[level] = shown.Show(count);
  return {{"rows", shown.ShowSum(RowParts(report))},
          {"used", shown.ShowSum(UsedParts(report))},
          {"without_label", shown.Show(report.without_label)},
          {"label_out_of_range", shown.Show(report.label_outside)},
          {"without_group", shown.Show(report.without_group)},
          {"groups", ShownCount(report.groups)},
          {"labels", std::move(labels)},
          {"features", std::move(features)}};
}

std::string TableText(const TableReport& report) {
  const CountDisclosure shown = DisclosureOf(report);
  const std::uint64_t rows = shown.Sum(RowParts(report));
  const std::uint64_t used = shown.Sum(UsedParts(report));
  std::string text = shown.ShowSum(RowParts(report)) + " rows, " + shown.ShowSum(UsedParts(report));
  if (used > 0) {
    text +=
        " (" +
        FormatNumber(std::round(100.0 * static_cast<double>(used) / static_cast<double>(rows))) +
        " %)";
  }
  text += " used";
  if (report.groups > 0) text += " of " + ShownCount(report.groups) + " groups";
  return text + "; " + LeftOut(report, shown);
}

std::shared_ptr<const Dataset> CheckTable(const RawTable& table, const v1::Dictionary& dictionary,
                                          const std::string& label, Findings& findings) {
  Result<BuiltTable> built = BuildTable(table, dictionary);
  if (!built.ok()) {
    findings.Fail(built.error().WithContext(label));
    return nullptr;
  }
  const TableReport& report = built->report;
  if (report.rows > 0) {
    const CountDisclosure shown = DisclosureOf(report);
    findings.Fact(label, TableText(report), TableJson(report));
    std::vector<std::string> labels;
    for (const auto& [level, count] : report.labels) {
      labels.push_back(level + " " + shown.ShowWithShare(count, shown.Sum(UsedParts(report))));
    }
    const std::string rule = LabelRule(dictionary.label());
    findings.Line("label " + dictionary.label().name() + (rule.empty() ? "" : " (" + rule + ")") +
                  ": " + Join(labels, ", ") + "; " + std::to_string(InputNames(dictionary).size()) +
                  " inputs of the model");
    DescribeFeatures(report, shown, findings);
  }
  for (const std::string& warning : report.warnings) findings.Warn(label + ": " + warning);
  for (const std::string& problem : report.problems) {
    findings.Fail(Error(ErrorCode::kInvalidArgument, label + ": " + problem));
  }
  return built->dataset;
}

void CountTable(const RawTable& table, const std::string& label, Findings& findings) {
  const auto count = [&]() -> Result<std::pair<std::size_t, std::uint64_t>> {
    FEDMETA_ASSIGN_OR_RETURN(const std::unique_ptr<RowReader> reader, table.open());
    std::vector<std::string_view> cells;
    std::uint64_t rows = 0;
    for (;; ++rows) {
      FEDMETA_ASSIGN_OR_RETURN(const bool any, reader->Next(cells));
      if (!any) return std::pair(reader->columns().size(), rows);
    }
  };
  const auto counted = count();
  if (!counted.ok()) return findings.Fail(counted.error().WithContext(label));
  const auto& [columns, rows] = *counted;
  findings.Fact(label,
                "a table of " + std::to_string(columns) + " columns, " + ShownCount(rows) +
                    " rows; `fedmeta check CLIENT.yaml EXPERIMENT.yaml` shows what is used of it",
                {{"columns", columns}, {"rows", ShownCount(rows)}});
}

}  // namespace fedmeta

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

/// "137 (45 %)"; without a share where the count itself is not shown.
std::string WithShare(std::uint64_t count, std::uint64_t all) {
  const std::string shown = ShownCount(count);
  if (count == 0 || shown.front() == '<') return shown;
  const double share = 100.0 * static_cast<double>(count) / static_cast<double>(all);
  return shown + " (" + FormatNumber(std::round(share)) + " %)";
}

/// The reasons that apply, e.g. "left out: 12 without label, <10 without chol".
std::string LeftOut(const TableReport& report) {
  std::vector<std::string> reasons;
  const auto add = [&](std::uint64_t count, const std::string& why) {
    if (count > 0) reasons.push_back(ShownCount(count) + " " + why);
  };
  add(report.without_group, "without group");
  add(report.without_label, "without label");
  for (const FeatureReport& feature : report.features) add(feature.dropped, "for " + feature.name);
  return reasons.empty() ? "none left out" : "left out: " + Join(reasons, ", ");
}

std::string Pad(const std::string& text, std::size_t width) {
  return text + std::string(text.size() < width ? width - text.size() : 1, ' ');
}

void DescribeFeatures(const TableReport& report, Findings& findings) {
  constexpr std::size_t kColumn = 16;
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
    findings.Line(Pad(feature.name, width) + Pad(WithShare(feature.missing, report.rows), kColumn) +
                  Pad(WithShare(feature.outside, report.rows), kColumn) +
                  Pad(WithShare(feature.unknown, report.rows), kColumn) +
                  ShownCount(feature.unreadable));
  }
}

Json AsJson(const TableReport& report) {
  Json features = Json::object();
  for (const FeatureReport& feature : report.features) {
    features[feature.name] = {{"absent", feature.absent},
                              {"missing", ShownCount(feature.missing)},
                              {"out_of_range", ShownCount(feature.outside)},
                              {"unknown_level", ShownCount(feature.unknown)},
                              {"no_number", ShownCount(feature.unreadable)},
                              {"rows_left_out", ShownCount(feature.dropped)}};
  }
  Json labels = Json::object();
  for (const auto& [level, count] : report.labels) labels[level] = ShownCount(count);
  return {{"rows", ShownCount(report.rows)},
          {"used", ShownCount(report.used)},
          {"without_label", ShownCount(report.without_label)},
          {"without_group", ShownCount(report.without_group)},
          {"groups", ShownCount(report.groups)},
          {"labels", std::move(labels)},
          {"features", std::move(features)}};
}

}  // namespace

std::shared_ptr<const Dataset> CheckTable(const RawTable& table, const v1::Dictionary& dictionary,
                                          const std::string& label, Findings& findings) {
  Result<BuiltTable> built = BuildTable(table, dictionary);
  if (!built.ok()) {
    findings.Fail(built.error().WithContext(label));
    return nullptr;
  }
  const TableReport& report = built->report;
  if (report.rows > 0) {
    std::string text =
        ShownCount(report.rows) + " rows, " + WithShare(report.used, report.rows) + " used";
    if (report.groups > 0) text += " of " + ShownCount(report.groups) + " groups";
    findings.Fact(label, text + "; " + LeftOut(report), AsJson(report));
    std::vector<std::string> labels;
    for (const auto& [level, count] : report.labels) {
      labels.push_back(level + " " + WithShare(count, report.used));
    }
    findings.Line("label " + dictionary.label().name() + ": " + Join(labels, ", ") + "; " +
                  std::to_string(InputNames(dictionary).size()) + " inputs of the model");
    DescribeFeatures(report, findings);
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

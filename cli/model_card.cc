#include "fedmeta/cli/model_card.h"

#include "fedmeta/cli/adapt_records.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/version.h"

namespace fedmeta {
namespace {

std::string Line(const std::string& name, const std::string& text) {
  return "- " + name + ": " + text + "\n";
}

/// How the rows were used: left out where it would give a small count of the table away.
std::string PartsText(const AdaptedSite& site, bool rounds) {
  const AdaptRows& rows = site.rows;
  std::vector<std::uint64_t> parts = {rows.support, rows.validation, rows.query};
  for (const auto& [label, count] : rows.support_labels) parts.push_back(count);
  const CountDisclosure shown(parts);
  if (rounds || shown.rounds()) {
    return Line("rows adapted and measured on", "some of these counts are below ten: not given");
  }
  std::string text = Line("rows adapted on", shown.Show(rows.support));
  if (rows.validation > 0) text += Line("validation rows", shown.Show(rows.validation));
  return text +
         Line(site.episodes > 1 ? "query examples of a task" : "rows that it was measured on",
              shown.Show(rows.query));
}

std::string DataText(const ModelCardParts& parts) {
  const AdaptedSite& site = parts.sites.front();
  std::string text = "\n## Data of this site\n\n";
  text += Line("data set", parts.model.assignment.data());
  bool rounds = false;
  if (parts.report != nullptr) {
    const TableReport& report = *parts.report;
    const CountDisclosure shown(RowParts(report));
    rounds = shown.rounds();
    text += Line("rows read, used",
                 shown.ShowSum(RowParts(report)) + ", " + shown.ShowSum(UsedParts(report)));
    const auto left_out = [&](const std::string& why, std::uint64_t count) {
      if (count > 0) text += Line("rows left out " + why, shown.Show(count));
    };
    left_out("without label", report.without_label);
    left_out("with a label out of range", report.label_outside);
    left_out("without group", report.without_group);
    for (const FeatureReport& feature : report.features)
      left_out("for " + feature.name, feature.dropped);
    for (const auto& [level, count] : report.labels)
      text += Line("rows with label " + level, shown.Show(count));
  }
  if (site.episodes > 1) {
    text += Line("figures are means over",
                 FormatCount(site.episodes) + " tasks drawn from this site's examples");
  }
  return text + PartsText(site, rounds);
}

std::string FigureRow(const std::string& name, const std::optional<Estimate>& before,
                      const std::optional<Estimate>& after) {
  if (!before && !after) return "";
  const auto cell = [](const std::optional<Estimate>& estimate) {
    return estimate ? EstimateText(*estimate) : std::string("none");
  };
  return "| " + name + " | " + cell(before) + " | " + cell(after) + " |\n";
}

std::string FiguresText(const AdaptedSite& site) {
  const AdaptFigure& before = site.figures.front();
  const AdaptFigure& after = site.chosen;
  std::string text =
      "\n## Figures\n\nOn rows that adaptation did not see, with 95 % bootstrap intervals.\n\n"
      "| | before adaptation | this model |\n|---|---|---|\n";
  if (site.classifies) {
    text += FigureRow("accuracy", before.accuracy, after.accuracy);
    text += FigureRow("area under the ROC curve", before.auc, after.auc);
    text += FigureRow("log-loss", before.loss, after.loss);
    text += FigureRow("Brier score", before.brier, after.brier);
    text +=
        FigureRow("expected calibration error", before.calibration_error, after.calibration_error);
  } else {
    text += FigureRow("mean squared error", before.loss, after.loss);
  }
  return text;
}

std::string ComparisonText(const std::vector<AdaptedSite>& sites) {
  if (sites.size() < 2) return "";
  std::string text =
      "\nOther methods, each at its own chosen steps and rate:\n\n| | loss | accuracy "
      "|\n|---|---|---|\n";
  for (std::size_t i = 1; i < sites.size(); ++i) {
    text += "| " + MethodTitle(sites[i].method) + " | " + EstimateText(sites[i].chosen.loss) +
            " | " + (sites[i].classifies ? EstimateText(sites[i].chosen.accuracy) : "none") +
            " |\n";
  }
  return text;
}

}  // namespace

std::string ModelCard(const ModelCardParts& parts) {
  const AdaptedSite& site = parts.sites.front();
  const v1::Assignment& assignment = parts.model.assignment;
  std::string text = "# Model card: " + assignment.experiment() + ", adapted to one site\n\n";
  text +=
      "A model that was trained by several sites together and then adapted to the rows of this "
      "one. The rows stayed here.\n";
  text += "\n## Intended use and limits\n\n";
  text +=
      "- For records of this site that come about as those it was adapted to: the same way of "
      "measuring, the same units, the same people. Elsewhere its figures do not hold.\n";
  text +=
      "- It supports a decision by people who know the case; it was not examined as a medical "
      "device or for lending rules.\n";
  text += "- Figures by age, sex or other groups were not measured. Measure them before use.\n";
  text +=
      "- Its probabilities are as good as the rows it was measured on are many: see the "
      "intervals. Measure it again when practice or population changes.\n";
  text += DataText(parts);
  text += FiguresText(site);
  text += ComparisonText(parts.sites);
  text += "\n## How it was made\n\n";
  text += Line("method", site.method + " on model " + assignment.model().name());
  text += Line("adaptation", std::to_string(site.chosen.steps) +
                                 (site.chosen.steps == 1 ? " step" : " steps") + " at rate " +
                                 FormatNumber(site.chosen.learning_rate) + ", " + site.choice);
  text += Line("calibration", site.calibration_reason);
  if (!assignment.dictionary().features().empty()) {
    text +=
        "- inputs, in this order, missing values as NaN, categories as the place of their "
        "level from 0:\n";
    for (const v1::Feature& feature : assignment.dictionary().features()) {
      std::vector<std::string> levels(feature.levels().begin(), feature.levels().end());
      text += "  - " + feature.name() +
              (levels.empty() ? (feature.unit().empty() ? "" : " (" + feature.unit() + ")")
                              : ": " + Join(levels, ", ")) +
              "\n";
    }
  }
  if (!site.labels.empty()) text += Line("outputs", Join(site.labels, ", "));
  text += "\n## Provenance\n\n";
  text += Line("trained model, SHA-256", parts.model.digest.hex());
  text += Line("experiment", assignment.experiment() + ", its terms SHA-256 " +
                                 Digest::Of(assignment.SerializeAsString()).hex());
  text += Line("made with", std::string("fedmeta ") + kProgramVersion + ", protocol " +
                                ProtocolVersionText() + ", LibTorch " + parts.libtorch);
  return text;
}

}  // namespace fedmeta

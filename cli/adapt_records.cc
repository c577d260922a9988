#include "fedmeta/cli/adapt_records.h"

#include <algorithm>
#include <cstdio>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

void Put(nlohmann::json& object, const std::string& name, const Estimate& estimate) {
  object[name] = estimate.value;
  object[name + "_low"] = estimate.low;
  object[name + "_high"] = estimate.high;
}

nlohmann::json FigureJson(const AdaptFigure& figure, bool classifies) {
  nlohmann::json object = {{"steps", figure.steps},
                           {"learning_rate", figure.learning_rate},
                           {"diverged", figure.diverged}};
  Put(object, "loss", figure.loss);
  if (!classifies) return object;
  Put(object, "accuracy", figure.accuracy);
  if (figure.auc) Put(object, "auc", *figure.auc);
  if (figure.brier) Put(object, "brier", *figure.brier);
  if (figure.calibration_error) Put(object, "calibration_error", *figure.calibration_error);
  return object;
}

std::string Format(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

/// The figure of the table: accuracy in per cent, or the loss.
std::string Cell(const AdaptFigure& figure, bool classifies) {
  return classifies ? Format("%8.1f", 100 * figure.accuracy.value)
                    : Format("%8.3f", figure.loss.value);
}

std::string Left(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

std::string Row(const AdaptedSite& site, const std::vector<AdaptFigure>& columns) {
  constexpr std::size_t kTitle = 24;
  std::string line = Left(MethodTitle(site.method), kTitle);
  for (const AdaptFigure& column : columns) {
    const auto found =
        std::find_if(site.figures.begin(), site.figures.end(),
                     [&](const AdaptFigure& figure) { return figure.steps == column.steps; });
    line += found == site.figures.end() ? "       -" : Cell(*found, site.classifies);
  }
  const Estimate& chosen = site.classifies ? site.chosen.accuracy : site.chosen.loss;
  const double unit = site.classifies ? 100 : 1;
  const char* format = site.classifies ? "%.1f" : "%.3f";
  return line + Cell(site.chosen, site.classifies) + " (" + Format(format, unit * chosen.low) +
         " to " + Format(format, unit * chosen.high) + ")\n";
}

}  // namespace

nlohmann::json AdaptedJson(const AdaptedSite& site) {
  nlohmann::json figures = nlohmann::json::array();
  for (const AdaptFigure& figure : site.figures)
    figures.push_back(FigureJson(figure, site.classifies));
  return {{"method", site.method},
          {"shots", site.shots},
          {"episodes", site.episodes},
          {"figures", figures},
          {"chosen", FigureJson(site.chosen, site.classifies)},
          {"choice", site.choice},
          {"calibration",
           {{"temperature", site.calibration.temperature},
            {"intercepts", site.calibration.intercepts},
            {"reason", site.calibration_reason}}}};
}

std::string AdaptedText(const std::vector<AdaptedSite>& sites) {
  const AdaptedSite& main = sites.front();
  std::string text = Left(main.classifies ? "accuracy after" : "loss after", 24);
  for (const AdaptFigure& figure : main.figures) {
    std::string heading = std::to_string(figure.steps);
    if (figure.steps <= 1) heading += figure.steps == 1 ? " step" : " steps";
    text += std::string(heading.size() < 8 ? 8 - heading.size() : 1, ' ') + heading;
  }
  text += "   tuned (95 % interval)\n";
  for (std::size_t i = sites.size(); i-- > 0;) text += Row(sites[i], main.figures);
  text += MethodTitle(main.method) + ": " + std::to_string(main.chosen.steps) +
          (main.chosen.steps == 1 ? " step" : " steps") + " at rate " +
          FormatNumber(main.chosen.learning_rate) + ", " + main.choice + "\n";
  if (!main.classifies) return text;
  const AdaptFigure& before = main.figures.front();
  const auto compare = [&](const char* name, const std::optional<Estimate>& then,
                           const std::optional<Estimate>& now) {
    if (!now) return;
    text += Left(name, 24) + "before " + (then ? EstimateText(*then) : "-") + ", adapted " +
            EstimateText(*now) + "\n";
  };
  compare("AUC", before.auc, main.chosen.auc);
  compare("log-loss", before.loss, main.chosen.loss);
  compare("Brier score", before.brier, main.chosen.brier);
  compare("calibration error", before.calibration_error, main.chosen.calibration_error);
  return text + "calibration: " + main.calibration_reason + "\n";
}

std::string MethodTitle(const std::string& method) {
  if (method == "local") return "alone, from scratch";
  if (method == "fedavg") return "FedAvg, then adapted";
  return "fedmeta (" + method + ")";
}

std::string EstimateText(const Estimate& estimate) {
  return Format("%.3f", estimate.value) + " (" + Format("%.3f", estimate.low) + " to " +
         Format("%.3f", estimate.high) + ")";
}

}  // namespace fedmeta

#include "fedmeta/records/report_outcome.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "fedmeta/core/text.h"
#include "fedmeta/records/report_charts.h"
#include "fedmeta/records/report_figures.h"
#include "fedmeta/records/report_html.h"
#include "fedmeta/records/words.h"

namespace fedmeta {
namespace {

constexpr char kQuestionWorth[] = "Is federating worth it?";
constexpr char kQuestionScores[] = "How good are the probabilities?";
constexpr char kQuestionSites[] = "Is any site worse off than alone?";
constexpr char kQuestionExamples[] = "How little data does a new site need?";
constexpr std::size_t kDrawnSites = 40;

std::string NoFinalFigures(const ReportData& data) {
  return data.summary ? "No figure: the run ended before a final evaluation."
                      : "No figure yet: the run has not finished.";
}

std::string StepsChart(const ReportData& data, std::uint32_t shots, bool show_title) {
  const std::set<std::uint32_t> steps = AllSteps(data.summary->main);
  LineChart chart{.title = Examples(data, shots),
                  .show_title = show_title,
                  .x_title = "adaptation steps at the new site",
                  .y_title = data.classification ? "accuracy, %" : "loss",
                  .x_ticks = {},
                  .percent = data.classification,
                  .series = {},
                  .mark = {}};
  double position = 0;
  for (const std::uint32_t step : steps)
    chart.x_ticks.push_back({position++, std::to_string(step)});
  for (const auto& [method, color] : Methods(data)) {
    LineSeries series{ShortName(method->method), color, false, {}};
    position = 0;
    for (const std::uint32_t step : steps) {
      if (const FinalCell* cell = FindCell(*method, shots, false, step))
        series.points.push_back({position, data.Value(*cell), HalfBand(data, *method, *cell)});
      position += 1;
    }
    if (!series.points.empty()) chart.series.push_back(std::move(series));
  }
  return Draw(chart);
}

std::string StepsTable(const ReportData& data, std::uint32_t shots) {
  std::vector<std::string> header = {Examples(data, shots) + "; steps:"};
  const std::set<std::uint32_t> steps = AllSteps(data.summary->main);
  for (const std::uint32_t step : steps) header.push_back(std::to_string(step));
  header.push_back("tuned");
  std::vector<TableRow> rows;
  for (const auto& [method, color] : Methods(data)) {
    TableRow row{{MethodName(method->method)}, color};
    for (const std::uint32_t step : steps) {
      const FinalCell* cell = FindCell(*method, shots, false, step);
      row.cells.push_back(cell == nullptr ? "-" : Figure(data, data.Value(*cell)));
    }
    const FinalCell* tuned = FindCell(*method, shots, true, 0);
    row.cells.push_back(tuned == nullptr ? "-" : Figure(data, data.Value(*tuned)));
    rows.push_back(std::move(row));
  }
  return HtmlTable(header, rows);
}

bool HasScores(const ReportData& data, const FinalCell* cell) {
  return data.classification && cell != nullptr && cell->scores &&
         std::isfinite(cell->scores->brier);
}

std::string ScoresTable(const ReportData& data, std::uint32_t shots) {
  std::vector<TableRow> rows;
  for (const auto& [method, color] : Methods(data)) {
    const FinalCell* cell = AdaptedCell(*method, shots);
    if (!HasScores(data, cell)) continue;
    const ProbabilityScores& of = *cell->scores;
    rows.push_back({{MethodName(method->method), Fixed(of.auc, 3), Fixed(of.auc_worst, 3),
                     Fixed(of.log_loss, 3), Fixed(of.log_loss_worst, 3), Fixed(of.brier, 3),
                     Fixed(of.calibration_error, 3)},
                    color});
  }
  if (rows.empty()) return "";
  return HtmlTable({Examples(data, shots) + ", adapted:", "AUC", "of the worst site", "log-loss",
                    "of the worst site", "Brier score", "calibration error"},
                   rows);
}

struct SiteFigures {
  std::string name;
  double before = 0, after = 0;
  std::optional<double> alone;
};
std::vector<SiteFigures> SitesOf(const ReportData& data, std::uint32_t shots) {
  const MethodSummary& main = data.summary->main;
  const FinalCell* adapted = AdaptedCell(main, shots);
  const FinalCell* first = FindCell(main, shots, false, 0);
  if (adapted == nullptr || first == nullptr) return {};
  const std::map<std::string, double> before = ByClient(data, main, *first);
  std::map<std::string, double> alone;
  for (const MethodSummary& baseline : data.summary->baselines)
    if (const FinalCell* cell = AdaptedCell(baseline, shots);
        baseline.method == "local" && cell != nullptr)
      alone = ByClient(data, baseline, *cell);
  std::vector<SiteFigures> sites;
  for (const auto& [client, after] : ByClient(data, main, *adapted)) {
    const auto start = before.find(client);
    if (start == before.end()) continue;
    const auto own = alone.find(client);
    sites.push_back({client, start->second, after,
                     own == alone.end() ? std::nullopt : std::optional(own->second)});
  }
  std::sort(sites.begin(), sites.end(), [&](const SiteFigures& a, const SiteFigures& b) {
    if (a.after != b.after) return data.Better(a.after, b.after);
    return a.name < b.name;
  });
  return sites;
}

}  // namespace

std::string WorthSection(const ReportData& data) {
  if (!HasFinalFigures(data)) return HtmlSection(kQuestionWorth, NoFinalFigures(data), "", "");
  const std::set<std::uint32_t> shots = AllShots(data.summary->main);
  std::string charts, tables;
  for (const std::uint32_t shot : shots) {
    charts += StepsChart(data, shot, shots.size() > 1);
    tables += StepsTable(data, shot);
  }
  bool bands = false;
  for (const ColoredMethod& method : Methods(data))
    for (const FinalCell& cell : method.summary->cells)
      bands = bands || HalfBand(data, *method.summary, cell) > 0;
  const MethodSummary& main = data.summary->main;
  const std::string answer =
      "Mean " + std::string(data.classification ? "accuracy" : "loss") + " over " +
      Sites(data, main.cells.front().clients) +
      ", by how many steps of adaptation the site takes. Every method has the same examples and "
      "the "
      "same number of tuned settings; rates, steps and rounds are chosen on validation.";
  std::string caption = bands ? "Bands: 95 % interval of the mean over sites."
                              : "No bands: sites do not disclose their own figures.";
  if (const FinalCell* tuned = FindCell(main, main.cells.front().shots, true, 0))
    caption += " Tuned for " + Escaped(MethodName(main.method)) + ": " +
               Counted(tuned->steps, "step", "steps") + " at rate " +
               FormatNumber(tuned->learning_rate) + ".";
  if (data.summary->baselines.empty())
    caption += " No baselines: the experiment names none (evaluation.baselines).";
  return HtmlSection(kQuestionWorth, answer, charts + HtmlCaption(caption), tables);
}

std::string ScoresSection(const ReportData& data) {
  if (!HasFinalFigures(data)) return "";
  std::string tables;
  for (const std::uint32_t shot : AllShots(data.summary->main)) tables += ScoresTable(data, shot);
  if (tables.empty()) return "";
  return HtmlSection(kQuestionScores,
                     "Adapted models, with steps and rate chosen on validation. Means over sites; "
                     "the area under the ROC curve (AUC) over those that have both classes. Of "
                     "log-loss, Brier score and calibration error less is better.",
                     "", tables);
}

std::string SitesSection(const ReportData& data) {
  if (!HasFinalFigures(data)) return HtmlSection(kQuestionSites, NoFinalFigures(data), "", "");
  const std::uint32_t shots = data.summary->main.cells.front().shots;
  const std::vector<SiteFigures> sites = SitesOf(data, shots);
  if (sites.empty())
    return HtmlSection(kQuestionSites,
                       "No figure: sites do not disclose their own figures, only sums over sites "
                       "reach the coordinator. Each site finds its own in its state folder.",
                       "", "");
  std::size_t compared = 0, worse_than_alone = 0, worse_than_before = 0;
  for (const SiteFigures& site : sites) {
    if (data.Better(site.before, site.after)) ++worse_than_before;
    if (!site.alone) continue;
    ++compared;
    if (data.Better(*site.alone, site.after)) ++worse_than_alone;
  }
  std::string answer =
      compared > 0
          ? FormatCount(worse_than_alone) + " of " + Sites(data, compared) +
                (compared == 1 || worse_than_alone == 1 ? " is" : " are") +
                " worse off than alone. "
          : "The run has no baseline 'local', so nobody can be compared with being alone. ";
  answer += FormatCount(worse_than_before) + " of " + FormatCount(sites.size()) +
            (worse_than_before == 1 ? " loses" : " lose") + " by adapting (" +
            Examples(data, shots) + ").";

  DumbbellChart chart{.title = "Before and after adaptation, by site",
                      .x_title = data.classification ? "accuracy, %" : "loss",
                      .percent = data.classification,
                      .rows = {}};
  std::vector<TableRow> rows;
  // The sites that matter for the question are the last ones.
  const std::size_t first = sites.size() - std::min(sites.size(), kDrawnSites);
  for (std::size_t i = first; i < sites.size(); ++i) {
    const SiteFigures& site = sites[i];
    chart.rows.push_back({site.name, site.before, site.after, site.alone});
    rows.push_back({{site.name, Figure(data, site.before), Figure(data, site.after),
                     site.alone ? Figure(data, *site.alone) : "-"}});
  }
  std::string caption =
      "<span class=\"key hollow-key\"></span> before <span class=\"key dot-key\"></span> after "
      "adaptation";
  if (compared > 0) caption += " <span class=\"key bar-key\"></span> alone";
  if (first > 0)
    caption +=
        ". The " + FormatCount(kDrawnSites) + " lowest of " + FormatCount(sites.size()) + " sites.";
  return HtmlSection(kQuestionSites, answer, Draw(chart) + HtmlCaption(caption),
                     HtmlTable({"site", "before", "after", "alone"}, rows));
}

std::string ExamplesSection(const ReportData& data) {
  if (!HasFinalFigures(data)) return HtmlSection(kQuestionExamples, NoFinalFigures(data), "", "");
  const std::set<std::uint32_t> shots = AllShots(data.summary->main);
  if (shots.size() < 2)
    return HtmlSection(kQuestionExamples,
                       "No figure: the run was evaluated with " + Examples(data, *shots.begin()) +
                           " only. evaluation.shots takes a list, such as [1, 5].",
                       "", "");
  LineChart chart{
      .title = "By examples at the new site",
      .show_title = false,
      .x_title = data.shots_of == "rows" ? "rows" : "examples a " + data.shots_of,
      .y_title = data.classification ? "accuracy after adaptation, %" : "loss after adaptation",
      .x_ticks = {},
      .percent = data.classification,
      .series = {},
      .mark = {}};
  double position = 0;
  std::vector<std::string> header = {"after adaptation"};
  for (const std::uint32_t shot : shots) {
    chart.x_ticks.push_back({position++, std::to_string(shot)});
    header.push_back(Examples(data, shot));
  }
  std::vector<TableRow> rows;
  for (const auto& [method, color] : Methods(data)) {
    TableRow row{{MethodName(method->method)}, color};
    LineSeries series{ShortName(method->method), color, false, {}};
    position = 0;
    for (const std::uint32_t shot : shots) {
      const FinalCell* cell = AdaptedCell(*method, shot);
      row.cells.push_back(cell == nullptr ? "-" : Figure(data, data.Value(*cell)));
      if (cell != nullptr)
        series.points.push_back({position, data.Value(*cell), HalfBand(data, *method, *cell)});
      position += 1;
    }
    rows.push_back(std::move(row));
    if (!series.points.empty()) chart.series.push_back(std::move(series));
  }
  return HtmlSection(kQuestionExamples,
                     "Mean over " + Sites(data, data.summary->main.cells.front().clients) +
                         ", steps and rate chosen on validation for each method and number of "
                         "examples.",
                     Draw(chart), HtmlTable(header, rows));
}

}  // namespace fedmeta

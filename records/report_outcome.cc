#include "fedmeta/records/report_outcome.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "fedmeta/core/rng.h"
#include "fedmeta/core/text.h"
#include "fedmeta/records/report_charts.h"
#include "fedmeta/records/report_html.h"
#include "fedmeta/records/words.h"

namespace fedmeta {
namespace {

constexpr char kQuestionWorth[] = "Is federating worth it?";
constexpr char kQuestionSites[] = "Is any site worse off than alone?";
constexpr char kQuestionExamples[] = "How little data does a new site need?";
constexpr int kResamples = 2000;
constexpr std::size_t kDrawnSites = 40;

std::string Figure(const ReportData& data, double value) {
  return data.classification ? Fixed(100 * value, 1) : Fixed(value, 3);
}
std::string Measured(const ReportData& data, double value) {
  return data.classification ? Fixed(100 * value, 1) + " % accuracy"
                             : "a loss of " + Fixed(value, 3);
}
std::string Sites(const ReportData& data, std::uint64_t count) {
  if (data.summary && data.summary->tested_on_training_sites)
    return Counted(count, "training site", "training sites");
  return data.holdout_clients > 0 ? Counted(count, "held-out site", "held-out sites")
                                  : Counted(count, "site", "sites");
}
std::string Examples(const ReportData& data, std::uint32_t shots) {
  return Counted(shots, "example", "examples") + (data.classification ? " a class" : " a task");
}

const FinalCell* FindCell(const MethodSummary& method, std::uint32_t shots, bool tuned,
                          std::uint32_t steps) {
  for (const FinalCell& cell : method.cells)
    if (cell.shots == shots && cell.tuned == tuned && (tuned || cell.steps == steps)) return &cell;
  return nullptr;
}
/// The cell that validation chose, else the one with most steps; null where there is none.
const FinalCell* AdaptedCell(const MethodSummary& method, std::uint32_t shots) {
  if (const FinalCell* tuned = FindCell(method, shots, true, 0)) return tuned;
  const FinalCell* most = nullptr;
  for (const FinalCell& cell : method.cells)
    if (cell.shots == shots && (most == nullptr || cell.steps > most->steps)) most = &cell;
  return most;
}

std::set<std::uint32_t> AllShots(const MethodSummary& method) {
  std::set<std::uint32_t> shots;
  for (const FinalCell& cell : method.cells) shots.insert(cell.shots);
  return shots;
}
std::set<std::uint32_t> AllSteps(const MethodSummary& method) {
  std::set<std::uint32_t> steps;
  for (const FinalCell& cell : method.cells)
    if (!cell.tuned) steps.insert(cell.steps);
  return steps;
}

/// Figures of the disclosing clients behind a final cell.
std::map<std::string, double> ByClient(const ReportData& data, const MethodSummary& method,
                                       const FinalCell& cell) {
  std::map<std::string, double> values;
  for (const EvaluationLineData& line : data.evaluations)
    if (!line.client.empty() && line.holdout && line.leg == method.leg &&
        line.round == method.best_round && line.shots == cell.shots && line.steps == cell.steps &&
        line.learning_rate == cell.learning_rate && std::isfinite(data.Value(line)))
      values[line.client] = data.Value(line);
  return values;
}

const MethodSummary* BestBaseline(const ReportData& data, std::uint32_t shots) {
  const MethodSummary* best = nullptr;
  double best_value = 0;
  for (const MethodSummary& baseline : data.summary->baselines) {
    const FinalCell* cell = AdaptedCell(baseline, shots);
    if (cell == nullptr || !std::isfinite(data.Value(*cell))) continue;
    if (best == nullptr || data.Better(data.Value(*cell), best_value)) {
      best = &baseline;
      best_value = data.Value(*cell);
    }
  }
  return best;
}

struct Interval {
  double mean = 0, low = 0, high = 0;
};
/// Percentile bootstrap over clients; the same figures on every machine.
Interval Bootstrap(const std::vector<double>& differences) {
  Rng rng(StreamName{.seed = 0, .purpose = "report-bootstrap"});
  const auto count = static_cast<double>(differences.size());
  std::vector<double> means(kResamples);
  for (double& mean : means) {
    double sum = 0;
    for (std::size_t i = 0; i < differences.size(); ++i)
      sum += differences[rng.Below(differences.size())];
    mean = sum / count;
  }
  std::sort(means.begin(), means.end());
  double sum = 0;
  for (const double difference : differences) sum += difference;
  return {sum / count, means[kResamples / 40], means[kResamples - 1 - kResamples / 40]};
}

std::string ComparisonText(const ReportData& data, const RunResult& result) {
  const double scale = data.classification ? 100 : 1;
  const int digits = data.classification ? 1 : 3;
  const std::string unit = data.classification ? " points" : "";
  const auto amount = [&](double value) { return Fixed(scale * value, digits); };
  const std::string baseline = "the best baseline (" + result.baseline + ", " +
                               Figure(data, *result.baseline_value) +
                               (data.classification ? " %)" : ")");
  if (!result.difference) {
    const double difference = *result.value - *result.baseline_value;
    return amount(std::fabs(difference)) + unit + (difference >= 0 ? " above " : " below ") +
           baseline +
           "; the uncertainty is unknown, because sites do not disclose their own figures";
  }
  const auto interval = [&](double from, double to) {
    return "95 % interval over sites " + amount(from) + " to " + amount(to);
  };
  if (*result.low <= 0 && *result.high >= 0)
    return "not distinguishable from " + baseline + ": difference " + amount(*result.difference) +
           unit + ", " + interval(*result.low, *result.high);
  const bool above = *result.difference > 0;
  return amount(std::fabs(*result.difference)) + unit + (above ? " above " : " below ") + baseline +
         ", " +
         (above ? interval(*result.low, *result.high) : interval(-*result.high, -*result.low)) +
         (above == data.classification ? "" : ": the baseline is better");
}

/// Methods in the order of the page with their colours: the main one and "alone" have the same
/// everywhere.
struct ColoredMethod {
  const MethodSummary* summary;
  int color;
};
std::vector<ColoredMethod> Methods(const ReportData& data) {
  constexpr int kMain = 0, kAlone = 4, kOthers[] = {1, 2, 3, 5};
  std::vector<ColoredMethod> methods = {{&data.summary->main, kMain}};
  std::size_t others = 0;
  for (const MethodSummary& baseline : data.summary->baselines)
    methods.push_back(
        {&baseline, baseline.method == "local" ? kAlone : kOthers[others++ % std::size(kOthers)]});
  return methods;
}

std::string ShortName(const std::string& method) {
  if (method == "local") return "alone";
  if (method == "fedavg") return "FedAvg";
  return MethodName(method);
}

std::string NoFinalFigures(const ReportData& data) {
  return data.summary ? "No figure: the run ended before a final evaluation."
                      : "No figure yet: the run has not finished.";
}
bool HasFinalFigures(const ReportData& data) {
  return data.summary && !data.summary->main.cells.empty();
}

/// 95 % of the mean over clients; 0 where they do not disclose their figures.
double HalfBand(const ReportData& data, const MethodSummary& method, const FinalCell& cell) {
  const std::map<std::string, double> values = ByClient(data, method, cell);
  if (values.size() < 2) return 0;
  const auto count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const auto& [client, value] : values) sum += value;
  for (const auto& [client, value] : values) squares += std::pow(value - sum / count, 2);
  return 1.96 * std::sqrt(squares / (count - 1) / count);
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

RunResult Outcome(const ReportData& data) {
  RunResult result;
  result.metric = data.classification ? "accuracy" : "loss";
  if (!data.summary) {
    std::uint64_t done = 0;
    for (const RoundLineData& round : data.rounds)
      if (round.leg == data.main_leg && round.committed) done = std::max(done, round.round);
    result.status = "running";
    result.sentence = "This run has not finished: " + FormatCount(done) + " of " +
                      Counted(data.rounds_planned, "round", "rounds") +
                      " done when this page was made.";
    return result;
  }
  const RunSummary& summary = *data.summary;
  result.status = RunStatusName(summary.status);
  if (!HasFinalFigures(data)) {
    result.sentence = "The run " +
                      std::string(summary.status == RunStatus::kCompleted ? "completed" : "ended") +
                      " after " + Counted(summary.rounds, "round", "rounds") +
                      (summary.reason.empty() ? std::string() : " (" + summary.reason + ")") +
                      " without final figures.";
    return result;
  }
  result.shots = summary.main.cells.front().shots;
  const FinalCell& cell = *AdaptedCell(summary.main, result.shots);
  result.method = MethodName(summary.main.method);
  result.clients = cell.clients;
  result.steps = cell.steps;
  result.value = data.Value(cell);
  result.sentence = "At " + Sites(data, cell.clients) + " with " + Examples(data, result.shots) +
                    ", " + result.method + " reaches " + Measured(data, *result.value) +
                    " after adaptation";
  if (const MethodSummary* baseline = BestBaseline(data, result.shots)) {
    const FinalCell& other = *AdaptedCell(*baseline, result.shots);
    result.baseline = MethodName(baseline->method);
    result.baseline_value = data.Value(other);
    const std::map<std::string, double> ours = ByClient(data, summary.main, cell);
    const std::map<std::string, double> theirs = ByClient(data, *baseline, other);
    std::vector<double> differences;
    for (const auto& [client, value] : ours)
      if (const auto found = theirs.find(client); found != theirs.end())
        differences.push_back(value - found->second);
    if (differences.size() >= 2) {
      const Interval interval = Bootstrap(differences);
      result.difference = interval.mean;
      result.low = interval.low;
      result.high = interval.high;
    }
    result.sentence += ", " + ComparisonText(data, result);
  } else {
    result.sentence += "; there is no baseline to compare with";
  }
  result.sentence += ".";
  if (summary.tested_on_training_sites)
    result.sentence +=
        " These are the sites that trained, on examples they may have trained on: only a site that "
        "never took part shows what a new one gains (fedmeta adapt).";
  return result;
}

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
      .x_title = data.classification ? "examples a class" : "examples a task",
      .y_title = data.classification ? "accuracy after adaptation, %" : "loss after adaptation",
      .x_ticks = {},
      .percent = data.classification,
      .series = {},
      .mark = {}};
  double position = 0;
  std::vector<std::string> header = {"after adaptation"};
  for (const std::uint32_t shot : shots) {
    chart.x_ticks.push_back({position++, std::to_string(shot)});
    header.push_back(Counted(shot, "example", "examples"));
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

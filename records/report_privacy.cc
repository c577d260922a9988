#include "fedmeta/records/report_privacy.h"

#include <algorithm>
#include <cmath>

#include "fedmeta/core/text.h"
#include "fedmeta/records/report_charts.h"
#include "fedmeta/records/report_html.h"
#include "fedmeta/records/words.h"

namespace fedmeta {
namespace {

constexpr char kQuestion[] = "What has been spent of the privacy budget?";
constexpr std::size_t kPoints = 120, kRows = 12;

/// At most `most` of them, evenly, the last one always.
template <typename T>
std::vector<T> Thinned(const std::vector<T>& all, std::size_t most) {
  if (all.size() <= most) return all;
  std::vector<T> some;
  for (std::size_t i = 1; i <= most; ++i) some.push_back(all[all.size() * i / most - 1]);
  return some;
}

}  // namespace

std::string DifferentialPrivacyText(const ReportData& data) {
  if (!data.summary || !data.summary->privacy) return "differential privacy not used";
  const PrivacySummary& privacy = *data.summary->privacy;
  std::string text = "differential privacy " + privacy.mode + ", unit: a " + privacy.unit;
  if (privacy.epsilon) {
    text += ", epsilon " + Fixed(*privacy.epsilon, 2) + " at delta " + FormatNumber(privacy.delta);
  }
  return text + "; figures of evaluations are outside of it";
}

std::string PrivacySection(const ReportData& data) {
  LineSeries spent{"spent", 0, true, {}};
  double releases = 0;
  for (const RoundLineData& round : data.rounds) {
    if (std::isfinite(round.epsilon)) spent.points.push_back({++releases, round.epsilon, 0});
  }
  if (spent.points.empty()) return {};
  std::vector<TableRow> rows;
  for (const LinePoint& point : Thinned(spent.points, kRows)) {
    rows.push_back({{Fixed(point.x, 0), Fixed(point.y, 3)}});
  }
  spent.points = Thinned(spent.points, kPoints);
  LineChart chart{.title = "Epsilon",
                  .show_title = false,
                  .x_title = "release",
                  .y_title = "epsilon",
                  .x_ticks = {},
                  .percent = false,
                  .series = {spent},
                  .mark = {}};
  std::string answer;
  if (data.summary && data.summary->privacy) {
    const PrivacySummary& privacy = *data.summary->privacy;
    answer = "Epsilon " + Fixed(privacy.epsilon.value_or(spent.points.back().y), 3) + " at delta " +
             FormatNumber(privacy.delta) + " for " +
             Counted(privacy.releases, "release", "releases");
    if (privacy.budget_epsilon) {
      answer += ", of a budget of " + Fixed(*privacy.budget_epsilon, 3);
      chart.series.push_back(
          {"budget",
           5,
           true,
           {{0, *privacy.budget_epsilon, 0}, {releases, *privacy.budget_epsilon, 0}}});
    }
    answer += ". Noise multiplier " + FormatNumber(privacy.noise_multiplier) + ", clip " +
              FormatNumber(privacy.clip) + ". Assumed: " + privacy.assumption + ".";
  }
  return HtmlSection(kQuestion, answer, Draw(chart), HtmlTable({"release", "epsilon"}, rows));
}

}  // namespace fedmeta

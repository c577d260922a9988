#include "fedmeta/records/report_course.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/text.h"
#include "fedmeta/records/report_charts.h"
#include "fedmeta/records/report_html.h"
#include "fedmeta/records/words.h"

namespace fedmeta {
namespace {

constexpr char kQuestionConverged[] = "Has training converged?";
constexpr char kQuestionSites[] = "Who reported, who was dropped, and why?";
constexpr char kQuestionTime[] = "What limits the speed?";
constexpr char kQuestionBytes[] = "How far are the bytes from the floor?";
constexpr char kNoRounds[] = "No figure: no round has been recorded.";
constexpr std::size_t kCurvePoints = 120, kGridColumns = 90, kBars = 60;
constexpr std::size_t kGridSites = 40, kReasonRows = 12;

std::vector<const RoundLineData*> MainRounds(const ReportData& data, bool committed_only) {
  std::vector<const RoundLineData*> rounds;
  for (const RoundLineData& round : data.rounds)
    if (round.leg == data.main_leg && (round.committed || !committed_only))
      rounds.push_back(&round);
  return rounds;
}

/// Consecutive runs of `count` items, at most `bins`, as evenly as they divide: [first, last) of
/// bin b.
std::size_t BinBegin(std::size_t count, std::size_t bins, std::size_t b) {
  return count * b / bins;
}

std::string Figure(const ReportData& data, double value) {
  return data.classification ? Fixed(100 * value, 1) : Fixed(value, 3);
}

/// One line of the learning curve: an evaluated sum at fixed shots, steps and rate.
LineSeries EvaluatedSeries(const ReportData& data, bool holdout, const FinalCell& cell) {
  LineSeries series{holdout ? data.TestName() : "validation", holdout ? 0 : 2, false, {}};
  for (const EvaluationLineData& line : data.evaluations)
    if (line.client.empty() && line.leg == data.main_leg && line.holdout == holdout &&
        line.shots == cell.shots && line.steps == cell.steps &&
        line.learning_rate == cell.learning_rate && std::isfinite(data.Value(line)))
      series.points.push_back({static_cast<double>(line.round), data.Value(line), 0});
  series.quiet = series.points.size() > 30;
  return series;
}

/// Which evaluated cell the learning curve follows: the tuned one, or the latest evaluation's last.
std::optional<FinalCell> FollowedCell(const ReportData& data) {
  if (data.summary && !data.summary->main.cells.empty()) {
    const FinalCell* chosen = &data.summary->main.cells.front();
    for (const FinalCell& cell : data.summary->main.cells) {
      if (cell.shots != chosen->shots) continue;
      if (cell.tuned || (!chosen->tuned && cell.steps > chosen->steps)) chosen = &cell;
    }
    return *chosen;
  }
  for (auto line = data.evaluations.rbegin(); line != data.evaluations.rend(); ++line)
    if (line->client.empty() && line->leg == data.main_leg)
      return FinalCell{.shots = line->shots,
                       .steps = line->steps,
                       .learning_rate = line->learning_rate,
                       .accuracy_std = std::nullopt,
                       .accuracy_worst_decile = std::nullopt};
  return std::nullopt;
}

/// A site's state in one attempt.
SiteState StateIn(const RoundLineData& round, const std::string& site) {
  for (const DroppedClient& dropped : round.dropped)
    if (dropped.client == site) return SiteState::kDropped;
  if (std::find(round.reported.begin(), round.reported.end(), site) != round.reported.end())
    return round.committed ? SiteState::kReported : SiteState::kAbandoned;
  return SiteState::kNotAsked;
}

/// Sites of the grid: all where they are few, else those that were dropped, most often first.
std::vector<std::string> GridSites(const std::vector<const RoundLineData*>& rounds,
                                   std::size_t& all) {
  std::map<std::string, std::size_t> drops;
  for (const RoundLineData* round : rounds) {
    for (const std::string& site : round->cohort) drops.emplace(site, 0);
    for (const DroppedClient& dropped : round->dropped) ++drops[dropped.client];
  }
  all = drops.size();
  std::vector<std::string> sites;
  for (const auto& [site, count] : drops)
    if (all <= kGridSites || count > 0) sites.push_back(site);
  if (all > kGridSites) {
    std::stable_sort(sites.begin(), sites.end(), [&](const std::string& a, const std::string& b) {
      return drops[a] > drops[b];
    });
    sites.resize(std::min(sites.size(), kGridSites));
  }
  return sites;
}

std::string ReasonTable(const std::vector<const RoundLineData*>& rounds) {
  struct Entry {
    std::string site, why;
    std::uint64_t first = 0, last = 0, count = 0;
  };
  std::map<std::pair<std::string, std::string>, Entry> entries;
  for (const RoundLineData* round : rounds)
    for (const DroppedClient& dropped : round->dropped) {
      const std::string why = dropped.phase +
                              (dropped.phase.empty() || dropped.reason.empty() ? "" : ": ") +
                              dropped.reason;
      Entry& entry = entries[{dropped.client, why}];
      if (entry.count++ == 0) entry = {dropped.client, why, round->round, round->round, 1};
      entry.last = round->round;
    }
  std::vector<Entry> sorted;
  for (const auto& [key, entry] : entries) sorted.push_back(entry);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Entry& a, const Entry& b) { return a.count > b.count; });
  std::vector<TableRow> rows;
  for (const Entry& entry : sorted) {
    if (rows.size() == kReasonRows) break;
    rows.push_back({{entry.site + " \u2013 " + entry.why,
                     entry.first == entry.last
                         ? std::to_string(entry.first)
                         : std::to_string(entry.first) + "\u2013" + std::to_string(entry.last),
                     FormatCount(entry.count)}});
  }
  for (const RoundLineData* round : rounds)
    if (!round->committed && rows.size() < 2 * kReasonRows)
      rows.push_back(
          {{"attempt abandoned \u2013 " + round->reason, std::to_string(round->round), "1"}});
  if (rows.empty()) return {};
  return HtmlTable({"dropped \u2013 why", "rounds", "times"}, rows);
}

}  // namespace

std::string ConvergenceSection(const ReportData& data) {
  const std::vector<const RoundLineData*> rounds = MainRounds(data, true);
  if (rounds.empty()) return HtmlSection(kQuestionConverged, kNoRounds, "", "");
  LineChart chart{.title = "Learning curve",
                  .show_title = false,
                  .x_title = "round",
                  .y_title = data.classification ? "accuracy, %" : "loss",
                  .x_ticks = {},
                  .percent = data.classification,
                  .series = {},
                  .mark = {}};
  LineSeries training{"training", 5, true, {}};
  const std::size_t bins = std::min(kCurvePoints, rounds.size());
  for (std::size_t b = 0; b < bins; ++b) {
    double sum = 0, count = 0, last = 0;
    for (std::size_t i = BinBegin(rounds.size(), bins, b); i < BinBegin(rounds.size(), bins, b + 1);
         ++i) {
      const double value = data.classification ? rounds[i]->accuracy : rounds[i]->loss;
      last = static_cast<double>(rounds[i]->round);
      if (!std::isfinite(value)) continue;
      sum += value;
      count += 1;
    }
    if (count > 0) training.points.push_back({last, sum / count, 0});
  }
  if (!training.points.empty()) chart.series.push_back(training);
  std::vector<TableRow> rows;
  if (const std::optional<FinalCell> cell = FollowedCell(data)) {
    const LineSeries validation = EvaluatedSeries(data, false, *cell);
    const LineSeries holdout = EvaluatedSeries(data, true, *cell);
    std::map<double, std::pair<std::string, std::string>> by_round;
    for (const LinePoint& point : validation.points)
      by_round[point.x].first = Figure(data, point.y);
    for (const LinePoint& point : holdout.points) by_round[point.x].second = Figure(data, point.y);
    for (const auto& [round, values] : by_round)
      rows.push_back({{Fixed(round, 0), values.first.empty() ? "-" : values.first,
                       values.second.empty() ? "-" : values.second}});
    if (!validation.points.empty()) chart.series.push_back(validation);
    if (!holdout.points.empty()) chart.series.push_back(holdout);
  }
  // A long table says no more than every so manieth row of it.
  while (rows.size() > 16) {
    std::vector<TableRow> fewer;
    for (std::size_t i = rows.size() % 2 == 0 ? 1 : 0; i < rows.size(); i += 2)
      fewer.push_back(rows[i]);
    rows = std::move(fewer);
  }
  std::string answer;
  if (data.summary && data.summary->main.best_round > 0) {
    const std::uint64_t best = data.summary->main.best_round;
    chart.mark = {static_cast<double>(best), "chosen: " + std::to_string(best)};
    answer = "Validation chose round " + FormatCount(best) + " of " +
             FormatCount(rounds.back()->round) + ". ";
    if (best == rounds.back()->round && rounds.size() > 1)
      answer += "It is the last one: more rounds might still help. ";
  }
  answer +=
      "Training: on the query sets of the sites of a round, adapted as in training; the other "
      "lines at the settings above.";
  return HtmlSection(kQuestionConverged, answer, Draw(chart),
                     rows.empty() ? "" : HtmlTable({"round", "validation", data.TestName()}, rows));
}

std::string ParticipationSection(const ReportData& data) {
  const std::vector<const RoundLineData*> rounds = MainRounds(data, false);
  if (rounds.empty()) return HtmlSection(kQuestionSites, kNoRounds, "", "");
  std::uint64_t reports = 0, drops = 0, abandoned = 0;
  for (const RoundLineData* round : rounds) {
    if (round->committed) reports += round->reported.size();
    drops += round->dropped.size();
    if (!round->committed) ++abandoned;
  }
  std::string answer = Counted(reports, "report", "reports") + " counted, " + FormatCount(drops) +
                       " dropped, " + Counted(abandoned, "attempt", "attempts") +
                       " abandoned. A round's sum is exactly that of the sites that reported.";
  std::size_t all = 0;
  const std::vector<std::string> sites = GridSites(rounds, all);
  if (sites.empty())
    return HtmlSection(kQuestionSites,
                       answer + " No figure: none of " + FormatCount(all) + " sites was dropped.",
                       "", "");
  SiteGrid grid{.title = "Rounds and sites",
                .sites = sites,
                .states = {},
                .first_column = std::to_string(rounds.front()->round),
                .last_column = std::to_string(rounds.back()->round)};
  const std::size_t columns = std::min(kGridColumns, rounds.size());
  grid.states.assign(sites.size(), std::vector<SiteState>(columns, SiteState::kNotAsked));
  for (std::size_t c = 0; c < columns; ++c)
    for (std::size_t i = BinBegin(rounds.size(), columns, c);
         i < BinBegin(rounds.size(), columns, c + 1); ++i)
      for (std::size_t s = 0; s < sites.size(); ++s) {
        // The worst of a column shows.
        const SiteState state = StateIn(*rounds[i], sites[s]);
        SiteState& shown = grid.states[s][c];
        const auto badness = [](SiteState value) {
          return value == SiteState::kDropped     ? 3
                 : value == SiteState::kAbandoned ? 2
                 : value == SiteState::kReported  ? 1
                                                  : 0;
        };
        if (badness(state) > badness(shown)) shown = state;
      }
  std::string caption =
      "<span class=\"key reported-key\"></span> reported <span class=\"key "
      "dropped-key\"></span> dropped <span class=\"key abandoned-key\"></span> attempt abandoned; "
      "blank: not asked";
  if (columns < rounds.size())
    caption += ". A column is about " + std::to_string((rounds.size() + columns / 2) / columns) +
               " rounds and shows the worst of them";
  if (sites.size() < all)
    caption +=
        ". The " + FormatCount(sites.size()) + " sites most often dropped, of " + FormatCount(all);
  return HtmlSection(kQuestionSites, answer, Draw(grid) + HtmlCaption(caption + "."),
                     ReasonTable(rounds));
}

std::string TimeSection(const ReportData& data) {
  const std::vector<const RoundLineData*> rounds = MainRounds(data, true);
  if (rounds.empty()) return HtmlSection(kQuestionTime, kNoRounds, "", "");
  std::map<std::string, double> totals;
  double wall = 0;
  for (const RoundLineData* round : rounds) {
    if (std::isfinite(round->wall_s)) wall += round->wall_s;
    for (const auto& [part, seconds] : round->parts_s) totals[part] += seconds;
  }
  if (wall <= 0) return HtmlSection(kQuestionTime, "No figure: the rounds carry no times.", "", "");
  std::vector<std::string> parts;
  for (const auto& [part, seconds] : totals) parts.push_back(part);
  std::sort(parts.begin(), parts.end(),
            [&](const std::string& a, const std::string& b) { return totals[a] > totals[b]; });
  double known = 0;
  for (const auto& [part, seconds] : totals) known += seconds;
  const auto count = static_cast<double>(rounds.size());

  StackedBars chart{.title = "Seconds a round by part",
                    .x_title = "round",
                    .y_title = "seconds a round",
                    .bars = {},
                    .first_bar = std::to_string(rounds.front()->round),
                    .last_bar = std::to_string(rounds.back()->round)};
  const std::size_t bins = std::min(kBars, rounds.size());
  for (std::size_t b = 0; b < bins; ++b) {
    const std::size_t begin = BinBegin(rounds.size(), bins, b);
    const std::size_t end = BinBegin(rounds.size(), bins, b + 1);
    std::vector<double> bar(parts.size() + 1);
    for (std::size_t i = begin; i < end; ++i) {
      double rest = std::isfinite(rounds[i]->wall_s) ? rounds[i]->wall_s : 0;
      for (std::size_t p = 0; p < parts.size(); ++p)
        if (const auto found = rounds[i]->parts_s.find(parts[p]);
            found != rounds[i]->parts_s.end()) {
          bar[p] += found->second;
          rest -= found->second;
        }
      bar.back() += std::max(rest, 0.0);
    }
    for (double& value : bar) value /= static_cast<double>(end - begin);
    chart.bars.push_back(std::move(bar));
  }
  std::vector<TableRow> rows;
  const auto add = [&](const std::string& name, double seconds, int color) {
    rows.push_back(
        {{name, Fixed(1000 * seconds / count, 1) + " ms", Fixed(100 * seconds / wall, 1) + " %"},
         color});
  };
  for (std::size_t p = 0; p < parts.size(); ++p)
    add(parts[p], totals[parts[p]], static_cast<int>(p % 6));
  const double rest = std::max(wall - known, 0.0);
  add("other", rest, static_cast<int>(parts.size() % 6));
  std::string answer = "A round took " + FormatDuration(wall / count) + " on average";
  if (!parts.empty())
    answer +=
        "; most of it is " + (rest > totals[parts[0]] ? "other" : "\u201c" + parts[0] + "\u201d");
  return HtmlSection(kQuestionTime, answer + ".", Draw(chart),
                     HtmlTable({"part", "a round", "share"}, rows));
}

std::string BytesSection(const ReportData& data) {
  const std::vector<const RoundLineData*> rounds = MainRounds(data, false);
  if (rounds.empty()) return HtmlSection(kQuestionBytes, kNoRounds, "", "");
  double down = 0, up = 0, floor_down = 0, floor_up = 0;
  for (const RoundLineData* round : rounds) {
    if (std::isfinite(round->bytes_down)) down += round->bytes_down;
    if (std::isfinite(round->bytes_up)) up += round->bytes_up;
    floor_down += 4.0 * static_cast<double>(data.parameters * round->cohort.size());
    floor_up += 4.0 * static_cast<double>(data.parameters * round->reported.size());
  }
  if (down + up <= 0 || floor_down + floor_up <= 0)
    return HtmlSection(kQuestionBytes, "No figure: the rounds carry no byte counts.", "", "");
  const auto bytes = [](double value) {
    return FormatBytes(static_cast<std::uint64_t>(std::max(value, 0.0)));
  };
  const auto ratio = [](double value, double least) {
    return least > 0 ? Fixed(value / least, 3) : std::string("-");
  };
  FloorBars chart{.title = "Bytes sent and the least possible",
                  .rows = {{"down", bytes(down), bytes(floor_down), down, floor_down},
                           {"up", bytes(up), bytes(floor_up), up, floor_up}}};
  const std::string answer =
      "All rounds moved " + bytes(down + up) + ", " + ratio(down + up, floor_down + floor_up) +
      " times the floor of 8 bytes a coordinate and client: each of " +
      FormatCount(data.parameters) + " coordinates once down and once up as float32.";
  return HtmlSection(
      kQuestionBytes, answer,
      Draw(chart) + HtmlCaption("<span class=\"key floor-key\"></span> floor. State, assignment, "
                                "plan and payload, without framing; training rounds of the main "
                                "method."),
      HtmlTable({"", "sent", "floor", "ratio"},
                {{{"down", bytes(down), bytes(floor_down), ratio(down, floor_down)}},
                 {{"up", bytes(up), bytes(floor_up), ratio(up, floor_up)}},
                 {{"both", bytes(down + up), bytes(floor_down + floor_up),
                   ratio(down + up, floor_down + floor_up)}}}));
}

}  // namespace fedmeta

#include "fedmeta/records/progress_text.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <set>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/text.h"
#include "fedmeta/records/record_text.h"
#include "fedmeta/records/words.h"

namespace fedmeta {
namespace {

constexpr std::size_t kSmallestBar = 10, kLargestBar = 30;
constexpr std::size_t kNamedClients = 3;
/// A live federation shows no quantiles over fewer.
constexpr std::size_t kDisclosing = 10;

std::string PadLeft(const std::string& text, std::size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}
std::string PadRight(const std::string& text, std::size_t width) {
  return text.size() >= width ? text : text + std::string(width - text.size(), ' ');
}

std::string Percent(double share) { return Fixed(100 * share, 1); }
double Mean(double sum, double count) {
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

std::string Rate(double rounds_per_second) {
  if (rounds_per_second <= 0) return {};
  if (rounds_per_second < 0.1) return FormatDuration(1 / rounds_per_second) + " a round";
  return Fixed(rounds_per_second, rounds_per_second < 10 ? 1 : 0) + " round/s";
}

/// The fields of a round's line; a name says which may be left out where space is short.
struct RoundFields {
  std::string position, rate, left, loss, accuracy, reported;
};
RoundFields MakeRoundFields(const LegProgress& progress, const RoundRecord& record,
                            bool classification) {
  const std::string rounds = std::to_string(progress.rounds);
  RoundFields fields;
  fields.position = (progress.leg.empty() ? std::string() : progress.leg + " ") + "round " +
                    PadLeft(std::to_string(record.round), rounds.size()) + "/" + rounds;
  fields.rate = Rate(progress.rounds_per_second);
  if (progress.seconds_left > 0) fields.left = FormatDuration(progress.seconds_left) + " left";
  fields.loss = "loss " + Fixed(TrainingLoss(record.metrics), 3);
  if (classification)
    fields.accuracy = "accuracy " + Percent(TrainingAccuracy(record.metrics)) + " %";
  fields.reported = std::to_string(record.reported.size()) + "/" +
                    std::to_string(record.cohort.size()) + " reported";
  return fields;
}

std::string JoinFields(std::initializer_list<std::string> fields, std::string_view separator) {
  std::vector<std::string> present;
  for (const std::string& field : fields)
    if (!field.empty()) present.push_back(field);
  return Join(present, separator);
}

/// "site-3 dropped (upload: connection lost); and 2 more".
std::string DroppedText(const RoundRecord& record) {
  std::string text;
  for (std::size_t i = 0; i < std::min(kNamedClients, record.dropped.size()); ++i) {
    const DroppedClient& dropped = record.dropped[i];
    text += (i > 0 ? "; " : "") + dropped.client + " dropped (" +
            JoinFields({dropped.phase, dropped.reason}, ": ") + ")";
  }
  if (record.dropped.size() > kNamedClients)
    text += "; and " + std::to_string(record.dropped.size() - kNamedClients) + " more";
  return text;
}

std::string Bar(double share, std::size_t width) {
  const auto filled = static_cast<std::size_t>(
      std::llround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
  std::string bar(filled, '=');
  if (filled < width) bar += '>';
  return "[" + PadRight(bar, width) + "]";
}

/// Cells of one number of shots and steps differ in their learning rate only.
const EvaluationCell* ChooseCell(const EvaluationRecord& record, std::uint32_t shots,
                                 std::uint32_t steps, bool classification) {
  const EvaluationCell* best = nullptr;
  double best_score = 0;
  for (const EvaluationCell& cell : record.cells) {
    if (cell.shots != shots || cell.steps != steps || cell.sums.clients <= 0) continue;
    const double score = classification ? cell.sums.mean_correct / cell.sums.clients
                                        : -cell.sums.mean_loss / cell.sums.clients;
    if (best == nullptr || score > best_score) {
      best = &cell;
      best_score = score;
    }
  }
  return best;
}
const EvaluationCell* FindCell(const EvaluationRecord& record, const EvaluationCell& like) {
  for (const EvaluationCell& cell : record.cells)
    if (cell.shots == like.shots && cell.steps == like.steps &&
        cell.learning_rate == like.learning_rate)
      return &cell;
  return nullptr;
}

double ClientMean(const EvaluationCell& cell, bool classification) {
  return Mean(classification ? cell.sums.mean_correct : cell.sums.mean_loss, cell.sums.clients);
}

/// Mean over the worst tenth of the disclosing clients, at least one; NaN where they are too few to
/// show.
double Worst(const RunHeading& heading, std::span<const EvaluationRecord> records,
             const EvaluationCell& like) {
  std::vector<double> values;
  for (const EvaluationRecord& record : records) {
    const EvaluationCell* cell = record.client.empty() ? nullptr : FindCell(record, like);
    if (cell != nullptr && cell->sums.clients > 0)
      values.push_back(ClientMean(*cell, heading.classification));
  }
  if (values.empty() || (heading.live && values.size() < kDisclosing))
    return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  if (!heading.classification) std::reverse(values.begin(), values.end());
  const std::size_t worst = std::max<std::size_t>(1, values.size() / 10);
  double sum = 0;
  for (std::size_t i = 0; i < worst; ++i) sum += values[i];
  return sum / static_cast<double>(worst);
}

/// As many of the columns as fit: always the first and the last, evenly spread between.
std::vector<std::size_t> ColumnsThatFit(std::size_t columns, std::size_t room) {
  const std::size_t shown = std::max<std::size_t>(1, std::min(columns, room));
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < shown; ++i)
    chosen.push_back(shown == 1 ? columns - 1 : i * (columns - 1) / (shown - 1));
  return chosen;
}

}  // namespace

std::vector<std::string> HeadingLines(const RunHeading& heading, const std::string& machine,
                                      std::size_t width) {
  std::string clients = Counted(heading.clients, "client", "clients");
  if (heading.holdout_clients > 0)
    clients += " (" + FormatCount(heading.holdout_clients) + " held out)";
  clients += ", " + FormatCount(heading.cohort) + " a round";
  std::vector<std::string> parts = {
      heading.experiment, heading.model + ", " + FormatCount(heading.parameters) + " parameters",
      heading.algorithm, clients, "seed " + std::to_string(heading.seed)};
  if (!heading.compression.empty()) parts.push_back("compressed: " + heading.compression);
  std::vector<std::string> lines(1);
  for (const std::string& part : parts) {
    if (lines.back().empty()) {
      lines.back() = part;
    } else if (lines.back().size() + 3 + part.size() <= width) {
      lines.back() += "   " + part;
    } else {
      lines.push_back("  " + part);
    }
  }
  if (!heading.robust_aggregation.empty())
    lines.push_back("  updates  individual updates visible, aggregated by " +
                    heading.robust_aggregation);
  if (!machine.empty()) lines.push_back("  machine  " + machine);
  if (!heading.out.empty()) lines.push_back("  out      " + heading.out);
  return lines;
}

std::string PlainRound(const LegProgress& progress, const RoundRecord& record,
                       bool classification) {
  const RoundFields f = MakeRoundFields(progress, record, classification);
  return JoinFields(
      {f.position, f.rate, f.left, f.loss, f.accuracy, f.reported, DroppedText(record)}, "  ");
}

std::string TerminalRound(const LegProgress& progress, const RoundRecord& record,
                          bool classification, std::size_t width) {
  const RoundFields f = MakeRoundFields(progress, record, classification);
  const std::string short_accuracy =
      f.accuracy.empty() ? f.accuracy : f.accuracy.substr(std::string("accuracy ").size());
  const double share = progress.rounds == 0 ? 1
                                            : static_cast<double>(record.round) /
                                                  static_cast<double>(progress.rounds);
  // Ever fewer fields; "\n" marks where the bar goes.
  const std::string layouts[] = {
      JoinFields({f.position + "\n", f.rate, f.left, f.loss, f.accuracy, f.reported}, "   "),
      JoinFields({f.position + "\n", f.rate, f.left, f.loss, short_accuracy, f.reported}, "  "),
      JoinFields({f.position + "\n", f.left, f.loss, short_accuracy, f.reported}, "  "),
      JoinFields({f.position, f.left, f.loss, short_accuracy}, "  "),
      JoinFields({f.position, f.loss}, "  ")};
  for (const std::string& layout : layouts) {
    const std::size_t mark = layout.find('\n');
    const std::size_t taken = mark == std::string::npos ? layout.size() : layout.size() - 1 + 3;
    const std::size_t needed = mark == std::string::npos ? taken : taken + kSmallestBar;
    if (needed > width) continue;
    if (mark == std::string::npos) return layout;
    return layout.substr(0, mark) + " " + Bar(share, std::min(kLargestBar, width - taken)) +
           layout.substr(mark + 1);
  }
  return f.position.substr(0, width);
}

std::string RoundIncident(const LegProgress& progress, const RoundRecord& record) {
  const std::string round = (progress.leg.empty() ? std::string() : progress.leg + " ") + "round " +
                            std::to_string(record.round) + "   ";
  if (!record.committed)
    return round + "attempt " + std::to_string(record.attempt) + " abandoned: " + record.reason;
  if (record.dropped.empty()) return {};
  return round + DroppedText(record) + " -> closed with the exact sum of " +
         std::to_string(record.reported.size());
}

EvaluationFigures MakeEvaluationFigures(const RunHeading& heading,
                                        std::span<const EvaluationRecord> records,
                                        const EvaluationRecord* validation,
                                        const LegProgress& progress) {
  EvaluationFigures figures;
  const auto sum = std::find_if(records.begin(), records.end(), [](const EvaluationRecord& record) {
    return record.client.empty();
  });
  if (sum == records.end() || sum->cells.empty()) return figures;
  const bool classification = heading.classification;
  std::set<std::uint32_t> shots, steps;
  double clients = 0;
  for (const EvaluationCell& cell : sum->cells) {
    shots.insert(cell.shots);
    steps.insert(cell.steps);
    clients = std::max(clients, cell.sums.clients);
  }
  figures.steps.assign(steps.begin(), steps.end());
  const bool held_out = sum->holdout && heading.holdout_clients > 0;
  const auto count = static_cast<std::uint64_t>(std::llround(clients));
  const std::string clients_text = held_out ? Counted(count, "held-out client", "held-out clients")
                                            : Counted(count, "client", "clients");
  figures.title = (progress.leg.empty() ? "evaluation" : progress.leg) + ", " + clients_text;
  figures.long_title =
      "evaluation of " + sum->leg + ", round " + std::to_string(sum->round) + ", " + clients_text;
  for (const std::uint32_t shot : shots) {
    const std::string suffix =
        shots.size() > 1 ? ", " + Counted(shot, "example", "examples") : std::string();
    EvaluationFigures::Row mean{classification ? "accuracy mean" + suffix : "loss mean" + suffix,
                                {}};
    EvaluationFigures::Row worst{(count < kDisclosing ? "worst client" : "worst decile") + suffix,
                                 {}};
    bool has_worst = false;
    for (const std::uint32_t step : figures.steps) {
      const EvaluationCell* chosen =
          ChooseCell(validation == nullptr ? *sum : *validation, shot, step, classification);
      const EvaluationCell* cell = chosen == nullptr ? nullptr : FindCell(*sum, *chosen);
      const double value = cell == nullptr ? std::numeric_limits<double>::quiet_NaN()
                                           : ClientMean(*cell, classification);
      const double low = cell == nullptr ? std::numeric_limits<double>::quiet_NaN()
                                         : Worst(heading, records, *cell);
      has_worst = has_worst || std::isfinite(low);
      mean.values.push_back(classification ? Percent(value) : Fixed(value, 3));
      worst.values.push_back(classification ? Percent(low) : Fixed(low, 3));
    }
    figures.rows.push_back(std::move(mean));
    if (has_worst) figures.rows.push_back(std::move(worst));
  }
  return figures;
}

std::vector<std::string> EvaluationTable(const EvaluationFigures& figures, std::size_t width) {
  constexpr std::size_t kLabel = 34, kColumn = 7;
  constexpr std::string_view kSteps = "steps:";
  const std::vector<std::size_t> columns = ColumnsThatFit(
      figures.steps.size(), (width - std::min(width, kLabel + kSteps.size())) / kColumn);
  std::vector<std::string> lines = {figures.title};
  if (figures.title.size() >= kLabel) lines.emplace_back();
  lines.back() = PadRight(lines.back(), kLabel) + std::string(kSteps);
  for (const std::size_t column : columns)
    lines.back() += PadLeft(std::to_string(figures.steps[column]), kColumn);
  for (const EvaluationFigures::Row& row : figures.rows) {
    lines.push_back(PadRight("  " + row.label, kLabel + kSteps.size()));
    for (const std::size_t column : columns) lines.back() += PadLeft(row.values[column], kColumn);
  }
  return lines;
}

std::string EvaluationLine(const EvaluationFigures& figures) {
  std::vector<std::string> steps;
  for (const std::uint32_t step : figures.steps) steps.push_back(std::to_string(step));
  std::string line = figures.long_title + "  steps " + Join(steps, "/");
  for (const EvaluationFigures::Row& row : figures.rows)
    line += "  " + row.label + " " + Join(row.values, "/");
  return line;
}

std::vector<std::string> ComparisonTable(const RunHeading& heading, const RunSummary& summary) {
  std::set<std::uint32_t> shots, steps;
  bool tuned = false;
  for (const FinalCell& cell : summary.main.cells) {
    shots.insert(cell.shots);
    if (!cell.tuned) steps.insert(cell.steps);
    tuned = tuned || cell.tuned;
  }
  std::vector<std::string> lines;
  constexpr std::size_t kLabel = 28, kColumn = 10;
  // Four step counts and the tuned one fit into 80 columns.
  const std::vector<std::uint32_t> all(steps.begin(), steps.end());
  std::vector<std::uint32_t> shown;
  if (!all.empty())
    for (const std::size_t column : ColumnsThatFit(all.size(), 4)) shown.push_back(all[column]);
  for (const std::uint32_t shot : shots) {
    const std::string clients =
        summary.main.cells.empty()
            ? std::string()
            : Counted(summary.main.cells.front().clients,
                      heading.holdout_clients > 0 ? "held-out client" : "client",
                      heading.holdout_clients > 0 ? "held-out clients" : "clients");
    lines.push_back(clients + ", " + ShotsText(shot, heading.shots_of));
    lines.push_back(PadRight(heading.classification ? "  accuracy after" : "  loss after", kLabel));
    for (const std::uint32_t step : shown)
      lines.back() += PadLeft(std::to_string(step) + (step == 1 ? " step" : " steps"), kColumn);
    if (tuned) lines.back() += PadLeft("tuned", kColumn);
    const auto add = [&](const std::string& name, const MethodSummary& method) {
      lines.push_back(PadRight("  " + name, kLabel));
      const auto value = [&](bool want_tuned, std::uint32_t step) -> std::string {
        for (const FinalCell& cell : method.cells)
          if (cell.shots == shot && cell.tuned == want_tuned && (want_tuned || cell.steps == step))
            return heading.classification ? Percent(cell.accuracy_mean) : Fixed(cell.loss_mean, 3);
        return "-";
      };
      for (const std::uint32_t step : shown) lines.back() += PadLeft(value(false, step), kColumn);
      if (tuned) lines.back() += PadLeft(value(true, 0), kColumn);
    };
    for (const MethodSummary& baseline : summary.baselines)
      add(MethodName(baseline.method), baseline);
    add("fedmeta (" + MethodName(summary.main.method) + ")", summary.main);
  }
  return lines;
}

std::vector<std::string> ClosingLines(const RunHeading& heading, const RunSummary& summary,
                                      std::size_t width) {
  const bool completed = summary.status == RunStatus::kCompleted;
  std::string done = (completed ? "done in " : "ended after ") + FormatDuration(summary.wall_s) +
                     ": " + RunStatusName(summary.status);
  if (!summary.reason.empty()) done += " (" + summary.reason + ")";
  done += ", " + Counted(summary.rounds, "round", "rounds") + ", " +
          Counted(summary.reports, "report", "reports") + ", " + FormatCount(summary.dropped) +
          " dropped";
  if (summary.main.best_round > 0)
    done += "; best: round " + std::to_string(summary.main.best_round);
  std::vector<std::string> lines = {done};
  if (heading.out.empty()) return lines;
  const std::string look = "  look   fedmeta report " + heading.out;
  const std::string use =
      "use   python3 " + (std::filesystem::path(heading.out) / "load.py").string();
  if (look.size() + 8 + use.size() <= width) {
    lines.push_back(look + "        " + use);
  } else {
    lines.push_back(look);
    lines.push_back("  " + use);
  }
  return lines;
}

}  // namespace fedmeta

#include "fedmeta/records/progress.h"

#include <map>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fedmeta/core/text.h"
#include "fedmeta/records/progress_text.h"

namespace fedmeta {
namespace {

/// A terminal need not be redrawn more often.
constexpr Duration kRedraw{100};

std::size_t TerminalWidth(std::FILE* out) {
  constexpr std::size_t kUsual = 80;
  winsize size{};
  if (::ioctl(::fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

/// What both displays know of the run so far. Output that fails (a closed pipe) does not end a run.
class ProgressDisplay : public RunObserver {
 public:
  ProgressDisplay(std::FILE* out, std::string machine, const Clock& clock)
      : out_(out), machine_(std::move(machine)), clock_(clock) {}

  Status Started(const RunHeading& heading) override {
    heading_ = heading;
    for (const std::string& line : HeadingLines(heading, machine_, Width())) PrintLine(line);
    return {};
  }

  Status LegStarted(const std::string& leg, const std::string& method,
                    std::uint64_t rounds) override {
    progress_ = {first_leg_ ? std::string() : leg, rounds, 0, 0};
    first_leg_ = false;
    leg_began_ = clock_.Now();
    rounds_done_ = 0;
    if (rounds == 0 && !telling_history_)
      PrintLine(leg + (leg == method ? std::string() : " (" + method + ")") +
                ": nothing to train, evaluated only");
    return {};
  }

  Status RoundDone(const RoundRecord& record) override {
    if (telling_history_) return {};
    if (record.committed) ++rounds_done_;
    const double elapsed = Seconds(clock_.Now() - leg_began_);
    progress_.rounds_per_second = elapsed > 0 ? static_cast<double>(rounds_done_) / elapsed : 0;
    progress_.seconds_left =
        progress_.rounds_per_second > 0 && record.round < progress_.rounds
            ? static_cast<double>(progress_.rounds - record.round) / progress_.rounds_per_second
            : 0;
    ShowRound(record);
    return {};
  }

  Status Evaluated(std::span<const EvaluationRecord> records) override {
    if (records.empty()) return {};
    const std::string& leg = records.front().leg;
    if (!records.front().holdout) {
      // Shown are the figures of the test part, at the rates that validation prefers.
      for (const EvaluationRecord& record : records)
        if (record.client.empty()) validation_[leg] = record;
      return {};
    }
    if (telling_history_) return {};
    const auto validation = validation_.find(leg);
    const EvaluationFigures figures = MakeEvaluationFigures(
        heading_, records, validation == validation_.end() ? nullptr : &validation->second,
        progress_);
    if (!figures.rows.empty()) ShowEvaluation(figures);
    return {};
  }

  Status Checkpoint(const std::string&, const StateLayout&, std::span<const float>,
                    const std::map<std::string, std::string>&) override {
    return {};
  }

  Status HistoryBegins() override {
    telling_history_ = true;
    return {};
  }

  Status HistoryEnds(const std::string& leg, std::uint64_t rounds) override {
    telling_history_ = false;
    leg_began_ = clock_.Now();
    PrintLine("resumed after " + FormatCount(rounds) + " rounds of " + leg);
    return {};
  }

  Status Paused(const RunSummary&) override { return {}; }  // noted

  Status Note(const std::string& text) override {
    if (telling_history_) return {};
    PrintLine(text);
    return {};
  }

  Status Finished(const RunSummary& summary) override {
    if (!summary.main.cells.empty())
      for (const std::string& line : ComparisonTable(heading_, summary)) PrintLine(line);
    for (const std::string& line : ClosingLines(heading_, summary, Width())) PrintLine(line);
    return {};
  }

 protected:
  virtual std::size_t Width() const = 0;
  virtual void PrintLine(const std::string& line) = 0;
  virtual void ShowRound(const RoundRecord& record) = 0;
  virtual void ShowEvaluation(const EvaluationFigures& figures) = 0;

  std::FILE* const out_;
  const std::string machine_;
  const Clock& clock_;
  RunHeading heading_;
  LegProgress progress_;

 private:
  bool first_leg_ = true;
  TimePoint leg_began_{};
  std::uint64_t rounds_done_ = 0;
  bool telling_history_ = false;
  std::map<std::string, EvaluationRecord> validation_;  // by leg: the latest sum
};

/// For files and pipes: whole lines, the time first.
class PlainDisplay final : public ProgressDisplay {
 public:
  using ProgressDisplay::ProgressDisplay;

 private:
  std::size_t Width() const override { return static_cast<std::size_t>(-1); }
  void PrintLine(const std::string& line) override {
    std::fprintf(out_, "%s %s\n", FormatUtc(clock_.Wall()).c_str(), line.c_str());
    std::fflush(out_);
  }
  void ShowRound(const RoundRecord& record) override {
    PrintLine(record.committed ? PlainRound(progress_, record, heading_.classification)
                               : RoundIncident(progress_, record));
  }
  void ShowEvaluation(const EvaluationFigures& figures) override {
    PrintLine(EvaluationLine(figures));
  }
};

/// One line that moves at the bottom; everything else scrolls away above it.
class TerminalDisplay final : public ProgressDisplay {
 public:
  using ProgressDisplay::ProgressDisplay;

 private:
  std::size_t Width() const override { return TerminalWidth(out_); }
  void PrintLine(const std::string& line) override {
    std::fprintf(out_, "%s%s\n", Erase(), line.c_str());
    Redraw();
  }
  void ShowRound(const RoundRecord& record) override {
    const std::string incident = RoundIncident(progress_, record);
    // A full last column would wrap, and the line could not be taken back.
    if (record.committed)
      moving_ = TerminalRound(progress_, record, heading_.classification, Width() - 1);
    if (!incident.empty()) return PrintLine(incident);
    const TimePoint now = clock_.Now();
    const bool last = record.round >= progress_.rounds;
    if (drawn_ && !last && now - last_draw_ < kRedraw) return;
    last_draw_ = now;
    std::fputs(Erase(), out_);
    Redraw();
    if (last) Settle();
  }
  void ShowEvaluation(const EvaluationFigures& figures) override {
    for (const std::string& line : EvaluationTable(figures, Width())) PrintLine(line);
  }

  const char* Erase() const { return drawn_ ? "\r\x1b[K" : ""; }
  void Redraw() {
    std::fputs(moving_.c_str(), out_);
    drawn_ = !moving_.empty();
    std::fflush(out_);
  }
  /// The leg is over: its last line stays.
  void Settle() {
    std::fputs("\n", out_);
    std::fflush(out_);
    moving_.clear();
    drawn_ = false;
  }

  std::string moving_;
  bool drawn_ = false;
  TimePoint last_draw_{};
};

}  // namespace

std::unique_ptr<RunObserver> MakeProgressDisplay(std::FILE* out, bool is_terminal,
                                                 const std::string& machine, const Clock& clock) {
  if (is_terminal) return std::make_unique<TerminalDisplay>(out, machine, clock);
  return std::make_unique<PlainDisplay>(out, machine, clock);
}

}  // namespace fedmeta

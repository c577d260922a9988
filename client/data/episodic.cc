#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/client/data/example_set.h"
#include "fedmeta/client/data/factories.h"

namespace fedmeta {
namespace {

enum class Rotations : std::uint8_t { kNone, kClasses, kRandom };

constexpr unsigned kTurns = 4;

// Moves a uniformly drawn one of items[from ..] to items[from].
template <typename T>
T& DrawNext(std::vector<T>& items, std::size_t from, Rng& rng) {
  std::swap(items[from], items[from + rng.Below(items.size() - from)]);
  return items[from];
}

class EpisodicTasks final : public TaskGenerator {
 public:
  EpisodicTasks(const v1::EpisodicSettings& settings, Rotations rotations, DatasetView view)
      : ways_(settings.ways()),
        shots_(settings.shots()),
        queries_(settings.queries()),
        rotations_(rotations),
        view_(std::move(view)),
        held_(ListClasses(view_)) {}

  Status CanDraw(DataPart part, std::int64_t shots) const override {
    if (shots < 0) {
      return Error(ErrorCode::kInvalidArgument,
                   "shots must be at least 0, got " + std::to_string(shots));
    }
    const std::size_t needed = Shots(shots) + queries_;
    const std::size_t usable = UsableClasses(needed).size();
    if (usable * TurnsAsClasses(part) >= ways_) return {};
    return Error(ErrorCode::kInvalidArgument,
                 std::to_string(ways_) + " ways of " + std::to_string(Shots(shots)) +
                     " shots and " + std::to_string(queries_) + " queries need " +
                     std::to_string(ways_) + " classes of at least " + std::to_string(needed) +
                     " examples, this client has fewer" +
                     (TurnsAsClasses(part) > 1 ? ", 4 turns of each included" : ""));
  }

  // Classes first, then the queries of all of them, then shot by shot: an episode with more shots
  // has the same queries and the support of one with fewer, as long as the same classes are usable.
  Result<TaskExamples> Draw(DataPart part, std::int64_t shots, Rng& rng) override {
    FEDMETA_RETURN_IF_ERROR(CanDraw(part, shots));
    const std::size_t support = Shots(shots);
    std::vector<Way> drawn = DrawWays(part, support + queries_, rng);
    for (Way& way : drawn) {
      for (std::size_t i = 0; i < queries_; ++i) DrawNext(way.rows, i, rng);
    }
    for (std::size_t i = queries_; i < queries_ + support; ++i) {
      for (Way& way : drawn) DrawNext(way.rows, i, rng);
    }
    std::vector<std::uint32_t> adapted_on;
    for (const Way& way : drawn) {
      const auto first = way.rows.begin() + static_cast<std::ptrdiff_t>(queries_);
      adapted_on.insert(adapted_on.end(), first, first + static_cast<std::ptrdiff_t>(support));
    }
    const std::shared_ptr<const Dataset> dataset = Fitted(view_.dataset, adapted_on);
    TaskExamples task{.support = EmptyExamples(*dataset, ways_ * support),
                      .query = EmptyExamples(*dataset, ways_ * queries_)};
    for (std::size_t label = 0; label < ways_; ++label) {
      const Way& way = drawn[label];
      task.codes.push_back(CodeOfRow(way.rows.front()));
      for (std::size_t i = 0; i < queries_ + support; ++i) {
        AppendExample(*dataset, way.rows[i], static_cast<std::int64_t>(label), way.turns,
                      i < queries_ ? task.query : task.support);
        if (i >= queries_) {
          task.support_rows.push_back({way.rows[i], static_cast<std::int64_t>(label)});
        }
      }
    }
    task.dataset = dataset;
    return task;
  }

  // Upright, whatever the rotations: a client's codes name its classes, not their turns.
  Result<ExampleSet> TrainingExamples(Rng&) override {
    const std::shared_ptr<const Dataset> dataset = Fitted(view_.dataset, *view_.rows);
    ExampleSet all = EmptyExamples(*dataset, view_.size());
    for (std::size_t i = 0; i < view_.size(); ++i) {
      AppendExample(*dataset, (*view_.rows)[i], view_.code(i), 0, all);
    }
    return all;
  }

  TargetKind target_kind() const override { return TargetKind::kClass; }
  std::int64_t task_outputs() const override { return static_cast<std::int64_t>(ways_); }
  bool relabels() const override { return true; }
  std::size_t examples() const override { return view_.size(); }

 private:
  struct Way {
    std::vector<std::uint32_t> rows;
    unsigned turns = 0;
  };

  std::size_t Shots(std::int64_t shots) const {
    return shots > 0 ? static_cast<std::size_t>(shots) : shots_;
  }
  std::int64_t CodeOfRow(std::uint32_t row) const {
    const std::int64_t label = view_.dataset->label(row);
    return view_.code_of.empty() ? label : view_.code_of[static_cast<std::size_t>(label)];
  }
  unsigned TurnsAsClasses(DataPart part) const {
    return rotations_ == Rotations::kClasses && part == DataPart::kTrain ? kTurns : 1;
  }
  std::vector<std::size_t> UsableClasses(std::size_t needed) const {
    std::vector<std::size_t> usable;
    for (const std::size_t c : held_.classes) {
      if (held_.rows->of(c).size() >= needed) usable.push_back(c);
    }
    return usable;
  }

  std::vector<Way> DrawWays(DataPart part, std::size_t needed, Rng& rng) const {
    const std::vector<std::size_t> usable = UsableClasses(needed);
    const unsigned turns = TurnsAsClasses(part);
    std::vector<std::size_t> choices(usable.size() * turns);
    std::iota(choices.begin(), choices.end(), std::size_t{0});
    std::vector<Way> drawn(ways_);
    for (std::size_t way = 0; way < ways_; ++way) {
      const std::size_t choice = DrawNext(choices, way, rng);
      const std::span<const std::uint32_t> rows = held_.rows->of(usable[choice / turns]);
      drawn[way].rows.assign(rows.begin(), rows.end());
      drawn[way].turns = rotations_ == Rotations::kRandom ? static_cast<unsigned>(rng.Below(kTurns))
                                                          : static_cast<unsigned>(choice % turns);
    }
    return drawn;
  }

  std::size_t ways_;
  std::size_t shots_;
  std::size_t queries_;
  Rotations rotations_;
  DatasetView view_;
  ClassesOfView held_;
};

}  // namespace

Result<std::unique_ptr<TaskGenerator>> CreateEpisodic(const v1::EpisodicSettings& settings,
                                                      DatasetView view, const std::string&,
                                                      std::uint64_t) {
  if (settings.ways() < 2 || settings.shots() < 1 || settings.queries() < 1) {
    return Error(ErrorCode::kInvalidArgument,
                 "tasks.ways must be at least 2, tasks.shots and tasks.queries at least 1, got " +
                     std::to_string(settings.ways()) + ", " + std::to_string(settings.shots()) +
                     ", " + std::to_string(settings.queries()));
  }
  Rotations rotations = Rotations::kNone;
  if (settings.rotations() == "classes") {
    rotations = Rotations::kClasses;
  } else if (settings.rotations() == "random") {
    rotations = Rotations::kRandom;
  } else if (!settings.rotations().empty() && settings.rotations() != "none") {
    return Error(ErrorCode::kInvalidArgument,
                 "tasks.rotations must be none, classes or random, "
                 "got '" +
                     settings.rotations() + "'");
  }
  if (!view.dataset->groups().empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "tasks.name episodic may draw records of one person on both sides, but this data "
                 "has groups; use split");
  }
  const std::vector<std::int64_t>& shape = view.dataset->example_shape();
  if (rotations != Rotations::kNone &&
      (shape.size() < 2 || shape[shape.size() - 1] != shape[shape.size() - 2])) {
    return Error(ErrorCode::kInvalidArgument,
                 "tasks.rotations '" + settings.rotations() + "' needs square images");
  }
  return std::unique_ptr<TaskGenerator>(
      std::make_unique<EpisodicTasks>(settings, rotations, std::move(view)));
}

}  // namespace fedmeta

#include <cmath>
#include <string>

#include "fedmeta/client/data/factories.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

// So that a mistyped number of shots is refused and not allocated.
constexpr std::int64_t kMostPoints = 1'000'000;

struct Wave {
  double amplitude;
  double phase;
};

Wave DrawWave(const v1::SinusoidSettings& settings, Rng& rng) {
  const double amplitude = rng.Uniform(settings.amplitude_minimum(), settings.amplitude_maximum());
  return {.amplitude = amplitude, .phase = rng.Uniform(0, settings.phase_maximum())};
}

class SinusoidTasks final : public TaskGenerator {
 public:
  SinusoidTasks(const v1::SinusoidSettings& source, const v1::RegressionSettings& tasks,
                const std::string& client, std::uint64_t seed)
      : source_(source), tasks_(tasks), own_{} {
    if (!source_.per_client()) return;
    Rng rng({.seed = seed, .purpose = "sinusoid", .client = client});
    own_ = DrawWave(source_, rng);
  }

  Status CanDraw(DataPart, std::int64_t shots) const override {
    if (shots >= 0 && shots <= kMostPoints) return {};
    return Error(ErrorCode::kInvalidArgument, "shots must be between 0 and " +
                                                  FormatCount(kMostPoints) + ", got " +
                                                  std::to_string(shots));
  }

  // The query points come first, so that they do not depend on `shots`, and the points of fewer
  // shots are the first of those of more.
  Result<TaskExamples> Draw(DataPart part, std::int64_t shots, Rng& rng) override {
    FEDMETA_RETURN_IF_ERROR(CanDraw(part, shots));
    const Wave wave = source_.per_client() ? own_ : DrawWave(source_, rng);
    TaskExamples task;
    task.query = DrawPoints(wave, tasks_.queries() > 0 ? tasks_.queries() : tasks_.shots(), rng);
    task.support =
        DrawPoints(wave, shots > 0 ? static_cast<std::size_t>(shots) : tasks_.shots(), rng);
    return task;
  }

  // The points of one training task, support and query.
  Result<ExampleSet> TrainingExamples(Rng& rng) override {
    FEDMETA_ASSIGN_OR_RETURN(TaskExamples task, Draw(DataPart::kTrain, 0, rng));
    ExampleSet all = std::move(task.support);
    all.count += task.query.count;
    all.inputs.insert(all.inputs.end(), task.query.inputs.begin(), task.query.inputs.end());
    all.targets.insert(all.targets.end(), task.query.targets.begin(), task.query.targets.end());
    return all;
  }

  TargetKind target_kind() const override { return TargetKind::kReal; }
  std::int64_t task_outputs() const override { return 1; }
  std::size_t examples() const override { return 0; }

 private:
  ExampleSet DrawPoints(const Wave& wave, std::size_t count, Rng& rng) const {
    ExampleSet points;
    points.example_shape = {1};
    points.count = count;
    points.inputs.reserve(count);
    points.targets.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      // y belongs to the x that the model sees, which is a float.
      const auto x = static_cast<float>(rng.Uniform(-source_.range(), source_.range()));
      points.inputs.push_back(x);
      points.targets.push_back(
          static_cast<float>(wave.amplitude * std::sin(static_cast<double>(x) - wave.phase)));
    }
    return points;
  }

  v1::SinusoidSettings source_;
  v1::RegressionSettings tasks_;
  Wave own_;  // with per_client
};

Result<std::unique_ptr<TaskGenerator>> MakeSinusoidTasks(const v1::SinusoidSettings& source,
                                                         const v1::Plugin& tasks,
                                                         const std::string& client,
                                                         std::uint64_t seed) {
  v1::RegressionSettings settings;
  if (tasks.name() != "regression" || !tasks.settings().UnpackTo(&settings)) {
    return Error(ErrorCode::kInvalidArgument, "tasks.name '" + tasks.name() +
                                                  "' does not fit source sinusoid; use "
                                                  "{name: regression}");
  }
  if (settings.shots() < 1 || settings.shots() > kMostPoints || settings.queries() > kMostPoints) {
    return Error(ErrorCode::kInvalidArgument,
                 "tasks.shots must be between 1 and " + FormatCount(kMostPoints) +
                     " and tasks.queries at most as many, got " + std::to_string(settings.shots()) +
                     " and " + std::to_string(settings.queries()));
  }
  return std::unique_ptr<TaskGenerator>(
      std::make_unique<SinusoidTasks>(source, settings, client, seed));
}

}  // namespace

Result<OpenedSource> OpenSinusoid(const v1::SinusoidSettings& settings) {
  if (settings.amplitude_minimum() > settings.amplitude_maximum()) {
    return Error(ErrorCode::kInvalidArgument, "source.amplitude_minimum " +
                                                  FormatNumber(settings.amplitude_minimum()) +
                                                  " is above source.amplitude_maximum " +
                                                  FormatNumber(settings.amplitude_maximum()));
  }
  OpenedSource opened;
  opened.input_shape = {1};
  opened.fingerprint =
      Digest::Of("sinusoid " + FormatNumber(settings.amplitude_minimum()) + " " +
                 FormatNumber(settings.amplitude_maximum()) + " " +
                 FormatNumber(settings.phase_maximum()) + " " + FormatNumber(settings.range()) +
                 " " + (settings.per_client() ? "per client" : "per task"));
  opened.generator = [settings](const v1::Plugin& tasks, const std::string& client,
                                std::uint64_t seed) {
    return MakeSinusoidTasks(settings, tasks, client, seed);
  };
  return opened;
}

}  // namespace fedmeta

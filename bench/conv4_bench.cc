// Tasks per second of MAML or FOMAML with conv4 on synthetic 5-way 1-shot tasks of 28 x 28 pixels,
// through MetaLearner::ComputeUpdates:
//   conv4-bench --episode published|pooled --order 1|2 [--threads 2] [--seconds 10]
// The episodes are those of peers/conv4_episode.py. Prints one JSON line.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <CLI/CLI.hpp>

#include "fedmeta/algorithms/meta/libtorch_process.h"
#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/models/model_registry.h"
#include "fedmeta/v1/algorithms.pb.h"
#include "fedmeta/v1/models.pb.h"

namespace fedmeta {
namespace {

constexpr std::int64_t kWays = 5;
constexpr std::size_t kDifferentTasks = 16;

struct Episode {
  bool pooled;
  std::int64_t queries;
  std::uint32_t steps, tasks;
  double rate;
};

Episode FindEpisode(const std::string& name) {
  if (name == "pooled") {
    return {.pooled = true, .queries = 15, .steps = 5, .tasks = 4, .rate = 0.05};
  }
  return {.pooled = false, .queries = 1, .steps = 1, .tasks = 32, .rate = 0.4};
}

class SyntheticTasks final : public TaskSource {
 public:
  explicit SyntheticTasks(std::int64_t queries) {
    for (std::size_t i = 0; i < kDifferentTasks; ++i) {
      tasks_.push_back({.support = Images(1), .query = Images(queries)});
    }
  }
  Result<Task> Draw(Rng& /*rng*/, std::int64_t /*support_per_class*/) override {
    return tasks_[next_++ % tasks_.size()];
  }
  Result<TaskSet> Examples(Rng& /*rng*/) override { return tasks_.front().query; }

 private:
  static TaskSet Images(std::int64_t per_class) {
    return {at::rand({kWays * per_class, 1, 28, 28}),
            at::arange(kWays, at::kLong).repeat_interleave(per_class)};
  }
  std::vector<Task> tasks_;
  std::size_t next_ = 0;
};

Result<std::unique_ptr<Model>> MakeConv4(const Episode& episode) {
  v1::Conv4Settings settings;
  settings.set_filters(64);
  settings.set_downsample(episode.pooled ? "pool" : "stride");
  settings.set_readout(episode.pooled ? "flatten" : "mean");
  settings.set_gamma(episode.pooled);
  v1::Plugin plugin;
  plugin.set_name("conv4");
  plugin.mutable_settings()->PackFrom(settings);
  return MakeModel(BuiltinModels(), plugin, {.input_shape = {1, 28, 28}, .outputs = kWays});
}

template <typename Settings>
Result<std::unique_ptr<MetaLearner>> MakeLearner(const std::string& name, const Episode& episode) {
  Settings settings;
  settings.set_inner_learning_rate(episode.rate);
  settings.set_adaptation_steps(episode.steps);
  settings.set_tasks_per_round(episode.tasks);
  v1::Plugin plugin;
  plugin.set_name(name);
  plugin.mutable_settings()->PackFrom(settings);
  return MakeMetaLearner(BuiltinMetaLearners(), plugin);
}

struct Options {
  std::string episode = "published";
  int order = 2;
  std::size_t threads = 2;
  double seconds = 10;
};

Status Measure(const Options& options) {
  at::manual_seed(1);
  const Episode episode = FindEpisode(options.episode);
  FEDMETA_ASSIGN_OR_RETURN(const auto model, MakeConv4(episode));
  FEDMETA_ASSIGN_OR_RETURN(const auto learner,
                           options.order == 2 ? MakeLearner<v1::MamlSettings>("maml", episode)
                                              : MakeLearner<v1::FomamlSettings>("fomaml", episode));
  const Objective objective(ObjectiveKind::kCrossEntropy);
  WorkerPool pool(options.threads, UseOneLibtorchThread);
  const LearnContext context{.model = *model, .objective = objective, .pool = &pool};
  SyntheticTasks tasks(episode.queries);
  Rng rng({.seed = 1, .purpose = "bench"});
  FEDMETA_ASSIGN_OR_RETURN(std::vector<float> state, learner->InitialState(*model, rng));

  const auto round = [&]() -> Status {
    ClientWork work{.tasks = &tasks, .state = {}, .rng = &rng};
    FEDMETA_ASSIGN_OR_RETURN(const ClientUpdate update,
                             learner->ComputeUpdates(context, state, {&work, 1}).front());
    if (update.metrics.diverged_tasks > 0) {
      return Error(ErrorCode::kFailedPrecondition, "a task diverged: nothing to compare");
    }
    for (std::size_t i = 0; i < state.size(); ++i) state[i] -= 1e-3F * update.update[i];
    return {};
  };
  for (int warm = 0; warm < 2; ++warm) FEDMETA_RETURN_IF_ERROR(round());
  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t cpu_begin = std::clock();
  double elapsed = 0;
  std::size_t rounds = 0;
  do {
    FEDMETA_RETURN_IF_ERROR(round());
    ++rounds;
    elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  } while (elapsed < options.seconds);
  const double cpu = static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC;
  std::printf(
      "{\"tasks_per_second\": %.3f, \"threads\": %zu, \"calls\": %zu, \"seconds\": %.3f, "
      "\"cpu_seconds\": %.3f, "
      "\"episode\": \"%s\", \"order\": %d}\n",
      static_cast<double>(rounds * episode.tasks) / elapsed, options.threads, rounds, elapsed, cpu,
      options.episode.c_str(), options.order);
  return {};
}

}  // namespace
}  // namespace fedmeta

int main(int argc, char** argv) {
  fedmeta::ConfigureAllocator();
  fedmeta::Options options;
  CLI::App app{"Tasks per second of MAML with conv4."};
  app.add_option("--episode", options.episode)->check(CLI::IsMember({"published", "pooled"}));
  app.add_option("--order", options.order)->check(CLI::IsMember({1, 2}));
  app.add_option("--threads", options.threads, "worker threads");
  app.add_option("--seconds", options.seconds);
  CLI11_PARSE(app, argc, argv);
  const fedmeta::Status status = fedmeta::Measure(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "conv4-bench: %s\n", status.error().message().c_str());
  return 1;
}

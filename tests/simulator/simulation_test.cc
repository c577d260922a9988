#include "fedmeta/simulator/simulation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/configs/loader.h"

namespace fedmeta {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

constexpr char kExperiment[] = R"(
name: test
seed: 5
model: {name: mlp, hidden: [8]}
data:
  name: sinusoid
  source: {name: sinusoid}
  tasks: {name: regression, shots: 5, queries: 5}
  partition: {clients: 12, holdout_clients: 3, validation_clients: 2}
algorithm: {name: maml, inner_learning_rate: 0.01, adaptation_steps: 2, tasks_per_round: 3}
server: {optimizer: {name: adam, learning_rate: 0.01}}
federation: {rounds: 6, cohort: 4, minimum_cohort: 2}
evaluation: {every: 3, steps: [0, 1, 4], learning_rates: [0.01, 0.02], episodes: 2, baselines: [{name: local}, {name: fedavg}], select: {metric: loss_mean}}
)";

/// Keeps everything it hears.
class Recorder final : public RunObserver {
 public:
  Status Started(const RunHeading&) override { return {}; }
  Status LegStarted(const std::string& leg, const std::string&, std::uint64_t) override {
    legs.push_back(leg);
    return {};
  }
  Status RoundDone(const RoundRecord& record) override {
    rounds.push_back(record);
    if (on_round && !telling_history) on_round();
    return fail_at && rounds.size() == *fail_at
               ? Status(Error(ErrorCode::kResourceExhausted, "disk full"))
               : Status();
  }
  Status Evaluated(std::span<const EvaluationRecord> records) override {
    evaluations.insert(evaluations.end(), records.begin(), records.end());
    return {};
  }
  Status Checkpoint(const std::string& name, const StateLayout&, std::span<const float> state,
                    const std::map<std::string, std::string>&) override {
    checkpoints[name] = {state.begin(), state.end()};
    return {};
  }
  Status HistoryBegins() override {
    telling_history = true;
    return {};
  }
  Status HistoryEnds(const std::string&, std::uint64_t done) override {
    telling_history = false;
    resumed_after = done;
    return {};
  }
  Status Paused(const RunSummary&) override { return {}; }
  Status Note(const std::string&) override { return {}; }
  Status Finished(const RunSummary& done) override {
    summary = done;
    return {};
  }

  std::vector<std::string> legs;
  std::vector<RoundRecord> rounds;
  std::vector<EvaluationRecord> evaluations;
  std::map<std::string, std::vector<float>> checkpoints;
  std::optional<RunSummary> summary;
  std::optional<std::size_t> fail_at;
  std::function<void()> on_round;
  bool telling_history = false;
  std::optional<std::uint64_t> resumed_after;
};

LearnRegistries Registries() {
  return {.models = BuiltinModels(), .algorithms = BuiltinMetaLearners(), .data = BuiltinData()};
}

Result<RunSummary> Simulate(const std::vector<std::string>& overrides, Recorder& recorder,
                            const LearnRegistries& registries = Registries(),
                            std::stop_token stop = {}, RoundStore* kept = nullptr) {
  const SystemClock clock;
  FEDMETA_ASSIGN_OR_RETURN(
      const auto experiment,
      Loader(BuiltinPluginTables()).ParseExperiment(kExperiment, "test.yaml", overrides));
  FEDMETA_ASSIGN_OR_RETURN(const SimulationData data,
                           OpenSimulationData(*experiment, registries.data, BuiltinPluginTables()));
  FEDMETA_ASSIGN_OR_RETURN(std::vector<Leg> legs, PrepareLegs(*experiment, registries, &data));
  const auto own = MakeMemoryStore();
  RoundStore& store = kept != nullptr ? *kept : *own;
  FEDMETA_ASSIGN_OR_RETURN(OpenedRun run,
                           OpenRun(store, ExperimentId(experiment->name()), Interrupted::kEnd));
  Simulation simulation({.experiment = *experiment,
                         .legs = std::move(legs),
                         .registries = registries,
                         .server = BuiltinServer()},
                        std::move(run), data, store, recorder, clock);
  FEDMETA_RETURN_IF_ERROR(simulation.Check());
  return simulation.Run(stop);
}

TEST(SimulationTest, RunsEveryLegAndEvaluatesOnClientsThatNeverTrain) {
  Recorder recorder;
  const Result<RunSummary> summary = Simulate({}, recorder);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->status, RunStatus::kCompleted);
  EXPECT_EQ(summary->rounds, 6U);
  EXPECT_THAT(recorder.legs, testing::ElementsAre("maml", "local", "fedavg"));
  for (const RoundRecord& round : recorder.rounds) {
    EXPECT_THAT(round.reported, SizeIs(4));
    for (const std::string& client : round.cohort) {
      EXPECT_LE(client, "site-07") << "12 clients less 3 hold-outs and 2 validation clients";
    }
  }
  ASSERT_EQ(summary->baselines.size(), 2U);
  EXPECT_GT(summary->main.cells.size(), 3U);
}

TEST(SimulationTest, GivesTheSameBitsOnOneAndOnTwoThreads) {
  Recorder one;
  Recorder two;
  ASSERT_TRUE(Simulate({"threads=1"}, one).ok());
  ASSERT_TRUE(Simulate({"threads=2"}, two).ok());
  ASSERT_EQ(one.checkpoints.size(), two.checkpoints.size());
  for (const auto& [name, state] : one.checkpoints) {
    const std::vector<float>& other = two.checkpoints.at(name);
    ASSERT_EQ(state.size(), other.size()) << name;
    EXPECT_EQ(std::memcmp(state.data(), other.data(), state.size() * sizeof(float)), 0) << name;
  }
}

TEST(SimulationTest, AnotherSeedGivesAnotherModel) {
  Recorder one;
  Recorder two;
  ASSERT_TRUE(Simulate({}, one).ok());
  ASSERT_TRUE(Simulate({"seed=6"}, two).ok());
  EXPECT_NE(one.checkpoints.at("final"), two.checkpoints.at("final"));
}

TEST(SimulationTest, TrainingLowersTheLossAfterAdaptation) {
  Recorder recorder;
  ASSERT_TRUE(Simulate({"federation.rounds=2000", "evaluation.every=0", "model.hidden=[40, 40]",
                        "server.optimizer.learning_rate=0.002", "evaluation.baselines=[]"},
                       recorder)
                  .ok());
  ASSERT_EQ(recorder.rounds.size(), 2000U);
  const auto mean = [&](std::size_t from, std::size_t to) {
    MetricSums sums;
    for (std::size_t i = from; i < to; ++i) sums.Add(recorder.rounds[i].metrics);
    return sums.query_loss / sums.examples;
  };
  EXPECT_LT(mean(1900, 2000), 0.8 * mean(0, 100));
}

// A client whose update is not finite costs the round that client, never the run.
class NanForOneClient final : public TaskGenerator {
 public:
  explicit NanForOneClient(std::unique_ptr<TaskGenerator> inner) : inner_(std::move(inner)) {}
  Status CanDraw(DataPart part, std::int64_t shots) const override {
    return inner_->CanDraw(part, shots);
  }
  Result<TaskExamples> Draw(DataPart part, std::int64_t shots, Rng& rng) override {
    Result<TaskExamples> examples = inner_->Draw(part, shots, rng);
    if (examples.ok()) {
      for (float& target : examples->support.targets) target = std::nanf("");
    }
    return examples;
  }
  Result<ExampleSet> TrainingExamples(Rng& rng) override { return inner_->TrainingExamples(rng); }
  TargetKind target_kind() const override { return inner_->target_kind(); }
  std::int64_t task_outputs() const override { return inner_->task_outputs(); }
  std::size_t examples() const override { return inner_->examples(); }

 private:
  std::unique_ptr<TaskGenerator> inner_;
};

/// Where the clients that `chosen` names have updates that are not finite.
LearnRegistries RegistriesWithNan(const std::function<bool(const std::string& client)>& chosen) {
  LearnRegistries registries = Registries();
  const SourceFactory builtin = registries.data.sources.at("sinusoid");
  registries.data.sources["sinusoid"] = [builtin, chosen](const google::protobuf::Any& settings) {
    Result<OpenedSource> source = builtin(settings);
    if (!source.ok()) return source;
    source->generator = [inner = source->generator, chosen](
                            const v1::Plugin& tasks, const std::string& client,
                            std::uint64_t seed) -> Result<std::unique_ptr<TaskGenerator>> {
      FEDMETA_ASSIGN_OR_RETURN(auto generator, inner(tasks, client, seed));
      if (chosen(client))
        return std::unique_ptr<TaskGenerator>(new NanForOneClient(std::move(generator)));
      return generator;
    };
    return source;
  };
  return registries;
}

TEST(SimulationTest, AClientWithoutAFiniteUpdateIsDroppedAndNamed) {
  const LearnRegistries registries =
      RegistriesWithNan([](const std::string& client) { return client == "site-02"; });
  Recorder recorder;
  const Result<RunSummary> summary =
      Simulate({"federation.cohort=7", "federation.minimum_cohort=6", "evaluation.baselines=[]"},
               recorder, registries);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->status, RunStatus::kCompleted);
  for (const RoundRecord& round : recorder.rounds) {
    EXPECT_THAT(round.reported, SizeIs(6));
    ASSERT_THAT(round.dropped, SizeIs(1));
    EXPECT_EQ(round.dropped[0].client, "site-02");
  }
}

TEST(SimulationTest, FailsWithFiguresWhenTooFewReport) {
  const LearnRegistries registries = RegistriesWithNan([](const std::string&) { return true; });
  Recorder recorder;
  const Result<RunSummary> summary = Simulate({"federation.retries=1"}, recorder, registries);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->status, RunStatus::kFailed);
  EXPECT_THAT(summary->reason, HasSubstr("0 of 4"));
}

TEST(SimulationTest, AnObserverThatFailsEndsTheRunWithItsReason) {
  Recorder recorder;
  recorder.fail_at = 2;
  const Result<RunSummary> summary = Simulate({}, recorder);
  ASSERT_FALSE(summary.ok());
  EXPECT_THAT(summary.error().message(), HasSubstr("disk full"));
  std::size_t committed = 0;
  for (const RoundRecord& round : recorder.rounds) committed += round.committed ? 1 : 0;
  EXPECT_EQ(committed, 2U) << "nothing is committed after the failure";
}

TEST(SimulationTest, AStopRequestEndsTheRunAsInterruptedWithASummary) {
  std::stop_source stop;
  Recorder recorder;
  recorder.on_round = [&] {
    if (recorder.rounds.size() == 3) stop.request_stop();
  };
  const Result<RunSummary> summary =
      Simulate({"federation.rounds=100000"}, recorder, Registries(), stop.get_token());
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->status, RunStatus::kInterrupted);
  EXPECT_TRUE(recorder.summary.has_value());
}

/// MAML whose updates depend on how often the client was counted before: what it keeps matters.
class Counting final : public MetaLearner {
 public:
  explicit Counting(std::unique_ptr<MetaLearner> inner) : inner_(std::move(inner)) {}
  Result<StateLayout> DescribeState(const Model& model) const override {
    return inner_->DescribeState(model);
  }
  Result<std::vector<float>> InitialState(const Model& model, Rng& rng) const override {
    return inner_->InitialState(model, rng);
  }
  std::vector<Result<ClientUpdate>> ComputeUpdates(const LearnContext& context,
                                                   std::span<const float> state,
                                                   std::span<ClientWork> work) const override {
    auto updates = inner_->ComputeUpdates(context, state, work);
    for (std::size_t i = 0; i < updates.size(); ++i) {
      const std::size_t count = work[i].state.size();  // one byte a round
      for (float& value : updates[i]->update) value += 0.01F * static_cast<float>(count);
      updates[i]->next_state.resize(count + 1);
    }
    return updates;
  }
  Status Adapt(const LearnContext& context, const TaskGradients& gradients,
               std::span<const float> state, const TaskSet& support, const AdaptOptions& options,
               const std::function<void(std::uint32_t, const at::Tensor&)>& visit) const override {
    return inner_->Adapt(context, gradients, state, support, options, visit);
  }
  double default_adaptation_rate() const override { return inner_->default_adaptation_rate(); }

 private:
  std::unique_ptr<MetaLearner> inner_;
};

LearnRegistries CountingRegistries() {
  LearnRegistries registries = Registries();
  const auto builtin = registries.algorithms.at("maml");
  registries.algorithms["maml"] =
      [builtin](const google::protobuf::Any& settings) -> Result<std::unique_ptr<MetaLearner>> {
    FEDMETA_ASSIGN_OR_RETURN(auto learner, builtin(settings));
    return std::unique_ptr<MetaLearner>(new Counting(std::move(learner)));
  };
  return registries;
}

/// Runs that are stopped again and again, after every `rounds` rounds, until the last completes.
void RunInPieces(const LearnRegistries& registries, std::size_t rounds, Recorder& last,
                 const std::vector<std::string>& overrides = {}) {
  const auto store = MakeMemoryStore();
  for (int pieces = 1;; ++pieces) {
    ASSERT_LT(pieces, 50);
    std::stop_source stop;
    std::size_t done = 0;
    last = Recorder();
    last.on_round = [&] {
      if (++done == rounds) stop.request_stop();
    };
    const auto summary = Simulate(overrides, last, registries, stop.get_token(), store.get());
    ASSERT_TRUE(summary.ok()) << summary.error().message();
    if (summary->status == RunStatus::kCompleted) break;
    ASSERT_EQ(summary->status, RunStatus::kInterrupted);
  }
  ASSERT_TRUE(last.resumed_after.has_value());
}

TEST(SimulationTest, ARunInPiecesEqualsTheWholeBitForBit) {
  for (const LearnRegistries& registries : {Registries(), CountingRegistries()}) {
    Recorder whole;
    ASSERT_TRUE(Simulate({}, whole, registries).ok());
    for (const std::size_t rounds : {1, 2, 5}) {
      Recorder pieces;
      RunInPieces(registries, rounds, pieces);
      EXPECT_EQ(pieces.checkpoints, whole.checkpoints) << rounds;
      EXPECT_EQ(pieces.legs, whole.legs);
      EXPECT_EQ(pieces.evaluations.size(), whole.evaluations.size());
      ASSERT_TRUE(pieces.summary && whole.summary);
      EXPECT_EQ(pieces.summary->main.validation_score, whole.summary->main.validation_score);
      EXPECT_EQ(pieces.summary->reports, whole.summary->reports);
    }
  }
}

TEST(SimulationTest, WhatClientsKeepEntersTheirUpdates) {
  Recorder plain, counting;
  ASSERT_TRUE(Simulate({}, plain).ok());
  ASSERT_TRUE(Simulate({}, counting, CountingRegistries()).ok());
  EXPECT_NE(plain.checkpoints.at("final"), counting.checkpoints.at("final"));
}

TEST(SimulationTest, APausedRunEndsAsPaused) {
  LearnRegistries registries = Registries();
  Recorder recorder;
  const Result<RunSummary> summary =
      Simulate({"federation.on_quorum_miss=pause", "federation.cohort=7",
                "algorithm.inner_learning_rate=1e30", "federation.retries=0"},
               recorder, registries);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->status, RunStatus::kPaused);
  EXPECT_THAT(summary->reason, HasSubstr("failed in 1 attempt"));
}

constexpr char kSecure[] = "privacy.secure_aggregation.mode=secure";

TEST(SecureSimulationTest, OpensTheSumOfEachRoundAndNothingElse) {
  Recorder recorder;
  const Result<RunSummary> summary = Simulate({kSecure, "federation.minimum_cohort=3"}, recorder);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->status, RunStatus::kCompleted) << summary->reason;
  ASSERT_FALSE(recorder.rounds.empty());
  for (const RoundRecord& round : recorder.rounds) {
    ASSERT_THAT(round.sessions, SizeIs(1));
    EXPECT_TRUE(round.sessions[0].opened);
    EXPECT_EQ(round.sessions[0].members, round.cohort);
    EXPECT_EQ(round.reported, round.cohort);
  }
  for (const EvaluationRecord& evaluation : recorder.evaluations) {
    EXPECT_EQ(evaluation.client, "") << "no client's own figures";
  }
}

TEST(SecureSimulationTest, LearnsWhatPlainSumsLearnUpToTheStepsOfTheRing) {
  const std::vector<std::string> common = {
      "server.optimizer.name=sgd", "federation.minimum_cohort=3", "evaluation.baselines=[]"};
  Recorder plain;
  const Result<RunSummary> learned = Simulate(common, plain);
  ASSERT_TRUE(learned.ok()) << learned.error().message();
  std::vector<std::string> overrides = common;
  overrides.emplace_back(kSecure);
  Recorder secure;
  ASSERT_TRUE(Simulate(overrides, secure).ok());
  const std::vector<float>& expected = plain.checkpoints.at("final");
  const std::vector<float>& state = secure.checkpoints.at("final");
  ASSERT_EQ(state.size(), expected.size());
  for (std::size_t i = 0; i < state.size(); ++i) EXPECT_NEAR(state[i], expected[i], 1e-4);
  EXPECT_NE(state, expected) << "the ring is coarser than plain sums";
}

TEST(SecureSimulationTest, DealsALargerCohortOutToGroups) {
  Recorder recorder;
  ASSERT_TRUE(Simulate({kSecure, "federation.cohort=7", "federation.minimum_cohort=6",
                        "privacy.secure_aggregation.group_size=5", "evaluation.baselines=[]"},
                       recorder)
                  .ok());
  for (const RoundRecord& round : recorder.rounds) {
    ASSERT_THAT(round.sessions, SizeIs(2));
    EXPECT_THAT(round.sessions[0].members, SizeIs(3));
    EXPECT_THAT(round.sessions[1].members, SizeIs(4));
    EXPECT_THAT(round.reported, SizeIs(7));
  }
}

/// Ten sites whose sums of 40,901 coordinates have noise of 1.3 times the clip, in six rounds.
std::vector<std::string> WithNoise(const std::string& mode) {
  return {kSecure,
          "privacy.differential_privacy={mode: " + mode +
              ", clip: 0.01, noise_multiplier: 1.3, delta: 1e-5}",
          "model.hidden=[200,200]",
          "data.partition={clients: 11, holdout_clients: 1}",
          "federation.cohort=10",
          "federation.minimum_cohort=3",
          "evaluation={every: 1, steps: [1], episodes: 1, learning_rates: [0.01]}",
          "algorithm.tasks_per_round=1",
          "server.optimizer={name: sgd, learning_rate: 1}"};
}

/// Mean square of what the rounds moved the state by, times the square of `clients`: the variance
/// of the released sums, but for the updates themselves, whose part is at most (10 clip)^2 /
/// 40,901, a seven-hundredth of the noise's.
double MeasuredVariance(const Recorder& recorder, double clients) {
  double squares = 0;
  std::size_t count = 0;
  for (std::size_t round = 1;; ++round) {
    const auto before = recorder.checkpoints.find("round-" + std::to_string(round));
    const auto after = recorder.checkpoints.find("round-" + std::to_string(round + 1));
    if (after == recorder.checkpoints.end()) break;
    for (std::size_t i = 0; i < before->second.size(); ++i, ++count)
      squares += std::pow((after->second[i] - before->second[i]) * clients, 2);
  }
  EXPECT_GE(count, 5U * 40'000U);
  return squares / static_cast<double>(count);
}

// 204,505 draws: a standard deviation of the measured variance is 0.3 %, and 2 % are six of them.
TEST(SecureSimulationTest, AMaskedSumInModeCentralHasThePromisedVariance) {
  Recorder recorder;
  const Result<RunSummary> summary = Simulate(WithNoise("central"), recorder);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_NEAR(MeasuredVariance(recorder, 10) / std::pow(1.3 * 0.01, 2), 1, 0.02);
}

TEST(SecureSimulationTest, AMaskedSumInModeDistributedHasThePromisedVariance) {
  Recorder recorder;
  const Result<RunSummary> summary = Simulate(WithNoise("distributed"), recorder);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  // Three of ten may know theirs: the noise of seven is what is promised, and ten add theirs.
  EXPECT_NEAR(MeasuredVariance(recorder, 10) / (std::pow(1.3 * 0.01, 2) * 10 / 7), 1, 0.02);
}

TEST(SecureSimulationTest, EachGroupsSumHasAllOfTheNoiseAndTheRoundCostsOneRelease) {
  for (const std::string mode : {"central", "distributed"}) {
    Recorder recorder;
    std::vector<std::string> overrides = WithNoise(mode);
    overrides.emplace_back("privacy.secure_aggregation.group_size=5");
    const Result<RunSummary> summary = Simulate(overrides, recorder);
    ASSERT_TRUE(summary.ok()) << summary.error().message();
    // Two sums of five members each, of whom one is not counted on in mode distributed.
    const double excess = mode == "central" ? 1 : 5.0 / 4;
    EXPECT_NEAR(MeasuredVariance(recorder, 10) / (std::pow(1.3 * 0.01, 2) * 2 * excess), 1, 0.02)
        << mode;
    EXPECT_THAT(recorder.rounds.front().sessions, SizeIs(2));
    EXPECT_EQ(summary->privacy->releases, 6U);
    EXPECT_EQ(recorder.rounds.back().epsilon, summary->privacy->epsilon);
  }
}

TEST(SecureSimulationTest, ResumedItPaysForWhatWasOpenedAndNoMore) {
  const std::unique_ptr<RoundStore> store = MakeMemoryStore();
  std::vector<std::string> overrides = WithNoise("distributed");
  overrides.emplace_back("model.hidden=[8]");
  Recorder first;
  std::stop_source stop;
  first.on_round = [&] {
    if (first.rounds.size() == 3) stop.request_stop();
  };
  ASSERT_TRUE(Simulate(overrides, first, Registries(), stop.get_token(), store.get()).ok());
  ASSERT_EQ(first.summary->status, RunStatus::kInterrupted);
  Recorder second;
  const Result<RunSummary> summary = Simulate(overrides, second, Registries(), {}, store.get());
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->rounds, 6U);
  EXPECT_EQ(summary->privacy->releases, 6U) << "evaluations are opened too, but cost nothing";
}

TEST(SecureSimulationTest, ASpentBudgetEndsTheRunBeforeTheNextOpening) {
  Recorder recorder;
  std::vector<std::string> overrides = WithNoise("distributed");
  overrides.emplace_back("model.hidden=[8]");
  // 3 rounds cost 6.60 at this noise, 4 cost 7.82.
  overrides.emplace_back("privacy.differential_privacy.budget.epsilon=7");
  const Result<RunSummary> summary = Simulate(overrides, recorder);
  ASSERT_TRUE(summary.ok()) << summary.error().message();
  EXPECT_EQ(summary->status, RunStatus::kBudgetSpent);
  EXPECT_EQ(summary->rounds, 3U);
  EXPECT_EQ(summary->privacy->releases, 3U);
}

TEST(SecureSimulationTest, ANoiseThatTheRingHasNoRoomForIsRefusedBeforeAnythingStarts) {
  Recorder recorder;
  std::vector<std::string> overrides = WithNoise("distributed");
  // The fewest coordinates would have room for it; 40,901 that are rounded have not.
  overrides.emplace_back("privacy.differential_privacy.noise_multiplier=3e5");
  const Result<RunSummary> summary = Simulate(overrides, recorder);
  ASSERT_FALSE(summary.ok());
  EXPECT_THAT(summary.error().message(), HasSubstr("the noise does not fit the ring"));
}

TEST(SecureSimulationTest, RepeatsItselfBitForBit) {
  const std::vector<std::string> overrides = {kSecure, "federation.minimum_cohort=3"};
  Recorder one;
  Recorder two;
  ASSERT_TRUE(Simulate(overrides, one).ok());
  ASSERT_TRUE(Simulate(overrides, two).ok());
  EXPECT_EQ(one.checkpoints, two.checkpoints) << "masks leave no trace in the sum";
}

std::vector<std::string> Compressed(const std::vector<std::string>& more = {}) {
  std::vector<std::string> overrides = {
      "federation.minimum_cohort=3", "federation.compression.fraction=0.3",
      "federation.compression.rotation=true", "federation.compression.download=float16"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return overrides;
}
const std::vector<std::string> kFewBits = {"federation.compression.bits=6"};
const std::vector<std::string> kNarrowRing = {kSecure, "privacy.secure_aggregation.ring_bits=16",
                                              "privacy.secure_aggregation.clip=10"};

TEST(CompressedSimulationTest, ResumesBitForBit) {
  for (const auto& overrides : {Compressed(kFewBits), Compressed(kNarrowRing)}) {
    for (const LearnRegistries& registries : {Registries(), CountingRegistries()}) {
      Recorder whole, pieces;
      const auto summary = Simulate(overrides, whole, registries);
      ASSERT_TRUE(summary.ok()) << summary.error().message();
      ASSERT_EQ(summary->status, RunStatus::kCompleted) << summary->reason;
      RunInPieces(registries, 2, pieces, overrides);
      EXPECT_EQ(pieces.checkpoints, whole.checkpoints);
    }
  }
}

TEST(CompressedSimulationTest, ResidualsEnterTheNextUpdates) {
  Recorder fed_back, not_fed_back;
  ASSERT_TRUE(Simulate(Compressed(kFewBits), fed_back).ok());
  auto overrides = Compressed(kFewBits);
  overrides.emplace_back("federation.compression.error_feedback=false");
  ASSERT_TRUE(Simulate(overrides, not_fed_back).ok());
  EXPECT_NE(fed_back.checkpoints.at("final"), not_fed_back.checkpoints.at("final"));
}

// The mlp has 1 x 8 + 8 + 8 x 1 + 1 = 25 parameters.
TEST(CompressedSimulationTest, ARoundsBytesAreThoseThatTravel) {
  const auto bytes = [](const std::vector<std::string>& overrides) {
    Recorder recorder;
    EXPECT_TRUE(Simulate(overrides, recorder).ok());
    EXPECT_GE(recorder.rounds.size(), 2U);
    return recorder.rounds.at(1);  // the first also tells assignments
  };
  constexpr std::uint64_t kTail = 8 * (1 + MetricSums::kSize), kClients = 4;
  const RoundRecord whole = bytes({});
  EXPECT_EQ(whole.bytes_up, kClients * (25 * 4 + kTail));
  // ceil(0.3 x 25) = 8 coordinates of 6 bits, and the step.
  const RoundRecord small = bytes(Compressed(kFewBits));
  EXPECT_EQ(small.bytes_up, kClients * (8 * 6 / 8 + 4 + kTail));
  EXPECT_LT(small.bytes_down, whole.bytes_down - kClients * 25 * 2 + kClients * 20);
}

TEST(CompressedSimulationTest, ANarrowRingLearnsWhatAWideOneDoes) {
  const std::vector<std::string> common = {kSecure, "server.optimizer.name=sgd",
                                           "federation.minimum_cohort=3",
                                           "evaluation.baselines=[]"};
  Recorder wide;
  ASSERT_TRUE(Simulate(common, wide).ok());
  for (const std::string rotation : {"true", "false"}) {
    std::vector<std::string> overrides = common;
    overrides.insert(overrides.end(), kNarrowRing.begin(), kNarrowRing.end());
    overrides.push_back("federation.compression.rotation=" + rotation);
    Recorder narrow;
    const auto summary = Simulate(overrides, narrow);
    ASSERT_TRUE(summary.ok()) << summary.error().message();
    ASSERT_EQ(summary->status, RunStatus::kCompleted) << summary->reason;
    const std::vector<float>& expected = wide.checkpoints.at("final");
    const std::vector<float>& state = narrow.checkpoints.at("final");
    // A step is 10 / floor(32767 / 5); six rounds at rate 0.01.
    for (std::size_t i = 0; i < state.size(); ++i) EXPECT_NEAR(state[i], expected[i], 1e-3);
    EXPECT_NE(state, expected);
  }
}

TEST(CompressedSimulationTest, RefusesARingWhoseRoundingDrownsTheUpdate) {
  Recorder recorder;
  const auto refused =
      Simulate({kSecure, "privacy.secure_aggregation.ring_bits=8",
                "privacy.secure_aggregation.group_size=60", "federation.minimum_cohort=3",
                "federation.cohort=7", "model.hidden=[4000]"},
               recorder);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("ring_bits 8 is too few"));
  EXPECT_THAT(refused.error().message(), HasSubstr("nearest are ring_bits 10"));
}

/// All 7 training clients, steps in proportion to the mean.
std::vector<std::string> Robustly(const std::string& aggregation) {
  return {"server={aggregation: {" + aggregation + "}, optimizer: {name: sgd, learning_rate: 0.1}}",
          "federation.cohort=7", "federation.minimum_cohort=7",
          "evaluation={steps: [0], learning_rates: [0.01]}",
          "privacy.secure_aggregation.mode=" +
              std::string(aggregation == "name: weighted_mean" ? "plain" : "plain_robust")};
}

/// Largest coordinate of the last state; of a run that the attack ended, infinite.
double Largest(std::vector<std::string> overrides, const std::string& attack) {
  if (!attack.empty()) overrides.push_back("simulated_attack={" + attack + "}");
  Recorder recorder;
  const Result<RunSummary> summary = Simulate(overrides, recorder);
  EXPECT_TRUE(summary.ok()) << summary.error().message();
  if (summary->status != RunStatus::kCompleted) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (const float value : recorder.checkpoints["final"])
    largest = std::max(largest, std::fabs(static_cast<double>(value)));
  return largest;
}

TEST(RobustSimulationTest, PoisonedUpdatesMoveTheMeanAndNoRobustRule) {
  for (const char* attack :
       {"clients: 2, kind: scale, factor: 1e4", "clients: 2, kind: sign_flip, factor: 1e4"}) {
    EXPECT_GT(Largest(Robustly("name: weighted_mean"), attack), 50) << attack;
    for (const char* rule :
         {"name: median, byzantine: 2", "name: trimmed_mean, byzantine: 2",
          "name: krum, byzantine: 2", "name: multi_krum, byzantine: 2",
          "name: geometric_median, byzantine: 2", "name: norm_bound, byzantine: 2"}) {
      EXPECT_LT(Largest(Robustly(rule), attack), 5) << rule << ", " << attack;
    }
  }
  EXPECT_LT(Largest(Robustly("name: weighted_mean"), ""), 5);
}

TEST(RobustSimulationTest, RepeatsItselfBitForBit) {
  const std::vector<std::string> overrides = Robustly("name: geometric_median, byzantine: 2");
  Recorder one, two;
  ASSERT_TRUE(Simulate(overrides, one).ok());
  ASSERT_TRUE(Simulate(overrides, two).ok());
  EXPECT_EQ(one.checkpoints, two.checkpoints);
}

/// Nothing is committed by another rule or by fewer updates than the rule needs.
TEST(RobustSimulationTest, ARoundThatLacksReportsIsMissed) {
  const LearnRegistries registries =
      RegistriesWithNan([](const std::string& client) { return client == "site-02"; });
  for (const auto& [on_miss, status] :
       {std::pair("fail", RunStatus::kFailed), std::pair("pause", RunStatus::kPaused)}) {
    std::vector<std::string> overrides = Robustly("name: krum, byzantine: 2");
    overrides.push_back("federation.on_quorum_miss=" + std::string(on_miss));
    overrides.emplace_back("federation.retries=0");
    Recorder recorder;
    const Result<RunSummary> summary = Simulate(overrides, recorder, registries);
    ASSERT_TRUE(summary.ok()) << summary.error().message();
    EXPECT_EQ(summary->status, status);
    EXPECT_THAT(summary->reason, HasSubstr("7 needed; site-02"));
    for (const RoundRecord& round : recorder.rounds) EXPECT_FALSE(round.committed);
  }
}

TEST(RobustSimulationTest, EachLegTellsTheSitesHowTheirUpdatesAreLookedAt) {
  const auto legs = [](const std::vector<std::string>& overrides) {
    const auto experiment =
        Loader(BuiltinPluginTables()).ParseExperiment(kExperiment, "test.yaml", overrides).value();
    const LearnRegistries registries = Registries();
    const SimulationData data =
        OpenSimulationData(*experiment, registries.data, BuiltinPluginTables()).value();
    return PrepareLegs(*experiment, registries, &data).value();
  };
  const auto rules = [&](const std::vector<std::string>& overrides) {
    std::vector<std::string> told;
    for (const Leg& leg : legs(overrides)) {
      v1::Assignment assignment;
      EXPECT_TRUE(assignment.ParseFromString(leg.assignment));
      told.push_back(leg.aggregation.name() + "/" + assignment.robust_aggregation());
    }
    return told;
  };
  EXPECT_THAT(rules({}),
              testing::ElementsAre("weighted_mean/", "weighted_mean/", "weighted_mean/"));
  EXPECT_THAT(
      rules({"server.aggregation.name=median", "privacy.secure_aggregation.mode=plain_robust",
             "federation.minimum_cohort=3"}),
      testing::ElementsAre("median/median", "median/median", "median/median"));
}

TEST(RobustSimulationTest, MoreAttackersThanClientsAreRefused) {
  Recorder recorder;
  std::vector<std::string> overrides = {"simulated_attack={clients: 8, kind: scale}"};
  const Result<RunSummary> summary = Simulate(overrides, recorder);
  ASSERT_FALSE(summary.ok());
  EXPECT_THAT(summary.error().message(), HasSubstr("training clients, which are 7, got 8"));
}

}  // namespace
}  // namespace fedmeta

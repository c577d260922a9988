#include "fedmeta/configs/experiment_checks.h"

#include <gmock/gmock.h>

#include "fedmeta/configs/compression_checks.h"
#include "fedmeta/protocol/limits.h"
#include "fedmeta/tests/configs/config_files.h"

// Combinations that are refused although every value fits its own key.
namespace fedmeta {
namespace {

static_assert(kMaximumCellsOfAnEvaluation == kMaximumEvaluationCells);

std::string WithEvaluation(const std::string& yaml, const std::string& keys) {
  return yaml + "evaluation: {" + keys + "}\n";
}

TEST(ExperimentChecks, AMinimumCohortAboveTheCohort) {
  EXPECT_EQ(
      Problems(With(kExperiment, "cohort: 5", "cohort: 5\n  minimum_cohort: 6")),
      "e.yaml:12:19: federation.minimum_cohort must be <= federation.cohort, which is 5, got 6");
}
TEST(ExperimentChecks, ACohortAboveTheTrainingClients) {
  // 12 clients, 2 of them held out: 10 train.
  EXPECT_EQ(Problems(With(kExperiment, "cohort: 5", "cohort: 10")), "no problem");
  EXPECT_EQ(Problems(With(kExperiment, "cohort: 5", "cohort: 11")),
            "e.yaml:11:11: federation.cohort must be <= the training clients of data.partition "
            "(clients - holdout_clients - validation_clients), which are 10, got 11");
}
TEST(ExperimentChecks, ACohortAboveTheParticipants) {
  EXPECT_EQ(Problems(With(kExperiment, "cohort: 5", "cohort: 5\n  participants: [a, b]")),
            "e.yaml:11:11: federation.cohort must be <= the number of federation.participants, "
            "which is 2, got 5");
}
TEST(ExperimentChecks, AParticipantNamedTwiceOrNotAsAClientIs) {
  EXPECT_EQ(
      Problems(With(kExperiment, "cohort: 5", "cohort: 2\n  participants: [a, b, a, c/d]")),
      "e.yaml:12:24: federation.participants[2] names 'a' again\n"
      "e.yaml:12:27: federation.participants[3] must be the name in a client's identity, such "
      "as site-1, got 'c/d'");
}
TEST(ExperimentChecks, ValidationClientsDoNotTrain) {
  EXPECT_EQ(Problems(With(With(kExperiment, "cohort: 5", "cohort: 10"), "holdout_clients: 2",
                          "holdout_clients: 2, validation_clients: 1")),
            "e.yaml:11:11: federation.cohort must be <= the training clients of data.partition "
            "(clients - holdout_clients - validation_clients), which are 9, got 10");
}
TEST(ExperimentChecks, ALiveExperimentDoesNotKnowItsClients) {
  EXPECT_EQ(Problems(With(With(kExperiment, "  source: {name: sinusoid}\n", ""), "cohort: 5",
                          "cohort: 50")),
            "no problem");
}
TEST(ExperimentChecks, NoTrainingClientsLeft) {
  EXPECT_EQ(Problems(With(kExperiment, "holdout_clients: 2", "holdout_clients: 12")),
            "e.yaml:7:45: data.partition.holdout_clients must leave training clients: "
            "holdout_clients (12) + validation_clients (0) must be < clients, which is 12");
}

TEST(ExperimentChecks, MoreWaysThanClassesOfAClient) {
  EXPECT_EQ(Problems(With(kEpisodic, "ways: 5", "ways: 7")),
            "e.yaml:6:33: data.tasks.ways must be <= the classes of a client, "
            "data.partition.classes_per_client = 6, got 7");
}
TEST(ExperimentChecks, QuarterTurnsMultiplyTheClasses) {
  EXPECT_EQ(Problems(With(kEpisodic, "ways: 5", "rotations: classes, ways: 24")), "no problem");
  EXPECT_EQ(Problems(With(kEpisodic, "ways: 5", "rotations: classes, ways: 25")),
            "e.yaml:6:53: data.tasks.ways must be <= the classes of a client, "
            "data.partition.classes_per_client x 4 turns = 24, got 25");
}
TEST(ExperimentChecks, TransductiveNeedsStatisticsOfTheBatch) {
  EXPECT_EQ(Problems(WithEvaluation(kEpisodic, "transductive: true")), "no problem");
  EXPECT_EQ(Problems(WithEvaluation(
                With(kEpisodic, "name: conv4", "name: conv4, normalization: averaged"),
                "transductive: true")),
            "e.yaml:10:28: evaluation.transductive true needs model.normalization batch, which is "
            "averaged; set it to false or remove it");
}
TEST(ExperimentChecks, SecureAggregationIsRefusedWhereItCannotHold) {
  const auto problems = [](const std::string& keys, const std::string& overrides = "") {
    return Problems(kEpisodic + overrides + "privacy: {secure_aggregation: {mode: secure" + keys +
                    "}}\n");
  };
  EXPECT_EQ(problems(""), "no problem");
  EXPECT_THAT(problems(", ring_bits: 48"),
              ::testing::HasSubstr("ring_bits must be 8 to 32 or 64, got 48"));
  EXPECT_THAT(problems(", minimum: 3, group_size: 4"),
              ::testing::HasSubstr(
                  "group_size must be >= 2 x minimum - 1, so that any number of clients can "
                  "be dealt out to groups, got 4 < 5: nearest are group_size 5"));
  EXPECT_THAT(
      problems(", clip: 1e6"),
      ::testing::HasSubstr(
          "clip x group_size x 2^(1 - ring_bits) is the step in which updates are "
          "added up and must be <= 0.001, got 0.029802322387695312: nearest are clip 33554 and "
          "ring_bits 64"));
  EXPECT_EQ(problems(", clip: 1e6, ring_bits: 64"), "no problem");
}
TEST(ExperimentChecks, CompressionIsRefusedWhereItDoesNotHold) {
  const auto problems = [](const std::string& compression, const std::string& more) {
    return Problems(With(kEpisodic, "cohort: 5", "cohort: 5, compression: {" + compression + "}") +
                    more);
  };
  const auto secure = [](const std::string& keys) {
    return "privacy: {secure_aggregation: {mode: secure, " + keys + "}}\n";
  };
  const auto noise = [](const std::string& mode) {
    return "privacy: {differential_privacy: {mode: " + mode + ", clip: 1, noise_multiplier: 1}}\n";
  };
  EXPECT_EQ(problems("fraction: 0.1, download: float16", ""), "no problem");
  EXPECT_EQ(problems("rotation: true, bits: 8", ""), "no problem");
  EXPECT_EQ(problems("fraction: 0.1, rotation: true", secure("ring_bits: 16")), "no problem");
  EXPECT_EQ(problems("download: float16", noise("central")), "no problem");
  EXPECT_THAT(problems("rotation: true", ""),
              ::testing::HasSubstr("rotation helps where updates are rounded to few bits, which "
                                   "they are not: set it to false, or "
                                   "federation.compression.bits below 32"));
  EXPECT_THAT(problems("rotation: true", secure("ring_bits: 32")),
              ::testing::HasSubstr("or privacy.secure_aggregation.ring_bits below 32"));
  EXPECT_THAT(problems("bits: 4", secure("ring_bits: 16")),
              ::testing::HasSubstr("bits is for plain uploads"));
  for (const std::string keys : {"fraction: 0.5", "rotation: true, bits: 8", "bits: 8"}) {
    EXPECT_THAT(problems(keys, noise("central")),
                ::testing::HasSubstr("with privacy.differential_privacy.mode central"));
  }
  v1::Experiment sparse;
  sparse.mutable_server()->mutable_aggregation()->set_name("median");
  sparse.mutable_federation()->mutable_compression()->set_fraction(0.5);
  std::vector<Problem> found;
  CheckCompression(sparse, SourceMap(), found);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_THAT(found[0].message, ::testing::HasSubstr("nearest are weighted_mean and fraction 1"));
  EXPECT_THAT(problems("download: float16", secure("ring_bits: 8, group_size: 128")),
              ::testing::HasSubstr("must be < 2^(ring_bits - 1) with scale x clip >= 1, got 128 >= "
                                   "128: nearest are ring_bits 9 and group_size 127"));
}
TEST(ExperimentChecks, TransductiveIsTheDefaultOfBatchModelsAlone) {
  const auto transductive = [](const std::string& normalization) {
    return Parse(With(kEpisodic, "name: conv4", "name: conv4, normalization: " + normalization))
        .value()
        ->evaluation()
        .transductive();
  };
  EXPECT_TRUE(transductive("batch"));
  EXPECT_FALSE(transductive("averaged"));
  EXPECT_FALSE(transductive("group"));
  EXPECT_FALSE(Parse(kExperiment).value()->evaluation().has_transductive()) << "an mlp";
}
TEST(ExperimentChecks, FrozenStatisticsNeedAStateToComeFrom) {
  const std::string frozen = With(kEpisodic, "name: conv4", "name: conv4, normalization: frozen");
  EXPECT_EQ(Problems(frozen),
            "e.yaml:2:37: model.normalization frozen needs model.initial: a run folder or "
            ".safetensors file whose statistics stay; without one use averaged or local");
  EXPECT_EQ(Problems(With(frozen, "frozen", "frozen, initial: runs/first")), "no problem");
}
TEST(ExperimentChecks, MoreShotsAndQueriesThanExamples) {
  EXPECT_EQ(Problems(With(kEpisodic, "shots: 5", "shots: 6")),
            "e.yaml:6:43: data.tasks.shots (6) + data.tasks.queries (15) must be <= "
            "data.partition.examples_per_class, which is 20");
}
TEST(ExperimentChecks, AnEqualShareOfExamplesIsNotKnownWithoutTheData) {
  EXPECT_EQ(Problems(With(With(kEpisodic, "shots: 5", "shots: 600"), "examples_per_class: 20",
                          "examples_per_class: 0")),
            "no problem");
}
TEST(ExperimentChecks, MoreEvaluationShotsThanExamples) {
  EXPECT_EQ(Problems(WithEvaluation(kEpisodic, "shots: [1, 5, 10]")),
            "e.yaml:10:28: evaluation.shots[2] (10) + data.tasks.queries (15) must be <= "
            "data.partition.examples_per_class, which is 20");
}

TEST(ExperimentChecks, TasksThatDoNotFitTheSource) {
  EXPECT_EQ(Problems(With(kExperiment, "{name: regression, shots: 10}", "{name: episodic}")),
            "e.yaml:6:17: data.tasks.name must be regression with source sinusoid, got 'episodic'");
  EXPECT_EQ(Problems(With(kExperiment, "{name: sinusoid}", "{name: idx, path: images}")),
            "e.yaml:6:17: data.tasks.name must be episodic or split with source idx, got "
            "'regression'");
}
TEST(ExperimentChecks, AmplitudesTheWrongWayRound) {
  EXPECT_EQ(
      Problems(With(kExperiment, "{name: sinusoid}", "{name: sinusoid, amplitude_minimum: 6}")),
      "e.yaml:5:47: data.source.amplitude_minimum must be <= amplitude_maximum, which is 5, "
      "got 6");
}
TEST(ExperimentChecks, AColumnWithoutItsFile) {
  EXPECT_EQ(Problems(With(kExperiment, "{clients: 12, holdout_clients: 2}", "{scheme: column}")),
            "e.yaml:7:23: data.partition.scheme column needs data.partition.column_file");
}
TEST(ExperimentChecks, AColumnFileWithoutItsScheme) {
  EXPECT_EQ(Problems(With(kExperiment, "clients: 12,", "clients: 12, column_file: names.txt,")),
            "e.yaml:7:41: data.partition.column_file is read with scheme column only, which is "
            "uniform; remove it");
}
TEST(ExperimentChecks, PublishedSplitsWithoutTheirFolder) {
  EXPECT_EQ(Problems(With(kExperiment, "clients: 12,",
                          "scheme: shared, class_split: vinyals, clients: 12,")),
            "e.yaml:7:44: data.partition.class_split vinyals needs data.partition.split_dir");
}
TEST(ExperimentChecks, ASplitFolderWithoutPublishedSplits) {
  EXPECT_EQ(Problems(With(kExperiment, "clients: 12,", "split_dir: splits, clients: 12,")),
            "e.yaml:7:26: data.partition.split_dir is read with class_split vinyals only, which is "
            "none; remove it");
}
TEST(ExperimentChecks, AClassSplitOfAnotherScheme) {
  EXPECT_EQ(Problems(With(kExperiment, "clients: 12,", "class_split: maml, clients: 12,")),
            "e.yaml:7:28: data.partition.class_split maml needs scheme shared, which is uniform");
}

TEST(ExperimentChecks, ANameThatIsNoFolderName) {
  EXPECT_EQ(Problems(With(kExperiment, "name: waves", "name: ../waves")),
            "e.yaml:1:7: name must be 1 to 100 letters, digits, '-' or '_', got '../waves'");
}
TEST(ExperimentChecks, ABaselineAsTheMainAlgorithm) {
  EXPECT_EQ(Problems(With(kExperiment, "{name: maml, inner_learning_rate: 0.1}", "{name: local}")),
            "e.yaml:8:19: algorithm.name 'local' is a baseline only; put it under "
            "evaluation.baselines");
}
TEST(ExperimentChecks, ABaselineTwice) {
  EXPECT_EQ(Problems(WithEvaluation(
                kExperiment, "baselines: [{name: fedavg}, {name: fedavg, learning_rate: 1}]")),
            "e.yaml:12:49: evaluation.baselines[1].name 'fedavg' is already the main algorithm or "
            "another baseline; give one of them a list of settings instead");
}
TEST(ExperimentChecks, TheMainAlgorithmAsABaseline) {
  EXPECT_EQ(Problems(WithEvaluation(kExperiment, "baselines: [{name: maml}]")),
            "e.yaml:12:33: evaluation.baselines[0].name 'maml' is already the main algorithm or "
            "another baseline; give one of them a list of settings instead");
}
TEST(ExperimentChecks, TrainShotsWithSplitTasks) {
  const std::string yaml =
      With(kEpisodic, "{name: episodic, ways: 5, shots: 5, queries: 15}", "{name: split}");
  EXPECT_EQ(Problems(With(yaml, "{name: maml}", "{name: reptile, train_shots: [0, 5]}")),
            "e.yaml:8:28: algorithm.train_shots must be 0 with split tasks, which have no examples "
            "a class to count");
}

TEST(ExperimentChecks, ASelectionStepThatIsNotEvaluated) {
  EXPECT_EQ(Problems(WithEvaluation(kExperiment, "steps: [0, 5], select: {steps: 3}")),
            "e.yaml:12:45: evaluation.select.steps must be one of evaluation.steps, 0, 5, got 3");
}
TEST(ExperimentChecks, StepsThatDoNotAscend) {
  EXPECT_EQ(Problems(WithEvaluation(kExperiment, "steps: [0, 5, 1]")),
            "e.yaml:12:14: evaluation.steps must ascend without repeats");
}
TEST(ExperimentChecks, StepsThatRepeat) {
  EXPECT_EQ(Problems(WithEvaluation(kExperiment, "steps: [0, 1, 1]")),
            "e.yaml:12:14: evaluation.steps must ascend without repeats");
}
TEST(ExperimentChecks, NoSteps) {
  EXPECT_EQ(Problems(WithEvaluation(kExperiment, "steps: []")),
            "e.yaml:12:14: evaluation.steps needs at least one step count");
}
TEST(ExperimentChecks, ShotsThatRepeat) {
  EXPECT_EQ(Problems(WithEvaluation(kExperiment, "shots: [5, 5]")),
            "e.yaml:12:14: evaluation.shots must not repeat a value");
}
TEST(ExperimentChecks, RatesThatRepeat) {
  EXPECT_EQ(Problems(WithEvaluation(kExperiment, "learning_rates: [0.1, 0.1]")),
            "e.yaml:12:14: evaluation.learning_rates must not repeat a value");
}
TEST(ExperimentChecks, TooManyEvaluationCells) {
  std::string steps = "0";
  for (int i = 1; i <= 2048; ++i) steps += ", " + std::to_string(i);
  // 1 shot x 2 rates x 2,049 steps = 4,098, two more than the limit.
  EXPECT_EQ(
      Problems(WithEvaluation(kExperiment, "learning_rates: [0.1, 0.2], steps: [" + steps + "]")),
      "e.yaml:12:1: evaluation asks for shots x learning_rates x steps = 4,098 cells, must be "
      "<= 4,096; shorten one of the lists");
}

TEST(ExperimentChecks, AProblemOfOneKeyDoesNotMakeAnotherOfTwo) {
  EXPECT_EQ(Problems(With(kExperiment, "cohort: 5", "cohort: many\n  minimum_cohort: 6")),
            "e.yaml:11:11: federation.cohort must be a whole number in decimal digits, such as 10, "
            "got 'many'");
}

}  // namespace
}  // namespace fedmeta

#include "fedmeta/tests/records/sample_run.h"

#include <algorithm>
#include <cmath>

#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

constexpr std::uint32_t kShots[] = {1, 5};
constexpr std::uint32_t kSteps[] = {0, 1, 5, 10};
constexpr double kRates[] = {0.05, 0.1};
const char* const kMethods[] = {"maml", "fedavg", "local"};
constexpr double kExamples = 60;

std::string SiteName(const char* kind, std::uint32_t index) {
  return std::string(kind) + "-" + (index < 9 ? "0" : "") + std::to_string(index + 1);
}

/// Accuracy of a method at a cell, before the differences between sites.
double Level(const SampleRun& run, int method, std::uint64_t round, const EvaluationCell& cell) {
  const double trained =
      1 - std::exp(-static_cast<double>(round) / (0.2 * static_cast<double>(run.rounds)));
  const double gained = 1 - std::exp(-static_cast<double>(cell.steps) / (method == 0 ? 0.8 : 4.0));
  const double start = 0.24;
  double top = cell.shots == 1 ? 0.60 : 0.74;
  if (method == 0) top += run.advantage * (0.3 + 0.7 * trained);
  if (method == 1) top += 0.02;
  return start + (top - start) * gained - (cell.learning_rate == kRates[1] ? 0.01 : 0);
}

MetricSums Sums(double accuracy, double loss) {
  MetricSums sums{.examples = kExamples,
                  .query_loss = kExamples * loss,
                  .correct = std::round(kExamples * std::clamp(accuracy, 0.0, 1.0)),
                  .tasks = 4};
  sums.FinishClient();
  return sums;
}

FinalCell Final(const SampleRun& run, int method, std::uint64_t round, std::uint32_t shots,
                std::uint32_t steps, bool tuned) {
  FinalCell cell{.shots = shots,
                 .steps = steps,
                 .learning_rate = kRates[0],
                 .tuned = tuned,
                 .accuracy_std = std::nullopt,
                 .accuracy_worst_decile = std::nullopt,
                 .clients = run.holdout_sites};
  std::vector<double> accuracies;
  double loss = 0;
  for (const EvaluationRecord& record : SampleEvaluation(run, method, round, true)) {
    for (const EvaluationCell& evaluated : record.cells) {
      if (evaluated.shots != shots || evaluated.steps != steps ||
          evaluated.learning_rate != kRates[0])
        continue;
      if (record.client.empty()) {
        cell.accuracy_mean = evaluated.sums.mean_correct / evaluated.sums.clients;
        loss = evaluated.sums.mean_loss / evaluated.sums.clients;
      } else {
        accuracies.push_back(evaluated.sums.mean_correct);
      }
    }
  }
  cell.loss_mean = loss;
  if (run.scores) {
    cell.sums = {.examples = 60,
                 .clients = 12,
                 .mean_brier = 12 * 0.142,
                 .mean_auc = 8 * 0.815,
                 .auc_clients = 8,
                 .bin_examples = {60},
                 .bin_predicted = {15},
                 .bin_observed = {12}};
    for (const double area : {0.9, 0.604}) {
      cell.disclosed.push_back(
          {.client = {}, .sums = {.clients = 1, .mean_auc = area, .auc_clients = 1}});
    }
  }
  if (accuracies.size() >= 2) {
    double squares = 0;
    for (const double accuracy : accuracies) squares += std::pow(accuracy - cell.accuracy_mean, 2);
    cell.accuracy_std = std::sqrt(squares / static_cast<double>(accuracies.size() - 1));
    if (accuracies.size() >= 10)
      cell.accuracy_worst_decile = *std::min_element(accuracies.begin(), accuracies.end());
  }
  return cell;
}

MethodSummary Method(const SampleRun& run, int method) {
  const std::uint64_t best = method == 2 ? 0 : run.rounds * 9 / 10;
  MethodSummary summary{.method = kMethods[method],
                        .leg = method == 1 ? "fedavg-2" : kMethods[method],
                        .best_round = best,
                        .validation_score = 0.7,
                        .cells = {}};
  for (const std::uint32_t shots : kShots) {
    for (const std::uint32_t steps : kSteps)
      summary.cells.push_back(Final(run, method, best, shots, steps, false));
    summary.cells.push_back(Final(run, method, best, shots, 10, true));
  }
  return summary;
}

}  // namespace

RunHeading SampleHeading(const SampleRun& run) {
  return {.experiment = "fashion-maml",
          .model = "conv4",
          .algorithm = "maml, 5 steps",
          .parameters = 28485,
          .seed = 7,
          .rounds = run.rounds,
          .clients = run.sites + run.holdout_sites,
          .holdout_clients = run.holdout_sites,
          .cohort = std::min(run.sites, 8u),
          .out = "runs/fashion-maml-20261124T184152Z",
          .live = !run.disclosed,
          .classification = run.classification,
          .shots_of = run.scores           ? "rows"
                      : run.classification ? "class"
                                           : "task"};
}

RoundRecord SampleRound(const SampleRun& run, std::uint64_t round) {
  Rng rng(StreamName{.seed = 1, .purpose = "sample-round", .round = round});
  const std::uint32_t cohort = std::min(run.sites, 8u);
  RoundRecord record{.leg = "maml", .round = round};
  const auto parameters = static_cast<std::uint64_t>(28485);
  for (std::uint32_t i = 0; i < cohort; ++i) {
    const auto site = static_cast<std::uint32_t>((round * 5 + i) % run.sites);
    const std::string name = SiteName("site", site);
    record.cohort.push_back(name);
    const bool lost = site == 2 && round * 10 >= run.rounds * 4 && round * 10 < run.rounds * 6;
    const bool diverged = site == 7 && rng.Below(12) == 0;
    if (lost) {
      record.dropped.push_back({name, "upload", "no sign of life for 2 min"});
    } else if (diverged) {
      record.dropped.push_back({name, "train", "update is not finite"});
    } else {
      record.reported.push_back(name);
    }
  }
  const double progress =
      1 - std::exp(-static_cast<double>(round) / (0.2 * static_cast<double>(run.rounds)));
  const double accuracy = 0.3 + 0.45 * progress + 0.04 * (rng.Uniform() - 0.5);
  for (std::size_t i = 0; i < record.reported.size(); ++i)
    record.metrics.Add(Sums(accuracy, 1.6 - 1.1 * progress + 0.1 * rng.Uniform()));
  record.bytes_down = cohort * (4 * parameters + 900);
  record.bytes_up = record.reported.size() * (4 * parameters + 400);
  const double train = 0.75 + 0.2 * rng.Uniform();
  record.parts_s = {{"train", train}, {"add", 0.03}, {"apply", 0.012}, {"commit", 0.004}};
  record.wall_s = train + 0.06;
  return record;
}

std::vector<EvaluationRecord> SampleEvaluation(const SampleRun& run, int method,
                                               std::uint64_t round, bool holdout) {
  const std::string leg = method == 1 ? "fedavg-2" : kMethods[method];
  std::vector<EvaluationRecord> records(1);
  EvaluationRecord& sum = records.front();
  sum = {.leg = leg,
         .method = kMethods[method],
         .round = round,
         .client = {},
         .holdout = holdout,
         .cells = {}};
  const std::uint32_t sites = holdout ? run.holdout_sites : run.sites;
  for (std::uint32_t site = 0; site < sites; ++site) {
    EvaluationRecord record = {.leg = leg,
                               .method = kMethods[method],
                               .round = round,
                               .client = SiteName(holdout ? "new" : "site", site),
                               .holdout = holdout,
                               .cells = {}};
    Rng own(StreamName{.seed = 2, .purpose = "sample-site", .client = record.client});
    Rng noise(StreamName{.seed = 3 + static_cast<std::uint64_t>(method),
                         .purpose = "sample",
                         .client = record.client,
                         .round = round});
    const double ability = 0.16 * (own.Uniform() - 0.5);
    for (const std::uint32_t shots : kShots)
      for (const double rate : kRates)
        for (const std::uint32_t steps : kSteps) {
          EvaluationCell cell{.shots = shots, .learning_rate = rate, .steps = steps, .sums = {}};
          const double accuracy = Level(run, method, round, cell) +
                                  (steps == 0 ? 0.3 : 1) * ability + 0.08 * (noise.Uniform() - 0.5);
          cell.sums = Sums(accuracy, 2.0 - 1.6 * accuracy);
          if (!run.classification) cell.sums.correct = cell.sums.mean_correct = 0;
          record.cells.push_back(cell);
        }
    if (sum.cells.empty()) {
      sum.cells = record.cells;
    } else {
      for (std::size_t c = 0; c < sum.cells.size(); ++c)
        sum.cells[c].sums.Add(record.cells[c].sums);
    }
    if (run.disclosed) records.push_back(std::move(record));
  }
  return records;
}

RunSummary SampleSummary(const SampleRun& run) {
  RunSummary summary{.rounds = run.rounds, .parameters = 28485, .wall_s = 184};
  for (std::uint64_t round = 1; round <= run.rounds; ++round) {
    const RoundRecord record = SampleRound(run, round);
    summary.reports += record.reported.size();
    summary.dropped += record.dropped.size();
  }
  summary.main = Method(run, 0);
  summary.baselines = {Method(run, 1), Method(run, 2)};
  return summary;
}

StateLayout SampleLayout() {
  return StateLayout::Create({{.name = "theta",
                               .tensors = {{.name = "layers.0.weight", .shape = {2, 3}},
                                           {.name = "layers.0.bias", .shape = {2}}}}})
      .value();
}

std::map<std::string, std::string> SampleMetadata() {
  return {{"assignment",
           R"({"model":{"name":"mlp","settings":{"@type":"x/fedmeta.v1.MlpSettings","hidden":[]}},)"
           R"("inputShape":["3"],"outputs":2})"}};
}

Status PlaySampleRun(const SampleRun& run, RunObserver& observer, ManualClock& clock, bool finish) {
  const std::uint64_t every = std::max<std::uint64_t>(1, run.rounds / 10);
  const std::vector<float> state = {1, 2, 3, 4, 5, 6, 7, 8};
  FEDMETA_RETURN_IF_ERROR(observer.Started(SampleHeading(run)));
  for (int method = 0; method < 3; ++method) {
    const std::string leg = method == 1 ? "fedavg-2" : kMethods[method];
    const std::uint64_t rounds = method == 2 ? 0 : run.rounds;
    FEDMETA_RETURN_IF_ERROR(observer.LegStarted(leg, kMethods[method], rounds));
    for (std::uint64_t round = 1; round <= rounds; ++round) {
      clock.Advance(Duration(900));
      RoundRecord record = SampleRound(run, round);
      record.leg = leg;
      if (round == run.rounds / 2) {
        RoundRecord abandoned = record;
        abandoned.committed = false;
        abandoned.reason = "7 of at least 8 clients reported before the deadline";
        FEDMETA_RETURN_IF_ERROR(observer.RoundDone(abandoned));
        record.attempt = 2;
      }
      FEDMETA_RETURN_IF_ERROR(observer.RoundDone(record));
      if (round % every != 0) continue;
      FEDMETA_RETURN_IF_ERROR(observer.Evaluated(SampleEvaluation(run, method, round, false)));
      FEDMETA_RETURN_IF_ERROR(observer.Evaluated(SampleEvaluation(run, method, round, true)));
      if (method > 0) continue;
      FEDMETA_RETURN_IF_ERROR(observer.Checkpoint("round-" + std::to_string(round), SampleLayout(),
                                                  state, SampleMetadata()));
    }
    if (rounds == 0) {
      FEDMETA_RETURN_IF_ERROR(observer.Evaluated(SampleEvaluation(run, method, 0, false)));
      FEDMETA_RETURN_IF_ERROR(observer.Evaluated(SampleEvaluation(run, method, 0, true)));
    }
  }
  if (!finish) return {};
  FEDMETA_RETURN_IF_ERROR(observer.Checkpoint("best", SampleLayout(), state, SampleMetadata()));
  FEDMETA_RETURN_IF_ERROR(observer.Checkpoint("final", SampleLayout(), state, SampleMetadata()));
  return observer.Finished(SampleSummary(run));
}

}  // namespace fedmeta

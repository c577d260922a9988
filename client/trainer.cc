#include "fedmeta/client/trainer.h"

#include <cmath>
#include <limits>

#include "fedmeta/algorithms/meta/libtorch_process.h"
#include "fedmeta/client/error_feedback.h"
#include "fedmeta/client/evaluator.h"
#include "fedmeta/client/record_private_gradients.h"
#include "fedmeta/client/task_source.h"
#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/privacy/secure_terms.h"
#include "fedmeta/privacy/update_compression.h"
#include "fedmeta/site/disclosure.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

/// Either what each client contributes or why it cannot.
using Contributions = std::vector<Result<Contribution>>;

/// `next_kept`: one a client.
Contributions Train(const RoundPlan& plan, const LegRuntime& leg, const Objective& objective,
                    const at::Device& device, std::span<const float> state,
                    std::span<const LocalClient> clients, WorkerPool& pool,
                    std::vector<Bytes>& next_kept) {
  std::vector<GeneratorTaskSource> sources;
  std::vector<Rng> streams;
  sources.reserve(clients.size());
  streams.reserve(clients.size());
  std::vector<ClientWork> work;
  for (const LocalClient& client : clients) {
    sources.emplace_back(*client.tasks, device, leg.balanced);
    streams.emplace_back(StreamName{.seed = client.seed.value_or(leg.assignment.seed()),
                                    .purpose = "tasks",
                                    .client = client.name,
                                    .round = plan.key().round});
    work.push_back({.tasks = &sources.back(), .state = client.kept, .rng = &streams.back()});
  }
  LearnContext context{
      .model = *leg.model, .objective = objective, .pool = &pool, .device = device};
  const v1::PrivacyTerms& terms = leg.assignment.differential_privacy();
  const bool by_record = terms.mode() == "local";
  if (by_record) {
    context.wrap = [&terms](std::unique_ptr<TaskGradients> gradients) {
      return MakeRecordPrivateGradients(std::move(gradients), terms);
    };
  }
  Contributions contributions;
  next_kept.resize(clients.size());
  for (Result<ClientUpdate>& update : leg.learner->ComputeUpdates(context, state, work)) {
    if (!update.ok() && leg.assignment.has_differential_privacy() &&
        update.error().code() == ErrorCode::kFailedPrecondition) {
      // Whether training fails depends on the data, so it must not show.
      contributions.emplace_back(
          Contribution{.update = std::vector<float>(state.size()), .weight = 1, .metrics = {{}}});
      const auto kept = clients[contributions.size() - 1].kept;
      next_kept[contributions.size() - 1].assign(kept.begin(), kept.end());
      continue;
    }
    if (!update.ok()) {
      contributions.emplace_back(update.error());
      continue;
    }
    contributions.emplace_back(
        Contribution{.update = std::move(update->update),
                     .weight = std::min(update->weight, plan.message().maximum_weight()),
                     // What is known of the records besides the update would be unprotected.
                     .metrics = {by_record ? MetricSums() : update->metrics}});
    next_kept[contributions.size() - 1] = std::move(update->next_state);
  }
  return contributions;
}

Contributions Evaluate(const RoundPlan& plan, const LegRuntime& leg, const Objective& objective,
                       const at::Device& device, std::span<const float> state,
                       std::span<const LocalClient> clients, WorkerPool& pool) {
  Contributions contributions;
  for (Result<std::vector<MetricSums>>& cells :
       EvaluateClients(plan.message().evaluate(), leg, objective, device, state, clients, pool)) {
    if (!cells.ok()) {
      contributions.emplace_back(cells.error());
    } else {
      contributions.emplace_back(
          Contribution{.update = {}, .weight = 1, .metrics = std::move(*cells)});
    }
  }
  return contributions;
}

/// What a training round of this plan sends of an update; nothing: all of it.
Result<std::optional<UpdateCompression>> CompressionOf(const RoundPlan& plan,
                                                       const LegRuntime& leg) {
  const v1::CompressionTerms& terms = leg.assignment.compression();
  if (!plan.message().has_train() || !leg.assignment.has_compression() || !ShortensUpdates(terms))
    return std::optional<UpdateCompression>();
  FEDMETA_ASSIGN_OR_RETURN(UpdateCompression compression,
                           UpdateCompression::Create({.terms = terms,
                                                      .layout = &leg.layout,
                                                      .seed = leg.assignment.seed(),
                                                      .round = plan.key().round}));
  return std::optional(std::move(compression));
}

/// Clients without what they did not send of earlier updates: that stands apart, one a client,
/// empty without error feedback.
struct SplitClients {
  std::vector<LocalClient> learners;
  std::vector<std::vector<float>> residuals;
};
Result<SplitClients> Split(const LegRuntime& leg, std::span<const LocalClient> clients) {
  SplitClients split{.learners = {clients.begin(), clients.end()},
                     .residuals = std::vector<std::vector<float>>(clients.size())};
  if (!FeedsBack(leg.assignment.compression())) return split;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    FEDMETA_ASSIGN_OR_RETURN(KeptWithResidual kept, SplitKept(clients[i].kept, leg.layout.size()));
    split.residuals[i] = std::move(kept.residual);
    split.learners[i].kept = kept.learner;
  }
  return split;
}

/// Puts what is sent in place of an update. `residual` stays as it was where the update is refused:
/// what is not a number would never leave it.
Status Compress(const UpdateCompression& compression, const StateLayout& layout,
                std::span<float> residual, Contribution& contribution) {
  for (std::size_t i = 0; i < contribution.update.size(); ++i) {
    if (!std::isfinite(contribution.update[i])) {
      return Error(ErrorCode::kInvalidArgument,
                   "update of " + layout.CoordinateName(i) + " is not finite");
    }
  }
  contribution.update = compression.Compress(contribution.update, residual);
  return {};
}

/// The same of all clients of a training round, and what each keeps of it.
void CompressAll(const std::optional<UpdateCompression>& compression, const LegRuntime& leg,
                 std::span<const LocalClient> clients, SplitClients& split,
                 Contributions& contributions, std::vector<Bytes>& next_kept) {
  for (std::size_t i = 0; i < contributions.size(); ++i) {
    Result<Contribution>& contribution = contributions[i];
    if (contribution.ok() && compression) {
      const Status compressed =
          Compress(*compression, leg.layout, split.residuals[i], *contribution);
      if (!compressed.ok()) contribution = compressed.error();
    }
    if (!contribution.ok()) {
      // Under secure aggregation it is counted all the same, as zeros.
      next_kept[i].assign(clients[i].kept.begin(), clients[i].kept.end());
    } else if (!split.residuals[i].empty()) {
      next_kept[i] = JoinKept(split.residuals[i], next_kept[i]);
    }
  }
}

using Results = std::vector<Result<ClientResult>>;

/// What few bits are rounded by. From the same seed as a client's draws: a secret of the site
/// where these are, so that nobody else can undo the rounding.
Rng RoundingStream(const RoundPlan& plan, const LegRuntime& leg, const LocalClient& client) {
  return Rng({.seed = client.seed.value_or(leg.assignment.seed()),
              .purpose = "rounding",
              .client = client.name,
              .round = plan.key().round});
}

/// The form of the wire, one result a contribution. Without masks nothing may leave that only noise
/// below them would hide.
Status WriteAll(const RoundPlan& plan, const LegRuntime& leg, const StateLayout* sent,
                std::span<const LocalClient> clients, Contributions& contributions,
                Results& results) {
  const bool train = plan.message().has_train();
  if (train && leg.assignment.differential_privacy().mode() == "distributed") {
    return Error(ErrorCode::kInvalidArgument,
                 "privacy.differential_privacy.mode distributed needs secure aggregation: without "
                 "it this client's update would be seen as it is");
  }
  FEDMETA_ASSIGN_OR_RETURN(
      const ContributionCodec codec,
      ContributionCodec::Create(
          {.layout = sent,
           .metric_cells = MetricCells(plan.message()),
           .maximum_weight = train ? plan.message().maximum_weight() : 1.0,
           .maximum_contributors = 1,
           .bits = leg.assignment.has_compression() ? leg.assignment.compression().bits() : 32}));
  for (std::size_t i = 0; i < contributions.size(); ++i) {
    const Result<Contribution>& contribution = contributions[i];
    if (!contribution.ok()) {
      results.emplace_back(contribution.error());
      continue;
    }
    Rng rounding = RoundingStream(plan, leg, clients[i]);
    Result<Bytes> payload = codec.ToWire(*contribution, &rounding);
    if (payload.ok()) {
      results.emplace_back(ClientResult{.payload = std::move(*payload), .metrics = {}});
    } else {
      results.emplace_back(payload.error());
    }
  }
  return {};
}

/// The same, to be masked. A client that failed contributes zeros and says so in the sum alone.
Status EncodeAll(const RoundPlan& plan, const LegRuntime& leg, const StateLayout* sent,
                 std::span<const LocalClient> clients, Contributions& contributions,
                 Results& results) {
  const std::size_t cells = MetricCells(plan.message());
  const v1::SecureTerms& terms = leg.assignment.secure();
  FEDMETA_ASSIGN_OR_RETURN(const RingCodec codec, SecureCodec(terms, sent, cells));
  std::optional<PrivateSum> private_sum;
  if (plan.message().has_train() && HidesClients(leg.assignment.differential_privacy())) {
    FEDMETA_ASSIGN_OR_RETURN(
        private_sum, SecurePrivateSum(terms, leg.assignment.differential_privacy(), leg.layout));
  }
  constexpr float kNotFinite = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t i = 0; i < contributions.size(); ++i) {
    Result<Contribution>& contribution = contributions[i];
    ClientResult result{.payload = {}, .metrics = {}};
    if (!contribution.ok()) {
      result.failure = contribution.error();
      contribution =
          Contribution{.update = std::vector<float>(sent == nullptr ? 0 : sent->size(), kNotFinite),
                       .weight = kNotFinite,
                       .metrics = std::vector<MetricSums>(cells)};
    }
    Rng rounding = RoundingStream(plan, leg, clients[i]);
    FEDMETA_ASSIGN_OR_RETURN(RingVector encoded, private_sum
                                                     ? private_sum->Encode(*std::move(contribution))
                                                     : codec.Encode(*contribution, &rounding));
    result.encoded = std::make_shared<const RingVector>(std::move(encoded));
    if (private_sum && leg.assignment.differential_privacy().mode() == "distributed")
      result.noise = private_sum->local_noise();
    results.emplace_back(std::move(result));
  }
  return {};
}

}  // namespace

std::vector<Result<ClientResult>> ExecutePlan(const RoundPlan& plan, const LegRuntime& leg,
                                              std::span<const float> state,
                                              std::span<const LocalClient> clients,
                                              WorkerPool& pool) {
  const auto fail_all = [&](const Error& error) {
    return std::vector<Result<ClientResult>>(clients.size(), error);
  };
  if (clients.empty()) return {};
  if (state.size() != leg.layout.size()) {
    return fail_all(Error(ErrorCode::kInvalidArgument, "state has " + std::to_string(state.size()) +
                                                           " coordinates, the layout " +
                                                           std::to_string(leg.layout.size())));
  }
  const bool train = plan.message().has_train();
  const at::Device device(leg.assignment.device().empty() ? "cpu" : leg.assignment.device());
  const Objective objective(ObjectiveOf(clients.front().tasks->target_kind()));
  const Result<std::optional<UpdateCompression>> compression = CompressionOf(plan, leg);
  if (!compression.ok()) return fail_all(compression.error());
  const StateLayout& exchanged = *compression ? (*compression)->exchanged() : leg.layout;
  const StateLayout* const sent = train ? &exchanged : nullptr;
  Result<SplitClients> split = Split(leg, clients);
  if (!split.ok()) return fail_all(split.error());
  std::vector<Bytes> next_kept(clients.size());
  Contributions contributions =
      train ? Train(plan, leg, objective, device, state, split->learners, pool, next_kept)
            : Evaluate(plan, leg, objective, device, state, split->learners, pool);
  if (train) CompressAll(*compression, leg, clients, *split, contributions, next_kept);
  std::vector<Result<ClientResult>> results;
  results.reserve(clients.size());
  // A site keeps its own figures and sends what it discloses.
  std::vector<std::vector<MetricSums>> own;
  for (std::size_t i = 0; i < contributions.size(); ++i) {
    Result<Contribution>& contribution = contributions[i];
    own.emplace_back(contribution.ok() ? contribution->metrics : std::vector<MetricSums>());
    const v1::Disclose* disclose = clients[i].disclose;
    if (contribution.ok() && disclose != nullptr)
      contribution->metrics = Disclosed(*disclose, std::move(contribution->metrics));
  }
  const Status encoded = leg.assignment.has_secure()
                             ? EncodeAll(plan, leg, sent, clients, contributions, results)
                             : WriteAll(plan, leg, sent, clients, contributions, results);
  if (!encoded.ok()) return fail_all(encoded.error());
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i].ok()) continue;
    results[i]->metrics = std::move(own[i]);
    results[i]->next_kept = std::move(next_kept[i]);
  }
  return results;
}

std::unique_ptr<WorkerPool> MakeLearningPool(std::size_t threads) {
  return std::make_unique<WorkerPool>(threads, UseOneLibtorchThread);
}

}  // namespace fedmeta

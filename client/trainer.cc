#include "fedmeta/client/trainer.h"

#include <limits>

#include "fedmeta/algorithms/meta/libtorch_process.h"
#include "fedmeta/client/evaluator.h"
#include "fedmeta/client/record_private_gradients.h"
#include "fedmeta/client/task_source.h"
#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/privacy/secure_terms.h"
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

using Results = std::vector<Result<ClientResult>>;

/// The form of the wire, one result a contribution. Without masks nothing may leave that only noise
/// below them would hide.
Status WriteAll(const RoundPlan& plan, const LegRuntime& leg, Contributions& contributions,
                Results& results) {
  const bool train = plan.message().has_train();
  if (train && leg.assignment.differential_privacy().mode() == "distributed") {
    return Error(ErrorCode::kInvalidArgument,
                 "privacy.differential_privacy.mode distributed needs secure aggregation: without "
                 "it this client's update would be seen as it is");
  }
  FEDMETA_ASSIGN_OR_RETURN(
      const ContributionCodec codec,
      ContributionCodec::Create({.layout = train ? &leg.layout : nullptr,
                                 .metric_cells = MetricCells(plan.message()),
                                 .maximum_weight = train ? plan.message().maximum_weight() : 1.0,
                                 .maximum_contributors = 1}));
  for (Result<Contribution>& contribution : contributions) {
    if (!contribution.ok()) {
      results.emplace_back(contribution.error());
      continue;
    }
    Result<Bytes> payload = codec.ToWire(*contribution);
    if (payload.ok()) {
      results.emplace_back(ClientResult{.payload = std::move(*payload), .metrics = {}});
    } else {
      results.emplace_back(payload.error());
    }
  }
  return {};
}

/// The same, to be masked. A client that failed contributes zeros and says so in the sum alone.
Status EncodeAll(const RoundPlan& plan, const LegRuntime& leg, Contributions& contributions,
                 Results& results) {
  const bool train = plan.message().has_train();
  const std::size_t cells = MetricCells(plan.message());
  const v1::SecureTerms& terms = leg.assignment.secure();
  FEDMETA_ASSIGN_OR_RETURN(const RingCodec codec,
                           SecureCodec(terms, train ? &leg.layout : nullptr, cells));
  std::optional<PrivateSum> private_sum;
  if (train && HidesClients(leg.assignment.differential_privacy())) {
    FEDMETA_ASSIGN_OR_RETURN(
        private_sum, SecurePrivateSum(terms, leg.assignment.differential_privacy(), leg.layout));
  }
  constexpr float kNotFinite = std::numeric_limits<float>::quiet_NaN();
  for (Result<Contribution>& contribution : contributions) {
    ClientResult result{.payload = {}, .metrics = {}};
    if (!contribution.ok()) {
      result.failure = contribution.error();
      contribution =
          Contribution{.update = std::vector<float>(train ? leg.layout.size() : 0, kNotFinite),
                       .weight = kNotFinite,
                       .metrics = std::vector<MetricSums>(cells)};
    }
    FEDMETA_ASSIGN_OR_RETURN(result.encoded, private_sum
                                                 ? private_sum->Encode(*std::move(contribution))
                                                 : codec.Encode(*contribution));
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
  std::vector<Bytes> next_kept(clients.size());
  Contributions contributions =
      train ? Train(plan, leg, objective, device, state, clients, pool, next_kept)
            : Evaluate(plan, leg, objective, device, state, clients, pool);
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
  const Status encoded = leg.assignment.has_secure() ? EncodeAll(plan, leg, contributions, results)
                                                     : WriteAll(plan, leg, contributions, results);
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

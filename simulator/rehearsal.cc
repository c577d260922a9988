#include "fedmeta/simulator/rehearsal.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "fedmeta/client/client_runner.h"
#include "fedmeta/client/data/site_partition.h"
#include "fedmeta/coordinator/live_coordinator.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/metric_sums.h"
#include "fedmeta/records/run_observer.h"
#include "fedmeta/simulator/direct_link.h"
#include "fedmeta/simulator/prepare.h"
#include "fedmeta/site/policy.h"
#include "fedmeta/site/site_control.h"

namespace fedmeta {
namespace {

constexpr std::uint32_t kModelMib = 1U << 20U;  // no limit that anybody meets

/// Hears how long rounds took.
class RoundTimes final : public QuietObserver {
 public:
  explicit RoundTimes(std::vector<std::pair<std::string, double>>& rounds) : rounds_(rounds) {}
  Status RoundDone(const RoundRecord& record) override {
    rounds_.emplace_back(record.leg, record.wall_s);
    return {};
  }

 private:
  std::vector<std::pair<std::string, double>>& rounds_;
};

v1::Experiment ForOneSite(v1::Experiment experiment, std::uint64_t rounds) {
  v1::Federation& federation = *experiment.mutable_federation();
  federation.set_rounds(rounds);
  federation.set_cohort(1);
  federation.set_minimum_cohort(1);
  federation.set_over_selection(0);
  federation.set_on_quorum_miss("fail");
  // The one site joins at once, or it never will.
  constexpr std::int64_t kJoinSeconds = 60;
  federation.mutable_join_deadline()->set_seconds(kJoinSeconds);
  experiment.clear_privacy();
  // A robust rule needs the updates of several.
  experiment.mutable_server()->mutable_aggregation()->set_name("weighted_mean");
  experiment.mutable_server()->mutable_aggregation()->clear_settings();
  return experiment;
}

v1::Limits RoomyLimits() {
  v1::Limits limits;
  limits.set_connections(16);
  limits.set_model_mib(kModelMib);
  limits.set_staging_slots(1);
  return limits;
}

/// The parts of an uploaded payload (ContributionCodec): update tensors, weight, metric sums.
void AddPayload(const LinkAccount::Payload& upload, const std::vector<Leg>& legs,
                std::map<std::pair<std::string, std::string>, OutboundField>& fields) {
  const std::string& experiment = upload.key.experiment();
  const std::string leg_name = experiment.substr(experiment.rfind('/') + 1);
  const bool training = upload.key.purpose() == v1::PURPOSE_TRAIN;
  const auto add = [&](const std::string& kind, const std::string& name, std::uint64_t bytes) {
    OutboundField& field = fields[{kind, name}];
    field.kind = kind;
    field.name = name;
    field.bytes = bytes;
    ++field.times;
  };
  std::uint64_t rest = upload.bytes;
  for (const Leg& leg : legs) {
    if (!training || leg.name != leg_name) continue;
    for (const Segment& segment : leg.layout.segments()) {
      for (const TensorSpec& tensor : segment.tensors) {
        const std::uint64_t bytes = *ElementCount(tensor.shape) * sizeof(float);
        add("update", leg.name + ": " + tensor.name, bytes);
        rest -= bytes;
      }
    }
  }
  add("weight", leg_name + (training ? ": training" : ": evaluation"), sizeof(double));
  rest -= sizeof(double);
  const std::uint64_t cells = rest / (MetricSums::kSize * sizeof(double));
  std::set<std::string_view> seen;
  for (const std::string_view metric : MetricSums::kNames) {
    if (!seen.insert(metric).second) continue;
    const auto times = static_cast<std::uint64_t>(
        std::count(MetricSums::kNames.begin(), MetricSums::kNames.end(), metric));
    add("metric sums",
        leg_name + (training ? ": training " : ": evaluation ") + std::string(metric),
        cells * times * sizeof(double));
  }
}

std::vector<OutboundField> FieldsOf(const LinkAccount::Totals& totals,
                                    const std::vector<Leg>& legs) {
  std::map<std::pair<std::string, std::string>, OutboundField> payloads;
  for (const LinkAccount::Payload& upload : totals.uploads) AddPayload(upload, legs, payloads);
  std::vector<OutboundField> fields;
  for (const char* kind : {"update", "weight", "metric sums"}) {
    for (auto& [name, field] : payloads) {
      if (field.kind == kind) fields.push_back(std::move(field));
    }
  }
  for (const auto& [name, field] : totals.fields) {
    fields.push_back({.kind = "message",
                      .name = name,
                      .bytes = field.bytes / std::max<std::uint64_t>(1, field.times),
                      .times = field.times});
  }
  return fields;
}

Result<std::vector<Leg>> Prepare(const v1::Experiment& experiment,
                                 const LearnRegistries& registries, const std::string& site,
                                 OpenedSource source) {
  SimulationData data;
  data.partition =
      MakeSitePartition({{.name = site, .role = v1::ROLE_TRAIN, .dataset = source.dataset}});
  data.source = std::move(source);
  FEDMETA_ASSIGN_OR_RETURN(const auto tasks, MakeClientTasks(experiment, registries.data, data, 0));
  FEDMETA_RETURN_IF_ERROR(CanTakePart(*tasks, v1::ROLE_TRAIN, experiment.evaluation()));
  return PrepareLegs(experiment, registries, &data);
}

}  // namespace

Result<RehearsalResult> Rehearse(RehearsalOptions options) {
  if (!options.read.dataset) {
    return Error(ErrorCode::kInvalidArgument,
                 "this source draws its tasks from a formula and has no rows: there is nothing to "
                 "rehearse");
  }
  const v1::Experiment experiment = ForOneSite(options.experiment, options.rounds);
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<Leg> legs,
                           Prepare(experiment, options.registries, options.site,
                                   std::exchange(options.read, OpenedSource())));

  RehearsalResult result;
  const SystemClock clock;
  const TimePoint began = clock.Now();
  const std::unique_ptr<Logger> logger = MakeNullLogger();
  const std::unique_ptr<RoundStore> store = MakeMemoryStore();
  RoundTimes observer(result.rounds);
  FEDMETA_ASSIGN_OR_RETURN(OpenedRun run, OpenRun(*store, ExperimentId(experiment.name())));
  FEDMETA_ASSIGN_OR_RETURN(
      const auto coordinator,
      LiveCoordinator::Create({.experiment = experiment,
                               .limits = RoomyLimits(),
                               .legs = legs,
                               .registry = options.server},
                              std::move(run), *store, observer, clock, *logger));
  coordinator->Start();
  LinkAccount account;
  const auto link = MakeDirectLink(*coordinator, ClientId(options.site), account);
  ClientRunner::Options site{.name = options.site,
                             .registries = options.registries,
                             .data = {},
                             .threads = options.threads,
                             .state_dir = options.state_dir};
  site.data.emplace(experiment.data().name(),
                    SiteSource{.source = options.source, .role = v1::ROLE_TRAIN});
  // What the site's policy says is another question: `fedmeta site show` answers it.
  SiteControl::Options allowed{
      .policy = OpenPolicy(kModelMib),
      .hours = {},
      .state_dir = options.state_dir,
      .site = {.identity = {.federation = "rehearsal", .name = options.site},
               .data = {{experiment.data().name(), v1::ROLE_TRAIN}},
               .revocation_settled = true}};
  FEDMETA_ASSIGN_OR_RETURN(const std::unique_ptr<SiteControl> control,
                           SiteControl::Open(std::move(allowed), clock));
  Status ended;
  std::jthread client([&](std::stop_token stop) {
    ClientRunner runner(std::move(site), *control, *link, clock, *logger);
    ended = runner.Run(stop);
    // Without its only site the run would wait for another one.
    if (!ended.ok()) coordinator->Cancel(ended.error().message(), false);
  });
  constexpr int kFarewellMs = 10'000;
  const Result<RunSummary> summary = coordinator->Wait(kFarewellMs);
  client.request_stop();
  client.join();
  FEDMETA_RETURN_IF_ERROR(ended);
  if (!summary.ok()) return summary.error();
  if (summary->status != RunStatus::kCompleted) {
    return Error(ErrorCode::kFederationFailed,
                 "the rehearsal " + RunStatusName(summary->status) + ": " + summary->reason);
  }
  result.seconds = std::chrono::duration<double>(clock.Now() - began).count();
  const LinkAccount::Totals totals = account.totals();
  result.bytes_up = totals.up;
  result.bytes_down = totals.down;
  result.fields = FieldsOf(totals, legs);
  return result;
}

}  // namespace fedmeta

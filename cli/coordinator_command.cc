#include "fedmeta/cli/coordinator_command.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <thread>
#include <unistd.h>

#include "fedmeta/algorithms/server/aggregation_check.h"
#include "fedmeta/cli/coordinator_backup.h"
#include "fedmeta/cli/coordinator_files.h"
#include "fedmeta/cli/experiment_digest.h"
#include "fedmeta/cli/log_options.h"
#include "fedmeta/cli/monitoring.h"
#include "fedmeta/cli/run_description.h"
#include "fedmeta/cli/run_heading.h"
#include "fedmeta/cli/stop_signal.h"
#include "fedmeta/cli/transport_limits.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/coordinator/audit_log.h"
#include "fedmeta/coordinator/coordinator_metrics.h"
#include "fedmeta/coordinator/live_coordinator.h"
#include "fedmeta/coordinator/offer.h"
#include "fedmeta/core/file.h"
#include "fedmeta/identity/endorsement.h"
#include "fedmeta/identity/live_identity.h"
#include "fedmeta/metrics/run_metrics.h"
#include "fedmeta/privacy/certificate_party.h"
#include "fedmeta/privacy/privacy_account.h"
#include "fedmeta/protocol/version.h"
#include "fedmeta/records/progress.h"
#include "fedmeta/records/run_folder.h"
#include "fedmeta/records/run_log.h"
#include "fedmeta/transport/grpc_server.h"

namespace fedmeta {
namespace {

// How long a finished coordinator stays up so that every client hears that all is done; after a
// restart they may be in the longest pause between their tries.
constexpr int kFarewellMs = 10'000;
constexpr int kFarewellAfterRestartMs = 45'000;
constexpr int kGraceMs = 2'000;
constexpr std::chrono::milliseconds kProbeTime{1'000};

struct CoordinatorArguments {
  std::string file;
  std::vector<std::string> overrides;
  std::string new_epoch;
};

std::vector<std::string> NamesOf(const std::vector<Leg>& legs) {
  std::vector<std::string> names;
  for (const Leg& leg : legs) names.push_back(leg.name);
  return names;
}

std::string WhyUnhealthy(LiveCoordinator& coordinator) {
  const auto answered = std::make_shared<std::promise<void>>();
  coordinator.Probe([answered] { answered->set_value(); });
  if (answered->get_future().wait_for(kProbeTime) == std::future_status::ready) return {};
  return "the engine has not answered for " + std::to_string(kProbeTime.count()) + " ms";
}

/// For those who get the run folder.
Status CopyAudit(const std::filesystem::path& file, const std::filesystem::path& out) {
  if (file == out / "audit.jsonl") return {};
  FEDMETA_ASSIGN_OR_RETURN(const std::string content, ReadFile(file));
  return WriteFileAtomically(out / "audit.jsonl", std::string_view(content));
}

/// What a researcher has signed, verified as sites will; empty: nothing.
Result<std::string> ReadEndorsement(const std::string& experiment, const Digest& offer,
                                    const IdentitySource& identity, WallTime now) {
  const std::filesystem::path file = EndorsementFile(experiment);
  if (!std::filesystem::exists(file)) return std::string();
  FEDMETA_ASSIGN_OR_RETURN(std::string endorsement, ReadFile(file));
  const Result<IdentityUri> researcher = CheckEndorsement(endorsement, offer, identity, now);
  if (researcher.ok()) return endorsement;
  return Error(ErrorCode::kInvalidArgument,
               file.string() + ": " + researcher.error().message() +
                   "; sites approve this experiment as " + offer.hex() +
                   ": sign it with the overrides and the initial state that it runs with "
                   "(`fedmeta sign`), or remove the file");
}

Result<RunSummary> RunCoordinator(const PluginTables& schema, const ServerRegistry& server,
                                  const CoordinatorArguments& arguments, std::stop_token stop) {
  const SystemClock clock;
  const Loader loader(schema);
  FEDMETA_ASSIGN_OR_RETURN(const auto config, loader.LoadCoordinator(arguments.file));
  FEDMETA_ASSIGN_OR_RETURN(
      const auto experiment,
      loader.LoadExperiment(config->experiment(), arguments.overrides, Loader::RunKind::kLive));
  FEDMETA_RETURN_IF_ERROR(CheckAggregation(server, *experiment));
  if (experiment->privacy().differential_privacy().sampling() == "poisson") {
    return Error(ErrorCode::kInvalidArgument,
                 config->experiment() +
                     ": privacy.differential_privacy.sampling poisson is for simulations: a live "
                     "coordinator chooses whom it asks, so nothing is gained by chance; set it to "
                     "none");
  }
  if (experiment->has_simulated_attack()) {
    return Error(
        ErrorCode::kInvalidArgument,
        config->experiment() + ": simulated_attack is for simulations (fedmeta run): remove it");
  }
  const std::unique_ptr<Logger> logger = MakeLogger(config->log(), clock);
  FEDMETA_ASSIGN_OR_RETURN(
      const std::shared_ptr<LiveIdentity> identity,
      LiveIdentity::Open(config->identity(), IdentityRole::kCoordinator, clock, *logger));
  const IdentityWatch watch(*identity, kIdentityLooks);
  FEDMETA_ASSIGN_OR_RETURN(
      std::vector<Leg> legs,
      ReadLegs(config->initial_state(), InitialStateDigest(*experiment, schema)));

  const Digest offer = ExperimentOffer(*experiment, legs).hash();
  FEDMETA_ASSIGN_OR_RETURN(const std::string endorsement,
                           ReadEndorsement(config->experiment(), offer, *identity, clock.Wall()));
  const ExperimentId run(experiment->name());
  const std::filesystem::path beside = FolderOfFile(arguments.file);
  FEDMETA_ASSIGN_OR_RETURN(const std::optional<std::filesystem::path> store_path,
                           StorePath(config->store(), beside));
  FEDMETA_ASSIGN_OR_RETURN(const std::unique_ptr<RoundStore> store,
                           OpenRoundStore(store_path, Durability::kPower));
  FEDMETA_ASSIGN_OR_RETURN(const std::optional<RunDescription> before,
                           ReadDescription(*store, run));
  RunDescription description{.experiment = PrintYaml(*experiment, schema),
                             .initial_state = InitialStateHex(legs),
                             .data = {},
                             .out = config->out()};
  if (description.out.empty()) {
    description.out = before ? before->out : beside / DefaultRunFolder(experiment->name(), clock);
  }
  if (before) FEDMETA_RETURN_IF_ERROR(CheckResumable(*before, description, schema));
  const std::filesystem::path& out = description.out;
  RunHeading heading = MakeHeading(*experiment, legs, out);
  heading.live = true;
  // The file's partition is for simulations: who takes part is known when they have joined.
  heading.clients = experiment->federation().cohort();
  heading.holdout_clients = 0;
  std::vector<std::unique_ptr<RunObserver>> observers;
  FEDMETA_ASSIGN_OR_RETURN(auto folder,
                           RunFolder::Create({.dir = out,
                                              .resume = before.has_value(),
                                              .experiment_yaml = description.experiment,
                                              .manifest = {.protocol = ProtocolVersionText(),
                                                           .blas = {},
                                                           .libtorch = {},
                                                           .threads = 0,
                                                           .seed = experiment->seed(),
                                                           .data_fingerprints = {},
                                                           .mode = "live"}},
                                             clock));
  observers.push_back(std::move(folder));
  observers.push_back(
      MakeProgressDisplay(stdout, isatty(STDOUT_FILENO) == 1, "coordinator", clock));
  observers.push_back(MakeRunLog(*logger));
  MetricRegistry registry;
  observers.push_back(MakeRunMetrics(
      {.legs = NamesOf(legs), .minimum_cohort = experiment->federation().minimum_cohort()},
      registry, clock));
  const std::unique_ptr<RunObserver> observer = MakeObserverChain(std::move(observers));
  FEDMETA_ASSIGN_OR_RETURN(OpenedRun opened, OpenRun(*store, run));
  FEDMETA_RETURN_IF_ERROR(WriteDescription(*store, opened.lease, description));
  std::string epoch;
  std::uint64_t epoch_number = 1;
  if (store_path) {
    const StoreFiles files{.store = *store_path, .audit = {}};
    FEDMETA_ASSIGN_OR_RETURN(epoch_number, EpochOf(files.epoch()));
    if (epoch_number > 1) {
      FEDMETA_ASSIGN_OR_RETURN(epoch, ReadFile(files.epoch()));
    }
  }
  const std::filesystem::path audit_file = AuditFile(*config, store_path, out);
  FEDMETA_ASSIGN_OR_RETURN(
      const auto audit,
      AuditLog::Open({.file = audit_file, .epoch = epoch_number}, *identity, clock));
  FEDMETA_ASSIGN_OR_RETURN(const std::vector<PrivacyCharge> charges, store->PrivacyCharges(run));
  FEDMETA_RETURN_IF_ERROR(audit->Reconcile(opened, charges));
  FEDMETA_ASSIGN_OR_RETURN(const auto account, PrivacyAccount::Of(*experiment));
  FEDMETA_RETURN_IF_ERROR(
      audit->Started({.experiment = experiment->name(),
                      .offer = offer,
                      .visible = WhatIsVisible(*experiment),
                      .secure = experiment->privacy().secure_aggregation().mode() == "secure",
                      .charges = account.has_value()},
                     before.has_value()));
  // What sites have told since a restore, which its store does not have.
  opened.charged += audit->ToldReleases(experiment->name());
  const std::unique_ptr<PeerVerifier> verifier = CertificateVerifier(*identity, clock);
  FEDMETA_ASSIGN_OR_RETURN(
      const auto coordinator,
      LiveCoordinator::Create(
          {.experiment = *experiment,
           .limits = config->limits(),
           .legs = std::move(legs),
           .registry = server,
           .parties = {.federation = identity->credentials()->identity.federation,
                       .verifier = verifier.get()},
           .stored = MakeStoreMetrics(registry),
           .audit = audit.get(),
           .epoch = epoch,
           .endorsement = endorsement},
          std::move(opened), *store, *observer, clock, *logger));
  const auto metrics =
      CoordinatorMetrics::Create(*coordinator, config->limits().staging_slots(), registry);
  FEDMETA_ASSIGN_OR_RETURN(
      const auto grpc,
      GrpcServer::Start({.listen = config->listen(),
                         .members = {config->members().begin(), config->members().end()},
                         .limits = TransportLimitsOf(config->limits()),
                         .refused = [&](ErrorCode code) { metrics->Refused(code); },
                         .turned_away =
                             [&](const std::string& who_and_why) {
                               // A record that cannot be written ends the run at its next entry.
                               [[maybe_unused]] const Status noted = audit->TurnedAway(who_and_why);
                             }},
                        identity, *metrics, *logger));
  const std::string host = config->listen().substr(0, config->listen().rfind(':'));
  std::printf("listening on %s:%d as %s\n", host.c_str(), grpc->port(),
              identity->credentials()->identity.ToString().c_str());
  std::printf("experiment %s, which sites approve as %s\n", experiment->name().c_str(),
              offer.hex().c_str());
  if (const auto warning = identity->Warning()) std::printf("warning: %s\n", warning->c_str());
  std::fflush(stdout);
  Monitored monitored{.clock = clock,
                      .certificate_expires = [&] { return identity->credentials()->not_after; },
                      .folders = {{"out", out}}};
  if (store_path) monitored.folders["store"] = store_path->parent_path();
  AddCommonMetrics(monitored, registry);
  std::atomic<bool> serving = true;
  FEDMETA_ASSIGN_OR_RETURN(const auto monitoring,
                           ServeMetrics(config->has_metrics() ? &config->metrics() : nullptr,
                                        {.listen = {},
                                         .unhealthy = [&] { return WhyUnhealthy(*coordinator); },
                                         .not_ready =
                                             [&] {
                                               std::vector<std::string> reasons =
                                                   WhyNotReady(monitored);
                                               if (!serving)
                                                 reasons.emplace_back("the run has ended");
                                               return reasons;
                                             }},
                                        registry, *logger));
  FEDMETA_RETURN_IF_ERROR(observer->Started(heading));
  coordinator->Start();
  const std::stop_callback cancel(stop, [&] { coordinator->Cancel("interrupted", true); });
  Result<RunSummary> summary = coordinator->Wait(before ? kFarewellAfterRestartMs : kFarewellMs);
  serving = false;
  grpc->Stop(kGraceMs);
  FEDMETA_RETURN_IF_ERROR(CopyAudit(audit_file, out));
  return summary;
}

/// What the words after the file ask for: nothing else than overrides is to run it.
std::function<Status()> StoreAction(const PluginTables& schema,
                                    const CoordinatorArguments& arguments) {
  const std::vector<std::string>& words = arguments.overrides;
  if (words.empty() || (words.front() != "backup" && words.front() != "restore")) return nullptr;
  if (words.size() != 2) {
    return [action = words.front()] {
      return Error(ErrorCode::kInvalidArgument, action + " needs one folder");
    };
  }
  if (words.front() == "backup")
    return [&] { return BackUpCoordinator(schema, arguments.file, arguments.overrides[1]); };
  return [&] {
    return RestoreCoordinator(schema, arguments.file, arguments.overrides[1], arguments.new_epoch);
  };
}

}  // namespace

Command CoordinatorCommand(const PluginTables& schema, const ServerRegistry& server) {
  return {.name = "coordinator",
          .description = "Coordinate a live federation.",
          .example = "fedmeta coordinator coordinator.yaml",
          .setup = [schema, server](CLI::App& app) -> std::function<int()> {
            const auto arguments = std::make_shared<CoordinatorArguments>();
            app.add_option("file", arguments->file, "COORDINATOR.yaml")->required();
            app.add_option("overrides", arguments->overrides,
                           "key.path=value ... of the experiment; or: backup FOLDER; or: "
                           "restore FOLDER --new-epoch EPOCHFILE");
            app.add_option("--new-epoch", arguments->new_epoch,
                           "With restore: what `fedmeta pki epoch` made");
            return [schema, server, arguments] {
              if (const auto action = StoreAction(schema, *arguments)) {
                const Status done = action();
                return done.ok() ? 0 : ReportError(done.error());
              }
              const StopSignal stop;
              const Result<RunSummary> summary =
                  RunCoordinator(schema, server, *arguments, stop.token());
              return summary.ok() ? FinishRun(*summary, false) : ReportError(summary.error());
            };
          }};
}

}  // namespace fedmeta

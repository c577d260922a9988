#include <algorithm>
#include <string>

#include "fedmeta/cli/check_identity.h"
#include "fedmeta/cli/learn_commands.h"
#include "fedmeta/cli/log_options.h"
#include "fedmeta/cli/machine_facts.h"
#include "fedmeta/cli/monitoring.h"
#include "fedmeta/cli/stop_signal.h"
#include "fedmeta/client/client_metrics.h"
#include "fedmeta/client/client_runner.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/core/file.h"
#include "fedmeta/identity/endorsement.h"
#include "fedmeta/identity/live_identity.h"
#include "fedmeta/privacy/certificate_party.h"
#include "fedmeta/privacy/threshold.h"
#include "fedmeta/site/audit_witness.h"
#include "fedmeta/site/control_socket.h"
#include "fedmeta/site/policy.h"
#include "fedmeta/site/site_control.h"
#include "fedmeta/transport/coordinator_link.h"

namespace fedmeta {
namespace {

Result<std::unique_ptr<SiteControl>> OpenControl(const v1::ClientFile& config,
                                                 const IdentitySource& identity,
                                                 const Clock& clock) {
  SiteControl::Options options{.policy = config.policy(),
                               .hours = ParseDayHours(config.resources().hours()),
                               .state_dir = config.state_dir(),
                               .site = {.identity = identity.credentials()->identity,
                                        .data = {},
                                        .revocation_settled = RevocationSettled(config)},
                               .researcher = [&identity, &clock](const Proposal& proposal) {
                                 return CheckEndorsement(proposal.endorsement, proposal.hash,
                                                         identity, clock.Wall());
                               }};
  for (const auto& [name, data] : config.data()) options.site.data.emplace(name, RoleOf(data));
  return SiteControl::Open(std::move(options), clock);
}

Status RunClient(const LearnProgram& program, const std::string& file, std::stop_token stop) {
  const SystemClock clock;
  FEDMETA_ASSIGN_OR_RETURN(const auto config, Loader(program.schema).LoadClient(file));
  if (!config->has_coordinator() || !config->has_identity()) {
    return Error(
        ErrorCode::kInvalidArgument,
        file + ": a client that dials a coordinator needs the blocks 'coordinator' and 'identity'");
  }
  const std::unique_ptr<Logger> logger = MakeLogger(config->log(), clock);
  WarnOfSlowBlas();
  FEDMETA_ASSIGN_OR_RETURN(
      const std::shared_ptr<LiveIdentity> identity,
      LiveIdentity::Open(config->identity(), IdentityRole::kClient, clock, *logger));
  const IdentityWatch watch(*identity, kIdentityLooks);
  if (!RevocationSettled(*config)) {
    logger->Log(LogLevel::kWarning, "no_revocation_list", {{"reason", kRevocationNotSettled}});
  }
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(config->state_dir(), 0700));
  ClientRunner::Options options{.name = identity->credentials()->identity.name,
                                .registries = program.registries,
                                .data = {},
                                .threads = config->resources().threads(),
                                .state_dir = config->state_dir()};
  if (config->policy().has_epsilon_budget()) {
    options.epsilon_budget = config->policy().epsilon_budget();
  }
  for (const auto& [name, data] : config->data()) {
    Result<OpenedSource> source = OpenSite(program.registries.data, data, config->resources());
    if (!source.ok()) return source.error().WithContext("data." + name);
    options.data.emplace(name, SiteSource{.source = std::move(*source), .role = RoleOf(data)});
  }
  FEDMETA_ASSIGN_OR_RETURN(const auto control, OpenControl(*config, *identity, clock));
  FEDMETA_ASSIGN_OR_RETURN(
      const auto socket,
      ControlSocket::Start({.path = ControlSocketPath(config->state_dir()),
                            .answer = [&](std::string_view request, const std::string& who) {
                              return control->Answer(request, who);
                            }}));
  FEDMETA_ASSIGN_OR_RETURN(const auto witness,
                           AuditWitness::Open(config->state_dir(), *identity, clock));
  options.witness = witness.get();
  const std::unique_ptr<PeerVerifier> verifier = CertificateVerifier(*identity, clock);
  std::vector<std::string> members(config->policy().members().begin(),
                                   config->policy().members().end());
  if (members.empty()) {
    members = {"spiffe://" + identity->credentials()->identity.federation + "/client/*"};
  }
  options.secure =
      SecureIdentity{.federation = identity->credentials()->identity.federation,
                     .policy = {.minimum_members = std::max<std::uint32_t>(
                                    kSmallestSession, MinimumCohort(config->policy(), true)),
                                .members = std::move(members)},
                     .signer = CertificateSigner(identity, clock),
                     .verifier = verifier.get(),
                     .same_model = config->secure_aggregation().same_model(),
                     .reopen = config->secure_aggregation().reopen(),
                     .plan_seeds = config->secure_aggregation().plan_seeds()};
  MetricRegistry registry;
  ClientMetrics metrics(clock, registry);
  FEDMETA_ASSIGN_OR_RETURN(const auto link,
                           MakeGrpcLink(config->coordinator(), identity, *logger,
                                        [&](bool reached) { metrics.Reached(reached); }));
  const Monitored monitored{
      .clock = clock,
      .certificate_expires = [&] { return identity->credentials()->not_after; },
      .folders = {{"state_dir", config->state_dir()}}};
  AddCommonMetrics(monitored, registry);
  const auto not_ready = [&] {
    std::vector<std::string> reasons = WhyNotReady(monitored);
    if (!metrics.reached()) reasons.emplace_back("coordinator: not reached");
    return reasons;
  };
  FEDMETA_ASSIGN_OR_RETURN(
      const auto server,
      ServeMetrics(config->has_metrics() ? &config->metrics() : nullptr,
                   {.listen = {}, .unhealthy = [] { return ""; }, .not_ready = not_ready}, registry,
                   *logger));
  const std::unique_ptr<CoordinatorLink> counted = metrics.Wrap(*link);
  ClientRunner runner(std::move(options), *control, *counted, clock, *logger);
  return runner.Run(stop);
}

}  // namespace

Command ClientCommand(const LearnProgram& program) {
  return {
      .name = "client",
      .description =
          "Run a site: dial the coordinator, train on local data, until the federation is done.",
      .example = "fedmeta client site-1/client.yaml",
      .setup = [program](CLI::App& app) -> std::function<int()> {
        const auto file = std::make_shared<std::string>();
        app.add_option("file", *file, "CLIENT.yaml")->required();
        return [program, file] {
          const StopSignal stop;
          const Status status = RunClient(program, *file, stop.token());
          return status.ok() ? 0 : ReportError(status.error());
        };
      }};
}

}  // namespace fedmeta

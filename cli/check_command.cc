#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <netdb.h>
#include <optional>
#include <span>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "fedmeta/cli/blas.h"
#include "fedmeta/cli/check_identity.h"
#include "fedmeta/cli/check_site.h"
#include "fedmeta/cli/check_table.h"
#include "fedmeta/cli/commands.h"
#include "fedmeta/cli/experiment_digest.h"
#include "fedmeta/cli/findings.h"
#include "fedmeta/cli/transport_limits.h"
#include "fedmeta/client/data/partition.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/coordinator/leg.h"
#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/dictionary.h"
#include "fedmeta/transport/descriptor_limit.h"

namespace fedmeta {
namespace {

using Json = Findings::Json;

std::string Count(std::uint64_t count, const std::string& noun) {
  return FormatCount(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string MethodText(const v1::Plugin& method) {
  const auto settings = static_cast<std::uint64_t>(method.alternatives_size()) + 1;
  return method.name() + (settings > 1 ? " (" + Count(settings, "setting") + ")" : "");
}

/// Opens the source of a simulation. Nothing if it cannot be used.
std::optional<OpenedSource> CheckSource(const DataRegistry& registry, const v1::Data& data,
                                        Findings& findings) {
  auto source = OpenSource(registry, data.source());
  if (!source.ok()) {
    findings.Fail(source.error().WithContext("data.source"));
    return std::nullopt;
  }
  if (!source->table) {
    DescribeSource(*source, data.source().name(), "data.source", findings);
    return std::move(*source);
  }
  source->dataset = CheckTable(*source->table, DictionaryOf(data), "data.source", findings);
  source->table = nullptr;
  if (!source->dataset) return std::nullopt;
  return std::move(*source);
}

void DescribeExperiment(const v1::Experiment& experiment, Findings& findings) {
  const v1::Federation& federation = experiment.federation();
  const v1::Evaluation& evaluation = experiment.evaluation();
  findings.Fact("name", experiment.name());
  findings.Fact("seed", std::to_string(experiment.seed()), experiment.seed());
  findings.Fact("model", experiment.model().name());
  findings.Fact("algorithm", MethodText(experiment.algorithm()), experiment.algorithm().name());
  std::vector<std::string> baselines;
  Json baseline_names = Json::array();
  for (const v1::Plugin& baseline : evaluation.baselines()) {
    baselines.push_back(MethodText(baseline));
    baseline_names.push_back(baseline.name());
  }
  findings.Fact("baselines", baselines.empty() ? "none" : Join(baselines, ", "), baseline_names);
  findings.Fact("server", experiment.server().aggregation().name() + ", " +
                              experiment.server().optimizer().name());
  findings.Fact("rounds",
                FormatCount(federation.rounds()) +
                    (evaluation.every() > 0 ? ", evaluated every " + FormatCount(evaluation.every())
                                            : ", evaluated at the end"),
                federation.rounds());
  findings.Fact(
      "cohort",
      FormatCount(federation.cohort()) + ", at least " + FormatCount(federation.minimum_cohort()),
      federation.cohort());
}

/// How many sites a simulation has and in which roles, once the partition has been drawn.
void CheckPartition(const v1::Experiment& experiment, const OpenedSource& source,
                    Findings& findings) {
  const auto partition = MakePartition(experiment.data().partition(), experiment.data().tasks(),
                                       source, experiment.seed());
  if (!partition.ok()) {
    findings.Fail(partition.error());
    return;
  }
  std::size_t holdout = 0;
  std::size_t validation = 0;
  for (std::size_t client = 0; client < (*partition)->clients(); ++client) {
    holdout += (*partition)->role(client) == v1::ROLE_HOLDOUT ? 1 : 0;
    validation += (*partition)->role(client) == v1::ROLE_VALIDATION ? 1 : 0;
  }
  const std::size_t clients = (*partition)->clients();
  findings.Fact("clients",
                FormatCount(clients) + " (" + FormatCount(holdout) + " held out, " +
                    FormatCount(validation) + " for validation)",
                {{"all", clients}, {"holdout", holdout}, {"validation", validation}});
  if (experiment.federation().cohort() > clients - holdout - validation) {
    findings.Fail(Error(ErrorCode::kInvalidArgument,
                        "federation.cohort must be <= the training clients, which are " +
                            std::to_string(clients - holdout - validation) + ", got " +
                            std::to_string(experiment.federation().cohort())));
  }
}

/// Where this machine's matrix products go; training on the reference BLAS works, only slowly.
void CheckBlas(Findings& findings) {
  const std::string name = BlasName();
  findings.Fact("blas", name);
  if (IsSlowBlas(name)) findings.Warn(kSlowBlasAdvice);
}

void CheckExists(const std::string& key, const std::string& path, Findings& findings) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    findings.Fail(Error(ErrorCode::kNotFound, key + ": there is no " + path));
  }
}

/// The folder need not be there yet: then the nearest one above it must let us make it.
void CheckWritable(const std::string& key, const std::filesystem::path& folder,
                   Findings& findings) {
  std::error_code ignored;
  std::filesystem::path there = folder;
  while (!std::filesystem::exists(there, ignored) && there.has_relative_path())
    there = there.parent_path();
  if (!std::filesystem::is_directory(there, ignored)) {
    findings.Fail(
        Error(ErrorCode::kInternal, key + ": " + there.string() + " is no folder; choose another"));
  } else if (::access(there.c_str(), W_OK | X_OK) != 0) {
    findings.Fail(Error(ErrorCode::kInternal, key + ": cannot write into " + there.string() + ": " +
                                                  std::strerror(errno)));
  } else {
    const auto free = std::filesystem::space(there, ignored).available;
    findings.Fact(key, folder.string() + ", " + FormatBytes(free) + " free",
                  {{"path", folder.string()}, {"free_bytes", free}});
  }
}

/// Binds once and lets go.
void CheckListen(const std::string& key, const std::string& address, Findings& findings) {
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int code =
          ::getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &found);
      code != 0) {
    findings.Fail(Error(ErrorCode::kInvalidArgument,
                        key + ": cannot resolve '" + host + "': " + ::gai_strerror(code)));
    return;
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, ::freeaddrinfo);
  const int socket =
      ::socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
  const int on = 1;
  // A port that a finished server has left in TIME_WAIT is free for the next.
  if (socket >= 0) ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const bool bound = socket >= 0 && ::bind(socket, found->ai_addr, found->ai_addrlen) == 0;
  const int code = errno;
  if (socket >= 0) ::close(socket);
  if (bound) {
    findings.Fact(key, address + ", free", address);
    return;
  }
  findings.Fail(
      Error(ErrorCode::kUnavailable,
            key + ": cannot listen on " + address + ": " + std::strerror(code) +
                (code == EADDRINUSE ? "; stop what uses the port or choose another" : "")));
}

struct CheckOptions {
  std::string file;
  /// Of an experiment: overrides; of a client file: an experiment and its overrides.
  std::vector<std::string> rest;
  bool json = false;
};

class Checker {
 public:
  Checker(const PluginTables& tables, const DataRegistry& data, const CheckOptions& options)
      : loader_(tables), data_(data), options_(options) {}

  int Run() const {
    const auto kind = loader_.GuessKind(options_.file);
    if (!kind.ok()) return ReportError(kind.error(), options_.json);
    const std::vector<std::string>& rest = options_.rest;
    const bool with_experiment = *kind == Loader::FileKind::kClient && !rest.empty() &&
                                 rest.front().find('=') == std::string::npos;
    if (*kind != Loader::FileKind::kExperiment && !with_experiment && !rest.empty()) {
      return ReportError(
          Error(ErrorCode::kInvalidArgument, "only an experiment takes key.path=value, got '" +
                                                 rest.front() + "' with " + options_.file),
          options_.json);
    }
    switch (*kind) {
      case Loader::FileKind::kExperiment:
        return Experiment();
      case Loader::FileKind::kClient:
        return Client();
      case Loader::FileKind::kCoordinator:
        return Coordinator();
    }
    return 1;
  }

 private:
  int Experiment() const {
    const auto experiment = loader_.LoadExperiment(options_.file, options_.rest);
    if (!experiment.ok()) return ReportError(experiment.error(), options_.json);
    Findings findings(options_.file, "experiment");
    DescribeExperiment(**experiment, findings);
    if ((*experiment)->model().has_initial()) {
      CheckExists("model.initial", (*experiment)->model().initial(), findings);
    }
    if ((*experiment)->data().partition().scheme() == "sites") {
      CheckSiteFiles(loader_, data_, **experiment, findings);
      CheckBlas(findings);
    } else if ((*experiment)->data().has_source()) {
      const auto source = CheckSource(data_, (*experiment)->data(), findings);
      if (source) CheckPartition(**experiment, *source, findings);
      CheckBlas(findings);
    }
    return findings.Finish(options_.json);
  }

  int Client() const {
    const auto client = loader_.LoadClient(options_.file);
    if (!client.ok()) return ReportError(client.error(), options_.json);
    Findings findings(options_.file, "client");
    if ((*client)->has_coordinator())
      findings.Fact("coordinator", (*client)->coordinator().address());
    const SystemClock clock;
    const auto logger = MakeNullLogger();
    std::shared_ptr<LiveIdentity> identity;
    if ((*client)->has_identity())
      identity =
          CheckIdentity((*client)->identity(), IdentityRole::kClient, clock, *logger, findings);
    if (identity && !RevocationSettled(**client)) findings.Warn(kRevocationNotSettled);
    if ((*client)->has_coordinator() && identity) {
      CheckWayTo((*client)->coordinator(), identity, clock, findings);
    } else if ((*client)->has_coordinator() && (*client)->coordinator().has_proxy_password_file()) {
      CheckExists("coordinator.proxy_password_file", (*client)->coordinator().proxy_password_file(),
                  findings);
    }
    CheckWritable("state_dir", (*client)->state_dir(), findings);
    if ((*client)->has_metrics()) {
      CheckListen("metrics.listen", (*client)->metrics().listen(), findings);
    }
    if (options_.rest.empty()) {
      for (const auto& [name, site] : (*client)->data()) {
        CheckSiteData(data_, **client, name, nullptr, "data." + name, findings);
      }
    } else {
      CheckWithExperiment(**client, findings);
    }
    CheckBlas(findings);
    return findings.Finish(options_.json);
  }

  /// What one experiment would use of the site's data.
  void CheckWithExperiment(const v1::ClientFile& client, Findings& findings) const {
    const auto experiment =
        loader_.LoadExperiment(options_.rest.front(), std::span(options_.rest).subspan(1));
    if (!experiment.ok()) return findings.Fail(experiment.error());
    const std::string& name = (*experiment)->data().name();
    findings.Fact("experiment", (*experiment)->name());
    const auto site = client.data().find(name);
    if (site == client.data().end()) {
      return findings.Fail(Error(ErrorCode::kInvalidArgument,
                                 "the experiment learns from data '" + name +
                                     "', which this file does not name: add data." + name));
    }
    CheckSite(client, name, **experiment, findings);
  }

  void CheckSite(const v1::ClientFile& client, const std::string& name,
                 const v1::Experiment& experiment, Findings& findings) const {
    const std::string label = "data." + name;
    const auto source = CheckSiteData(data_, client, name, &experiment, label, findings);
    if (!source || !source->dataset) return;
    // Sizes do not depend on the name that the certificate will say.
    const std::string site_name = std::filesystem::path(options_.file).stem().string();
    const Status status =
        CanTakePart(data_, experiment, *source, site_name, RoleOf(client.data().at(name)));
    if (!status.ok()) findings.Fail(status.error().WithContext(label));
  }

  int Coordinator() const {
    const auto coordinator = loader_.LoadCoordinator(options_.file);
    if (!coordinator.ok()) return ReportError(coordinator.error(), options_.json);
    const v1::CoordinatorFile& file = **coordinator;
    Findings findings(options_.file, "coordinator");
    CheckListen("listen", file.listen(), findings);
    if (file.has_metrics()) CheckListen("metrics.listen", file.metrics().listen(), findings);
    if (const std::string few =
            TooFewDescriptors(HardDescriptorLimit(), TransportLimitsOf(file.limits()));
        !few.empty()) {
      findings.Warn(few);
    }
    const SystemClock clock;
    const auto logger = MakeNullLogger();
    CheckIdentity(file.identity(), IdentityRole::kCoordinator, clock, *logger, findings);
    const std::filesystem::path folder = std::filesystem::absolute(options_.file).parent_path();
    CheckWritable("out", file.has_out() ? std::filesystem::path(file.out()) : folder / "runs",
                  findings);
    if (const auto store = StorePath(file.store(), folder); !store.ok()) {
      findings.Fail(store.error());
    } else if (*store) {
      CheckWritable("store", (*store)->parent_path(), findings);
    } else {
      findings.Warn("store: memory: a coordinator that ends loses its run");
    }
    const auto experiment = loader_.LoadExperiment(file.experiment(), {}, Loader::RunKind::kLive);
    if (!experiment.ok()) {
      findings.Fail(experiment.error().WithContext("experiment"));
      return findings.Finish(options_.json);
    }
    findings.Fact("experiment", file.experiment());
    DescribeExperiment(**experiment, findings);
    const auto legs =
        ReadLegs(file.initial_state(), InitialStateDigest(**experiment, loader_.tables()));
    if (!legs.ok()) findings.Fail(legs.error().WithContext("initial_state"));
    return findings.Finish(options_.json);
  }

  const Loader loader_;
  const DataRegistry& data_;
  const CheckOptions& options_;
};

}  // namespace

Command CheckCommand(const PluginTables& tables, const DataRegistry& data) {
  return {.name = "check",
          .description = "Validate an experiment, client or coordinator file and what it names.",
          .example = "fedmeta check configs/experiments/sinusoid_maml.yaml federation.rounds=100",
          .setup = [tables, data](CLI::App& app) -> std::function<int()> {
            const auto options = std::make_shared<CheckOptions>();
            app.add_option("file", options->file, "FILE.yaml")->required();
            app.add_option("rest", options->rest,
                           "Of an experiment: key.path=value ...; of a client file: the "
                           "EXPERIMENT.yaml whose use of the data is to be shown");
            app.add_flag("--json", options->json, "Machine-readable result on stdout");
            return [tables, data, options] { return Checker(tables, data, *options).Run(); };
          }};
}

}  // namespace fedmeta

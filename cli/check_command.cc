#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <netdb.h>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fedmeta/cli/blas.h"
#include "fedmeta/cli/commands.h"
#include "fedmeta/cli/experiment_digest.h"
#include "fedmeta/client/data/partition.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/coordinator/leg.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/text.h"
#include "fedmeta/identity/credentials.h"

namespace fedmeta {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kWarnBelowDays = 30;

/// What a check found out, for people and for scripts.
class Findings {
 public:
  Findings(std::string file, std::string kind) : file_(std::move(file)), kind_(std::move(kind)) {}

  void Fact(const std::string& label, const std::string& text, const Json& value) {
    lines_ +=
        "  " + label + std::string(label.size() < 13 ? 13 - label.size() : 1, ' ') + text + "\n";
    facts_[label] = value;
  }
  void Fact(const std::string& label, const std::string& text) { Fact(label, text, text); }
  void Warn(const std::string& text) { warnings_.push_back(text); }
  void Fail(const Error& error) { errors_.push_back(error); }

  /// Prints all of it; the exit code is that of the first error.
  int Finish(bool json) const {
    if (json) {
      Json object = {{"file", file_},   {"kind", kind_},         {"valid", errors_.empty()},
                     {"facts", facts_}, {"warnings", warnings_}, {"errors", Json::array()}};
      for (const Error& error : errors_) {
        object["errors"].push_back(
            {{"code", ErrorCodeName(error.code())}, {"message", error.message()}});
      }
      std::printf("%s\n", object.dump().c_str());
    } else {
      std::printf("%s: %s file, keys and values are valid\n%s", file_.c_str(), kind_.c_str(),
                  lines_.c_str());
      std::fflush(stdout);
    }
    for (const std::string& warning : warnings_) {
      std::fprintf(stderr, "fedmeta: warning: %s\n", warning.c_str());
    }
    for (const Error& error : errors_) ReportError(error);
    return errors_.empty() ? 0 : ExitCode(errors_.front());
  }

 private:
  std::string file_;
  std::string kind_;
  std::string lines_;
  Json facts_ = Json::object();
  std::vector<std::string> warnings_;
  std::vector<Error> errors_;
};

std::string Count(std::uint64_t count, const std::string& noun) {
  return FormatCount(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string MethodText(const v1::Plugin& method) {
  const auto settings = static_cast<std::uint64_t>(method.alternatives_size()) + 1;
  return method.name() + (settings > 1 ? " (" + Count(settings, "setting") + ")" : "");
}

/// Opens a source; says what it holds. Nothing if it cannot be read.
std::optional<OpenedSource> CheckSource(const DataRegistry& data, const v1::Plugin& choice,
                                        const std::string& label, Findings& findings) {
  auto source = OpenSource(data, choice);
  if (!source.ok()) {
    findings.Fail(source.error().WithContext(label));
    return std::nullopt;
  }
  std::vector<std::string> extents;
  for (const std::int64_t extent : source->input_shape) extents.push_back(std::to_string(extent));
  std::string text = choice.name() + ", examples of shape " + Join(extents, "x");
  Json value = {{"source", choice.name()}, {"input_shape", source->input_shape}};
  if (source->dataset) {
    text += ", " + Count(source->dataset->size(), "example") + ", " +
            FormatCount(static_cast<std::uint64_t>(source->dataset->classes())) + " classes";
    value["examples"] = source->dataset->size();
    value["classes"] = source->dataset->classes();
  }
  findings.Fact(label, text, value);
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

void CheckCredentials(const v1::Identity& identity, IdentityRole role, Findings& findings) {
  const SystemClock clock;
  const auto credentials = LoadCredentials(identity, role, clock);
  if (!credentials.ok()) {
    findings.Fail(credentials.error().WithContext("identity"));
    return;
  }
  const auto days = static_cast<std::int64_t>(credentials->days_left);
  findings.Fact("identity",
                credentials->identity.ToString() + ", valid for " + std::to_string(days) + " days",
                {{"uri", credentials->identity.ToString()}, {"days_left", credentials->days_left}});
  if (credentials->days_left < kWarnBelowDays) {
    findings.Warn("identity.certificate expires in " + std::to_string(days) +
                  " days; request a new one");
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

/// Binds once and lets go, as the coordinator will.
Status CheckListen(const std::string& address) {
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
    return Error(ErrorCode::kInvalidArgument,
                 "listen: cannot resolve '" + host + "': " + ::gai_strerror(code));
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
  if (bound) return {};
  return Error(ErrorCode::kUnavailable,
               "listen: cannot listen on " + address + ": " + std::strerror(code) +
                   (code == EADDRINUSE ? "; stop what uses the port or choose another" : ""));
}

struct CheckOptions {
  std::string file;
  std::vector<std::string> overrides;
  bool json = false;
};

class Checker {
 public:
  Checker(const PluginTables& tables, const DataRegistry& data, const CheckOptions& options)
      : loader_(tables), data_(data), options_(options) {}

  int Run() const {
    const auto kind = loader_.GuessKind(options_.file);
    if (!kind.ok()) return ReportError(kind.error(), options_.json);
    if (*kind != Loader::FileKind::kExperiment && !options_.overrides.empty()) {
      return ReportError(Error(ErrorCode::kInvalidArgument,
                               "only an experiment takes key.path=value, got '" +
                                   options_.overrides.front() + "' with " + options_.file),
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
    const auto experiment = loader_.LoadExperiment(options_.file, options_.overrides);
    if (!experiment.ok()) return ReportError(experiment.error(), options_.json);
    Findings findings(options_.file, "experiment");
    DescribeExperiment(**experiment, findings);
    if ((*experiment)->model().has_initial()) {
      CheckExists("model.initial", (*experiment)->model().initial(), findings);
    }
    if ((*experiment)->data().has_source()) {
      const auto source =
          CheckSource(data_, (*experiment)->data().source(), "data.source", findings);
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
    if ((*client)->has_identity())
      CheckCredentials((*client)->identity(), IdentityRole::kClient, findings);
    if ((*client)->has_coordinator() && (*client)->coordinator().has_proxy_password_file()) {
      CheckExists("coordinator.proxy_password_file", (*client)->coordinator().proxy_password_file(),
                  findings);
    }
    CheckWritable("state_dir", (*client)->state_dir(), findings);
    for (const auto& [name, site] : (*client)->data()) {
      CheckSource(data_, site.source(), "data." + name, findings);
    }
    CheckBlas(findings);
    return findings.Finish(options_.json);
  }

  int Coordinator() const {
    const auto coordinator = loader_.LoadCoordinator(options_.file);
    if (!coordinator.ok()) return ReportError(coordinator.error(), options_.json);
    const v1::CoordinatorFile& file = **coordinator;
    Findings findings(options_.file, "coordinator");
    if (const Status status = CheckListen(file.listen()); status.ok()) {
      findings.Fact("listen", file.listen() + ", free", file.listen());
    } else {
      findings.Fail(status.error());
    }
    CheckCredentials(file.identity(), IdentityRole::kCoordinator, findings);
    const std::filesystem::path folder = std::filesystem::absolute(options_.file).parent_path();
    CheckWritable("out", file.has_out() ? std::filesystem::path(file.out()) : folder / "runs",
                  findings);
    const auto experiment = loader_.LoadExperiment(file.experiment());
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
            app.add_option("overrides", options->overrides, "key.path=value ..., of an experiment");
            app.add_flag("--json", options->json, "Machine-readable result on stdout");
            return [tables, data, options] { return Checker(tables, data, *options).Run(); };
          }};
}

}  // namespace fedmeta

// Many clients in one process, over the transport of the real one, without LibTorch:
//   many-clients --coordinator HOST:PORT --authority DIR --federation NAME --dir DIR --data NAME
//                --clients N [--deaths P] [--seed 0]
// Client c (its name is load-<c>) downloads the state of each plan, which verifies it, and uploads
// an update that is ((7919 c + 104729 round) mod 2001 - 1000) / 1024 in every coordinate, with
// weight 1: who reads the records can tell what must have come out. With probability P a plan is
// this session's last: somewhere in it the connection is cut, and the client comes back anew.
// Certificates are made in --dir, by the authority in DIR, unless they are there. Ends when the
// coordinator has told every client that all is done, with one line of JSON.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "fedmeta/cli/stop_signal.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/identity/authority.h"
#include "fedmeta/identity/live_identity.h"
#include "fedmeta/privacy/contribution_codec.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/protocol/version.h"
#include "fedmeta/transport/coordinator_link.h"

namespace fedmeta {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string coordinator, authority, federation, dir, data;
  std::uint64_t clients = 1, seed = 0;
  double deaths = 0;
};

struct Counts {
  std::atomic<std::uint64_t> uploads = 0, deaths = 0, sessions = 0;
};

/// A death comes anywhere within this time after the plan.
constexpr double kLongestLifeMs = 50;

float UpdateOf(std::uint64_t client, std::uint64_t round) {
  const auto step = static_cast<std::int64_t>((7919 * client + 104729 * round) % 2001);
  return static_cast<float>(step - 1000) / 1024;
}

/// Ends a life after so long, unless it goes before.
class Doom {
 public:
  Doom(std::stop_source& life, double after_ms)
      : thread_([this, &life, after_ms](std::stop_token averted) {
          std::unique_lock lock(mutex_);
          wake_.wait_for(lock, averted, std::chrono::duration<double, std::milli>(after_ms),
                         [] { return false; });
          if (!averted.stop_requested()) life.request_stop();
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: ends before the rest goes
};

class LoadClient {
 public:
  LoadClient(const Options& options, std::uint64_t number, std::shared_ptr<IdentitySource> identity,
             Counts& counts, Logger& logger)
      : options_(options),
        number_(number),
        identity_(std::move(identity)),
        counts_(counts),
        logger_(logger),
        rng_({.seed = options.seed,
              .purpose = "death",
              .client = identity_->credentials()->identity.name}) {
    address_.set_address(options.coordinator);
  }

  /// Session after session, until all is done.
  Status Run(const std::stop_token& stop) {
    for (;;) {
      std::stop_source life;
      const std::stop_callback on_stop(stop, [&life] { life.request_stop(); });
      FEDMETA_ASSIGN_OR_RETURN(const auto link, MakeGrpcLink(address_, identity_, logger_));
      const Status lived = Live(*link, life);
      if (lived.ok() || stop.stop_requested() || lived.error().code() != ErrorCode::kCancelled)
        return lived;
      ++counts_.deaths;
    }
  }

 private:
  /// One session. kCancelled: it died.
  Status Live(CoordinatorLink& link, std::stop_source& life) {
    const std::stop_token alive = life.get_token();
    FEDMETA_ASSIGN_OR_RETURN(v1::NextRequest request, Join(link, alive));
    for (;;) {
      Result<v1::Instruction> next = link.Next(request, alive);
      if (!next.ok()) {
        if (next.error().code() != ErrorCode::kFailedPrecondition) return next.error();
        FEDMETA_ASSIGN_OR_RETURN(request, Join(link, alive));
      } else if (next->has_closed() && next->closed().all_done()) {
        if (!next->closed().failed()) return {};
        return Error(ErrorCode::kFederationFailed, next->closed().reason());
      } else if (next->has_plan()) {
        FEDMETA_ASSIGN_OR_RETURN(const RoundPlan plan, RoundPlan::Parse(next->plan()));
        *request.mutable_seen() = plan.message().key();
        std::optional<Doom> doom;
        if (rng_.Uniform() < options_.deaths) doom.emplace(life, kLongestLifeMs * rng_.Uniform());
        FEDMETA_RETURN_IF_ERROR(Answer(link, plan, alive));
      }
    }
  }

  Result<v1::NextRequest> Join(CoordinatorLink& link, const std::stop_token& alive) {
    v1::ClientHello hello;
    *hello.mutable_version() = OwnVersion();
    (*hello.mutable_data())[options_.data] = v1::ROLE_TRAIN;
    FEDMETA_ASSIGN_OR_RETURN(const v1::Welcome welcome, link.Join(hello, alive));
    ++counts_.sessions;
    v1::NextRequest request;
    request.set_session_id(welcome.session_id());
    return request;
  }

  /// An error that ends only this attempt is none here.
  Status Answer(CoordinatorLink& link, const RoundPlan& plan, const std::stop_token& alive) {
    Status done = Download(link, plan, alive);
    if (done.ok()) done = Upload(link, plan, alive);
    if (done.ok()) ++counts_.uploads;
    const bool closed = !done.ok() && (done.error().code() == ErrorCode::kFailedPrecondition ||
                                       done.error().code() == ErrorCode::kNotFound);
    return closed ? Status() : done;
  }

  Status Download(CoordinatorLink& link, const RoundPlan& plan, const std::stop_token& alive) {
    std::vector<float> state(plan.message().state_coordinates());
    return link.Download(plan.state_hash(), std::as_writable_bytes(std::span(state)), alive);
  }

  Status Upload(CoordinatorLink& link, const RoundPlan& plan, const std::stop_token& alive) {
    FEDMETA_ASSIGN_OR_RETURN(const Bytes payload, Payload(plan));
    v1::UploadHeader header;
    *header.mutable_key() = plan.message().key();
    header.set_plan_hash(plan.hash().bytes());
    header.set_size(payload.size());
    header.set_sha256(Digest::Of(payload).bytes());
    return link.Upload(header, payload, alive);
  }

  Result<Bytes> Payload(const RoundPlan& plan) const {
    const v1::RoundPlan& message = plan.message();
    FEDMETA_ASSIGN_OR_RETURN(
        const StateLayout layout,
        StateLayout::Create(
            {{.name = "state",
              .rule = ServerRule::kOptimize,
              .scale = 1.0,
              .tensors = {{.name = "state",
                           .shape = {static_cast<std::int64_t>(message.state_coordinates())},
                           .kind = TensorKind::kBody}}}}));
    const std::size_t cells = MetricCells(message);
    FEDMETA_ASSIGN_OR_RETURN(
        const ContributionCodec codec,
        ContributionCodec::Create({.layout = message.has_train() ? &layout : nullptr,
                                   .metric_cells = cells,
                                   .maximum_weight = message.maximum_weight(),
                                   .maximum_contributors = 1}));
    MetricSums metrics{.examples = 1, .tasks = 1};
    metrics.FinishClient();
    Contribution contribution{
        .update = {}, .weight = 1, .metrics = std::vector<MetricSums>(cells, metrics)};
    if (message.has_train())
      contribution.update.assign(layout.size(), UpdateOf(number_, plan.key().round));
    return codec.ToWire(contribution);
  }

  const Options& options_;
  const std::uint64_t number_;
  const std::shared_ptr<IdentitySource> identity_;
  Counts& counts_;
  Logger& logger_;
  Rng rng_;
  v1::CoordinatorAddress address_;
};

Result<std::shared_ptr<LiveIdentity>> MakeIdentity(const Options& options, const std::string& name,
                                                   const Clock& clock, Logger& logger) {
  const fs::path dir = fs::path(options.dir) / name;
  const fs::path certificate = dir / (name + ".pem");
  const fs::path trust = fs::path(options.authority) / "authority.pem";
  if (!fs::exists(certificate)) {
    FEDMETA_ASSIGN_OR_RETURN(const fs::path request,
                             MakeRequest({.dir = dir,
                                          .identity = {.federation = options.federation,
                                                       .role = IdentityRole::kClient,
                                                       .name = name}}));
    FEDMETA_ASSIGN_OR_RETURN(
        [[maybe_unused]] const IdentityUri issued,
        SignRequest(
            {.authority_dir = options.authority, .request = request, .certificate = certificate},
            clock));
  }
  v1::Identity files;
  files.set_certificate(certificate);
  files.set_key(dir / (name + ".key"));
  files.set_trust(trust);
  return LiveIdentity::Open(files, IdentityRole::kClient, clock, logger);
}

Status Run(const Options& options, Counts& counts) {
  const SystemClock clock;
  const std::unique_ptr<Logger> logger =
      MakeStderrLogger(clock, LogLevel::kWarning, LogFormat::kText);
  const StopSignal stop;
  std::vector<std::unique_ptr<LoadClient>> clients;
  for (std::uint64_t number = 1; number <= options.clients; ++number) {
    FEDMETA_ASSIGN_OR_RETURN(
        std::shared_ptr<LiveIdentity> identity,
        MakeIdentity(options, "load-" + std::to_string(number), clock, *logger));
    clients.push_back(
        std::make_unique<LoadClient>(options, number, std::move(identity), counts, *logger));
  }
  std::vector<Status> ends(clients.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < clients.size(); ++i)
      threads.emplace_back([&, i] { ends[i] = clients[i]->Run(stop.token()); });
  }
  for (const Status& end : ends) FEDMETA_RETURN_IF_ERROR(end);
  return {};
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app{"Many light clients in one process."};
  app.add_option("--coordinator", options.coordinator, "host:port")->required();
  app.add_option("--authority", options.authority, "folder of the authority")->required();
  app.add_option("--federation", options.federation, "its name")->required();
  app.add_option("--dir", options.dir, "folder of the clients' certificates")->required();
  app.add_option("--data", options.data, "data.name of the experiment")->required();
  app.add_option("--clients", options.clients, "how many")->required();
  app.add_option("--deaths", options.deaths, "probability that a plan is a session's last");
  app.add_option("--seed", options.seed, "of the deaths");
  CLI11_PARSE(app, argc, argv);
  Counts counts;
  const Status status = Run(options, counts);
  if (!status.ok()) {
    std::fprintf(stderr, "many-clients: %s\n", status.error().message().c_str());
    return 1;
  }
  std::printf("{\"clients\": %llu, \"uploads\": %llu, \"deaths\": %llu, \"sessions\": %llu}\n",
              static_cast<unsigned long long>(options.clients),
              static_cast<unsigned long long>(counts.uploads),
              static_cast<unsigned long long>(counts.deaths),
              static_cast<unsigned long long>(counts.sessions));
  return 0;
}

}  // namespace
}  // namespace fedmeta

int main(int argc, char** argv) { return fedmeta::Main(argc, argv); }

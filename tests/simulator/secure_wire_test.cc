// Everything that clients of a secure experiment say, decoded: nothing depends on their data but
// ring vectors, which are masked.
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "fedmeta/client/client_runner.h"
#include "fedmeta/client/data/site_partition.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/coordinator/live_coordinator.h"
#include "fedmeta/privacy/process_party.h"
#include "fedmeta/protocol/phases.h"
#include "fedmeta/records/run_observer.h"
#include "fedmeta/simulator/direct_link.h"
#include "fedmeta/simulator/prepare.h"
#include "fedmeta/site/policy.h"
#include "fedmeta/tests/support/temporary_folder.h"
#include "fedmeta/tests/support/uniform_bytes.h"
#include "fedmeta/v1/secure.pb.h"

namespace fedmeta {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr char kExperiment[] = R"(
name: wire
seed: 5
model: {name: mlp, hidden: [64, 64]}
data:
  name: points
  source: {name: idx, path: nowhere}
  tasks: {name: episodic, ways: 2, shots: 2, queries: 3}
algorithm: {name: maml, inner_learning_rate: 0.1, adaptation_steps: 2, tasks_per_round: 3}
federation: {rounds: 2, cohort: 4, minimum_cohort: 4}
evaluation: {every: 0, steps: [0, 1], learning_rates: [0.1], episodes: 2, baselines: [], select: {metric: loss_mean}}
privacy: {secure_aggregation: {mode: secure}}
)";

// ---- What may be said, and why

enum class Content : std::uint8_t {
  kFixed,         ///< the same whatever the data are
  kRandom,        ///< keys, masks, signatures and hashes of them: only its length is fixed
  kCoordinators,  ///< repeats what the coordinator has sent
};
struct Allowed {
  Content content;
  const char* why;
};

const std::map<std::string, Allowed>& AllowedFields() {
  static const std::map<std::string, Allowed> fields = {
      {"ClientHello.version.major", {Content::kFixed, "of the program"}},
      {"ClientHello.version.minor", {Content::kFixed, "of the program"}},
      {"ClientHello.version.program", {Content::kFixed, "of the program"}},
      {"ClientHello.data.key", {Content::kFixed, "what the site's file calls its data"}},
      {"ClientHello.data.value", {Content::kFixed, "its role there"}},
      {"ClientHello.decides_on_offer", {Content::kFixed, "that this site decides"}},
      {"NextRequest.session_id", {Content::kCoordinators, "of its Welcome"}},
      {"NextRequest.seen.experiment", {Content::kCoordinators, "of its plan"}},
      {"NextRequest.seen.purpose", {Content::kCoordinators, "of its plan"}},
      {"NextRequest.seen.round", {Content::kCoordinators, "of its plan"}},
      {"NextRequest.seen.attempt", {Content::kCoordinators, "of its plan"}},
      {"Report.key.experiment", {Content::kCoordinators, "of its plan or step"}},
      {"Report.key.purpose", {Content::kCoordinators, "of its plan or step"}},
      {"Report.key.round", {Content::kCoordinators, "of its plan or step"}},
      {"Report.key.attempt", {Content::kCoordinators, "of its plan or step"}},
      {"Report.key.session", {Content::kCoordinators, "of its step"}},
      {"Report.progress.phase", {Content::kFixed, "what it is doing, when it takes long"}},
      {"Report.phase.phase", {Content::kFixed, "which step this answers"}},
      {"UploadHeader.key.experiment", {Content::kCoordinators, "of its step"}},
      {"UploadHeader.key.purpose", {Content::kCoordinators, "of its step"}},
      {"UploadHeader.key.round", {Content::kCoordinators, "of its step"}},
      {"UploadHeader.key.attempt", {Content::kCoordinators, "of its step"}},
      {"UploadHeader.key.session", {Content::kCoordinators, "of its step"}},
      {"UploadHeader.plan_hash", {Content::kCoordinators, "of its plan"}},
      {"UploadHeader.size", {Content::kFixed, "follows from the plan"}},
      {"UploadHeader.sha256", {Content::kRandom, "of the masked vector"}},
      {"Advertisement.certificate", {Content::kRandom, "public; here of the process's secret"}},
      {"Advertisement.statement.signature", {Content::kRandom, "of its key"}},
      {"AdvertisementBody.identity", {Content::kFixed, "of its certificate"}},
      {"AdvertisementBody.share_key", {Content::kRandom, "made for this session"}},
      {"AdvertisementBody.mask_key", {Content::kRandom, "made for this session"}},
      {"AdvertisementBody.seed_commitment", {Content::kRandom, "to a seed of this session"}},
      {"AdvertisementBody.plan_hash", {Content::kCoordinators, "of its plan"}},
      {"AdvertisementBody.model_hash", {Content::kCoordinators, "of what it asks"}},
      {"AdvertisementBody.certificate_hash", {Content::kRandom, "of the certificate"}},
      {"AdvertisementBody.ring_bits", {Content::kFixed, "of the terms"}},
      {"AdvertisementBody.words", {Content::kFixed, "follows from the plan"}},
      {"Shares.hashes.signature", {Content::kRandom, "of its key"}},
      {"Shares.sealed", {Content::kRandom, "shares of a seed, encrypted for members"}},
      {"ShareHashesBody.hashes", {Content::kRandom, "of these shares, salted"}},
      {"SignedMessage.signature", {Content::kRandom, "of its key"}},
      {"ReceiptBody.vector_hash", {Content::kRandom, "of the masked vector"}},
      {"OpeningBody.shares", {Content::kRandom, "of seeds of self masks"}},
  };
  return fields;
}

/// Messages within bytes.
std::unique_ptr<Message> Within(const std::string& path, const std::string& phase) {
  if (path == "Advertisement.statement.body") return std::make_unique<v1::AdvertisementBody>();
  if (path == "Shares.hashes.body") return std::make_unique<v1::ShareHashesBody>();
  if (path == "SignedMessage.body") {
    if (phase == kMaskPhase) return std::make_unique<v1::ReceiptBody>();
    return std::make_unique<v1::OpeningBody>();
  }
  if (path != "Report.phase.body") return nullptr;
  if (phase == kAdvertisePhase) return std::make_unique<v1::Advertisement>();
  if (phase == kSharePhase) return std::make_unique<v1::Shares>();
  return std::make_unique<v1::SignedMessage>();
}

/// A message as a text in which of everything that may differ only the length stands; a field that
/// nobody has allowed is a failure.
class Decoder {
 public:
  static std::string TextOf(const Message& message) {
    Decoder decoder;
    if (message.GetDescriptor()->name() == "Report")
      decoder.phase_ = static_cast<const v1::Report&>(message).phase().phase();
    decoder.Add(message, message.GetDescriptor()->name());
    return decoder.text_;
  }

 private:
  void Add(const Message& message, const std::string& path) {
    std::vector<const FieldDescriptor*> fields;
    const google::protobuf::Reflection& reflection = *message.GetReflection();
    EXPECT_EQ(reflection.GetUnknownFields(message).field_count(), 0) << path;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
      for (int i = 0; i < count; ++i) AddField(message, *field, i, path + "." + field->name());
    }
  }

  void AddField(const Message& message, const FieldDescriptor& field, int i,
                const std::string& path) {
    const google::protobuf::Reflection& reflection = *message.GetReflection();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      text_ += path + "\n";
      Add(field.is_repeated() ? reflection.GetRepeatedMessage(message, &field, i)
                              : reflection.GetMessage(message, &field),
          path);
      return;
    }
    std::string value;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      value = field.is_repeated() ? reflection.GetRepeatedString(message, &field, i)
                                  : reflection.GetString(message, &field);
    } else {
      ASSERT_FALSE(field.is_repeated()) << path;
      google::protobuf::TextFormat::PrintFieldValueToString(message, &field, -1, &value);
    }
    if (const auto inner = Within(path, phase_)) {
      if (value.empty()) return;
      ASSERT_TRUE(inner->ParseFromString(value)) << path;
      Add(*inner, inner->GetDescriptor()->name());
      return;
    }
    const auto allowed = AllowedFields().find(path);
    if (allowed == AllowedFields().end()) {
      ADD_FAILURE() << path << " left a client; nobody has said why it may";
      return;
    }
    const bool hash = path.ends_with("_hash");  // of a plan, which follows from the sum so far
    const bool random = allowed->second.content == Content::kRandom ||
                        (allowed->second.content == Content::kCoordinators &&
                         (hash || path == "NextRequest.session_id"));
    text_ += path + "=" + (random ? std::to_string(value.size()) + " bytes" : value) + "\n";
  }

  std::string phase_, text_;
};

/// Hears everything that a client says.
class Recording final : public CoordinatorLink {
 public:
  explicit Recording(std::unique_ptr<CoordinatorLink> link) : link_(std::move(link)) {}
  Result<v1::Welcome> Join(const v1::ClientHello& hello, std::stop_token stop) override {
    Hear(hello);
    return link_->Join(hello, stop);
  }
  Result<v1::Instruction> Next(const v1::NextRequest& request, std::stop_token stop) override {
    v1::NextRequest asked = request;
    asked.set_session_id(1);  // how many digits it has is not the client's doing
    if (asked.has_report()) Hear(asked.report());
    asked.clear_report();
    Hear(asked);
    return link_->Next(request, stop);
  }
  Status Send(const v1::Report& report, std::stop_token stop) override {
    Hear(report);
    return link_->Send(report, stop);
  }
  Status Download(const Digest& digest, std::span<std::byte> content,
                  std::stop_token stop) override {
    return link_->Download(digest, content, stop);
  }
  Status Upload(const v1::UploadHeader& header, std::span<const std::byte> payload,
                std::stop_token stop) override {
    Hear(header);
    uploads.insert(uploads.end(), payload.begin(), payload.end());
    return link_->Upload(header, payload, stop);
  }

  std::set<std::string> said;  ///< each message once: how often it asks is a matter of time
  Bytes uploads;

 private:
  void Hear(const Message& message) {
    const std::lock_guard lock(mutex_);
    const std::string text = Decoder::TextOf(message);
    // Whether a heartbeat comes is a matter of time too, and whether this one is still asked for
    // its opening: three of four suffice.
    const bool opens = text.find("phase=" + std::string(kOpenPhase)) != std::string::npos;
    if (text.find("Report.progress") == std::string::npos && !opens) said.insert(text);
  }
  std::mutex mutex_;
  std::unique_ptr<CoordinatorLink> link_;
};

/// Points of three classes, `spread` apart.
class Points final : public Dataset {
 public:
  Points(std::size_t size, float spread, std::uint64_t seed) : size_(size) {
    Rng rng({.seed = seed, .purpose = "points"});
    for (std::size_t row = 0; row < size; ++row) {
      for (int i = 0; i < 3; ++i) {
        const auto centre = static_cast<float>(static_cast<int>(row % 3) == i);
        values_.push_back(spread * (centre + 0.3F * static_cast<float>(rng.Normal())));
      }
    }
  }
  std::size_t size() const override { return size_; }
  const std::vector<std::int64_t>& example_shape() const override { return shape_; }
  void Read(std::size_t row, std::span<float> example) const override {
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(3 * row), 3, example.begin());
  }
  std::int64_t label(std::size_t row) const override { return static_cast<std::int64_t>(row % 3); }
  std::int64_t classes() const override { return 3; }
  const Digest& fingerprint() const override { return fingerprint_; }

 private:
  const std::vector<std::int64_t> shape_ = {3};
  std::size_t size_;
  std::vector<float> values_;
  Digest fingerprint_;
};

class Rounds final : public QuietObserver {
 public:
  Status RoundDone(const RoundRecord& record) override {
    rounds.push_back(record);
    return {};
  }
  std::vector<RoundRecord> rounds;
};

struct Heard {
  std::set<std::string> said;  ///< by the first site
  Bytes uploads;               ///< of all
  std::vector<RoundRecord> rounds;
};

/// The real coordinator and four real clients, of which the first has this data.
Heard Listen(std::shared_ptr<const Dataset> first) {
  const SystemClock clock;
  const std::unique_ptr<Logger> logger = MakeNullLogger();
  const LearnRegistries registries{
      .models = BuiltinModels(), .algorithms = BuiltinMetaLearners(), .data = BuiltinData()};
  const auto experiment =
      Loader(BuiltinPluginTables()).ParseExperiment(kExperiment, "wire.yaml", {}).value();
  std::vector<SiteDataset> sites;
  for (int i = 0; i < 4; ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    sites.push_back({.name = "site-" + std::to_string(i),
                     .role = v1::ROLE_TRAIN,
                     .dataset = i == 0 ? first : std::make_shared<Points>(36, 1.0F, seed)});
  }
  SimulationData data;
  data.source.dataset = sites.back().dataset;
  data.source.input_shape = data.source.dataset->example_shape();
  data.partition = MakeSitePartition(sites);
  const std::vector<Leg> legs = PrepareLegs(*experiment, registries, &data).value();

  const ProcessAuthority authority("wire");
  const std::unique_ptr<RoundStore> store = MakeMemoryStore();
  Rounds observer;
  v1::Limits limits;
  limits.set_connections(8);
  limits.set_model_mib(8);
  limits.set_staging_slots(2);
  const auto coordinator =
      LiveCoordinator::Create(
          {.experiment = *experiment,
           .limits = limits,
           .legs = legs,
           .registry = BuiltinServer(),
           .parties = {.federation = "wire", .verifier = &authority.verifier()}},
          OpenRun(*store, ExperimentId("wire")).value(), *store, observer, clock, *logger)
          .value();
  coordinator->Start();

  struct Site {
    TemporaryFolder folder;
    LinkAccount account;
    std::unique_ptr<Recording> link;
    std::unique_ptr<SiteControl> control;
    std::unique_ptr<ClientRunner> runner;
  };
  std::vector<std::unique_ptr<Site>> clients;
  for (const SiteDataset& one : sites) {
    auto site = std::make_unique<Site>();
    site->link = std::make_unique<Recording>(
        MakeDirectLink(*coordinator, ClientId(one.name), site->account));
    site->control =
        SiteControl::Open({.policy = OpenPolicy(8),
                           .hours = {},
                           .state_dir = site->folder.path(),
                           .site = {.identity = {.federation = "wire", .name = one.name},
                                    .data = {{"points", v1::ROLE_TRAIN}},
                                    .revocation_settled = true}},
                          clock)
            .value();
    OpenedSource source;
    source.dataset = one.dataset;
    source.input_shape = one.dataset->example_shape();
    site->runner = std::make_unique<ClientRunner>(
        ClientRunner::Options{
            .name = one.name,
            .registries = registries,
            .data = {{"points", {.source = source, .role = v1::ROLE_TRAIN}}},
            .threads = 1,
            .state_dir = site->folder.path(),
            .secure = SecureIdentity{.federation = "wire",
                                     .policy = {.members = {"spiffe://wire/client/*"}},
                                     .signer = [signer = authority.Admit(
                                                    one.name)] { return Result(signer); },
                                     .verifier = &authority.verifier(),
                                     .plan_seeds = true}},
        *site->control, *site->link, clock, *logger);
    clients.push_back(std::move(site));
  }
  std::vector<std::jthread> threads;
  for (const auto& site : clients) {
    threads.emplace_back([&runner = *site->runner] {
      const Status ended = runner.Run({});
      EXPECT_TRUE(ended.ok()) << ended.error().message();
    });
  }
  const Result<RunSummary> summary = coordinator->Wait(10'000);
  threads.clear();
  EXPECT_TRUE(summary.ok());
  if (summary.ok()) {
    EXPECT_EQ(summary->status, RunStatus::kCompleted) << summary->reason;
  }
  Heard heard{.said = clients.front()->link->said, .uploads = {}, .rounds = observer.rounds};
  for (const auto& site : clients)
    heard.uploads.insert(heard.uploads.end(), site->link->uploads.begin(),
                         site->link->uploads.end());
  return heard;
}

std::shared_ptr<const Dataset> Some(std::size_t size, float spread, std::uint64_t seed) {
  return std::make_shared<Points>(size, spread, seed);
}

TEST(SecureWireTest, NothingThatLeavesAClientDependsOnItsDataButMaskedVectors) {
  const Heard one = Listen(Some(36, 1.0F, 100));
  EXPECT_GT(one.said.size(), 15U);
  const auto steps = [&](std::string_view phase) {
    return std::count_if(one.said.begin(), one.said.end(), [&](const std::string& text) {
      return text.find("Report.phase.phase=" + std::string(phase) + "\n") != std::string::npos;
    });
  };
  for (const std::string_view phase : {kAdvertisePhase, kSharePhase, kMaskPhase})
    EXPECT_EQ(steps(phase), 4) << phase << ": two rounds, a validation and a test";
  // More rows and others; rows with which training overflows.
  EXPECT_EQ(Listen(Some(90, 3.0F, 200)).said, one.said);
  const Heard failed = Listen(Some(36, 1e30F, 300));
  EXPECT_EQ(failed.said, one.said);
  for (const RoundRecord& round : failed.rounds) {
    EXPECT_EQ(round.reported.size(), 4U);
    EXPECT_EQ(round.metrics.clients, 3) << "its part of the sum is zeros and a failure";
  }
}

TEST(SecureWireTest, UploadedWordsAreUniform) {
  const Heard heard = Listen(Some(36, 1e30F, 400));  // one site's vectors are zeros and a failure
  ASSERT_GT(heard.uploads.size(), 100'000U);
  ExpectUniformBytes(heard.uploads);
}

}  // namespace
}  // namespace fedmeta

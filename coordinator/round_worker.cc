#include "fedmeta/coordinator/round_worker.h"

#include <map>
#include <utility>

#include "fedmeta/algorithms/server/server_rules.h"
#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/coordinator/secure_sums.h"
#include "fedmeta/core/check.h"
#include "fedmeta/privacy/private_sum.h"
#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/privacy/update_compression.h"
#include "fedmeta/protocol/state_form.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

v1::Plugin PlainSum() {
  v1::Plugin plugin;
  plugin.set_name("weighted_mean");
  return plugin;
}

Error NotBegun() { return {ErrorCode::kFailedPrecondition, "round worker: no attempt was begun"}; }

}  // namespace

struct RoundWorker::Content {
  std::span<const Leg> legs;
  ServerRegistry registry;
  std::uint64_t rounds = 0;

  // Of the leg.
  const Leg* leg = nullptr;
  std::optional<v1::SecureTerms> terms;
  std::vector<float> state, next;
  std::shared_ptr<Bytes> blob;
  Digest hash;
  std::uint64_t seed = 0;
  std::optional<v1::CompressionTerms> terms_of_compression;
  struct Sent {
    std::shared_ptr<const Bytes> bytes;
    std::optional<Digest> hash = {};
  };
  Sent sent, next_sent;  // empty where clients download the state as it is
  std::unique_ptr<Aggregator> training_sum, evaluation_sum;
  std::unique_ptr<ServerOptimizer> optimizer;
  std::optional<v1::PrivacyTerms> privacy;  // of sums
  Bytes moments, next_moments;              // of the current state, of the next one

  // Of the attempt.
  std::optional<UpdateCompression> compression;  // outlives the codecs, which borrow its layout
  std::optional<ContributionCodec> codec;
  std::optional<PrivateSum> private_sum;  // of a plain training attempt under mode central
  Aggregator* sum = nullptr;
  std::optional<SecureSums> secure;  // in place of the two
  bool evaluates = false, closed = false;
  std::vector<std::uint64_t> encoded;
  std::map<ClientId, std::vector<MetricSums>> disclosed;
  SecretRng noise;

  /// What a contribution is in the sum.
  Status Encode(std::span<const std::byte> payload) {
    if (!private_sum) return codec->EncodeWire(payload, encoded);
    FEDMETA_ASSIGN_OR_RETURN(Contribution contribution, codec->FromWire(payload));
    FEDMETA_ASSIGN_OR_RETURN(RingVector vector, private_sum->Encode(std::move(contribution)));
    vector.Visit([this](auto words) { encoded.assign(words.begin(), words.end()); });
    return {};
  }

  Result<DecodedSum> Decode(const PartialSum& partial) {
    if (!private_sum) return codec->Decode(partial.coordinates, partial.contributors);
    const auto words = AsBytes(std::span<const std::uint64_t>(partial.coordinates));
    FEDMETA_ASSIGN_OR_RETURN(
        RingVector vector,
        RingVector::FromBytes(RingBits::k64, partial.coordinates.size(), 0, words));
    FEDMETA_RETURN_IF_ERROR(private_sum->AddCentralNoise(vector, noise));
    return private_sum->Decode(vector, partial.contributors);
  }

  Result<DecodedSum> FinishSum();
  void EndAttempt() {
    codec.reset();
    secure.reset();
    compression.reset();
  }

  /// What the codecs of a training attempt encode.
  Result<const StateLayout*> BeginCompression(const RoundPlan& plan) {
    if (evaluates) return nullptr;
    if (!terms_of_compression || !ShortensUpdates(*terms_of_compression)) return &leg->layout;
    FEDMETA_ASSIGN_OR_RETURN(compression, UpdateCompression::Create({.terms = *terms_of_compression,
                                                                     .layout = &leg->layout,
                                                                     .seed = seed,
                                                                     .round = plan.key().round}));
    return &compression->exchanged();
  }

  Sent Send(std::span<const float> what) const {
    if (!terms_of_compression || !terms_of_compression->half_download()) return {};
    auto bytes = std::make_shared<const Bytes>(WriteState(leg->layout, true, what));
    const Digest digest = Digest::Of(*bytes);
    return {.bytes = std::move(bytes), .hash = digest};
  }

  void PublishState(const std::optional<Digest>& known = std::nullopt) {
    const auto bytes = AsBytes(std::span<const float>(state));
    // A download may still read the old one.
    if (blob == nullptr || blob.use_count() > 1) blob = std::make_shared<Bytes>();
    blob->assign(bytes.begin(), bytes.end());
    hash = known ? *known : Digest::Of(*blob);
  }
};

Result<DecodedSum> RoundWorker::Content::FinishSum() {
  if (secure) return secure->Finish();
  if (!codec) return NotBegun();
  FEDMETA_ASSIGN_OR_RETURN(const PartialSum partial, sum->Finish());
  return Decode(partial);
}

RoundWorker::RoundWorker(std::span<const Leg> legs, ServerRegistry registry, std::uint64_t rounds)
    : content_(std::make_unique<Content>()) {
  content_->legs = legs;
  content_->registry = std::move(registry);
  content_->rounds = rounds;
}
RoundWorker::~RoundWorker() = default;

Status RoundWorker::StartLeg(std::size_t leg, const std::optional<SavedState>& saved) {
  Content& c = *content_;
  FEDMETA_CHECK(leg < c.legs.size());
  c.leg = &c.legs[leg];
  c.EndAttempt();
  c.sum = nullptr;
  const std::optional<LegFacts::Secure> secure = SecureFactsOf(*c.leg);
  c.terms = secure ? std::optional(secure->terms) : std::nullopt;
  c.state = saved ? saved->state : c.leg->initial_state;
  if (c.state.size() != c.leg->layout.size()) {
    return Error(ErrorCode::kDataLoss,
                 "round worker: the saved state has " + std::to_string(c.state.size()) +
                     " values, " + c.leg->name + " has " + std::to_string(c.leg->layout.size()));
  }
  c.PublishState();
  c.terms_of_compression = CompressionOf(*c.leg);
  c.sent = c.Send(c.state);
  AggregatorContext context{.layout = &c.leg->layout,
                            .update_unit = ContributionCodec::kUpdateUnit,
                            .weight_unit = ContributionCodec::kTailUnit};
  FEDMETA_ASSIGN_OR_RETURN(c.training_sum, MakeAggregator(c.registry, c.leg->aggregation, context));
  context.layout = nullptr;
  FEDMETA_ASSIGN_OR_RETURN(c.evaluation_sum, MakeAggregator(c.registry, PlainSum(), context));
  FEDMETA_ASSIGN_OR_RETURN(
      c.optimizer, MakeOptimizer(c.registry, c.leg->optimizer,
                                 {.coordinates = c.leg->layout.size(), .rounds = c.rounds}));
  v1::Assignment assignment;
  if (!assignment.ParseFromString(c.leg->assignment)) {
    return Error(ErrorCode::kDataLoss, "round worker: the assignment of " + c.leg->name +
                                           " is not a protobuf message of its kind");
  }
  c.seed = assignment.seed();
  const v1::PrivacyTerms& terms = assignment.differential_privacy();
  c.privacy = HidesClients(terms) ? std::optional(terms) : std::nullopt;
  if (saved) FEDMETA_RETURN_IF_ERROR(c.optimizer->Restore(saved->optimizer_state));
  c.moments = c.optimizer->Save();
  return {};
}

Status RoundWorker::BeginAttempt(const RoundPlan& plan, std::uint32_t maximum_contributors) {
  Content& c = *content_;
  if (c.optimizer == nullptr) {
    return Error(ErrorCode::kFailedPrecondition, "round worker: no leg was started");
  }
  c.evaluates = plan.key().purpose == Purpose::kEvaluate;
  c.disclosed.clear();
  c.closed = false;
  const v1::PrivacyTerms* privacy = c.privacy && !c.evaluates ? &*c.privacy : nullptr;
  FEDMETA_ASSIGN_OR_RETURN(const StateLayout* const exchanged, c.BeginCompression(plan));
  if (c.terms) {
    FEDMETA_ASSIGN_OR_RETURN(c.secure, SecureSums::Create(*c.terms, privacy, exchanged, plan));
    return {};
  }
  FEDMETA_ASSIGN_OR_RETURN(
      c.codec, ContributionCodec::Create({.layout = exchanged,
                                          .metric_cells = MetricCells(plan.message()),
                                          .maximum_weight = plan.message().maximum_weight(),
                                          .maximum_contributors = maximum_contributors,
                                          .bits = UpdateBits(plan.message())}));
  c.private_sum.reset();
  if (privacy != nullptr && privacy->mode() == "distributed") {
    return Error(ErrorCode::kInvalidArgument,
                 "privacy.differential_privacy.mode distributed needs secure aggregation "
                 "(privacy.secure_aggregation.mode: secure): without it the coordinator would see "
                 "each site's own part of the noise; nearest is mode central");
  }
  if (privacy != nullptr) {
    FEDMETA_ASSIGN_OR_RETURN(c.private_sum,
                             PrivateSum::Create({.layout = &c.leg->layout,
                                                 .metric_cells = MetricCells(plan.message()),
                                                 .terms = *privacy,
                                                 .cohort = maximum_contributors}));
  }
  c.sum = c.evaluates ? c.evaluation_sum.get() : c.training_sum.get();
  c.sum->Reset();
  return {};
}

Status RoundWorker::AddMasked(std::uint32_t group, std::uint32_t session,
                              std::span<const std::byte> payload) {
  if (!content_->secure) return NotBegun();
  return content_->secure->Add(group, session, payload);
}

std::span<const std::byte> RoundWorker::masked_sum(std::uint32_t group) const {
  return content_->secure ? content_->secure->masked(group) : std::span<const std::byte>();
}

Status RoundWorker::Unmask(std::uint32_t group, std::uint32_t members,
                           std::span<const SecretBytes> self_mask_keys) {
  if (!content_->secure) return NotBegun();
  return content_->secure->Unmask(group, members, self_mask_keys);
}

Status RoundWorker::AddUpload(const ClientId& client, bool disclosed,
                              std::span<const std::byte> payload) {
  Content& c = *content_;
  if (!c.codec) return NotBegun();
  FEDMETA_RETURN_IF_ERROR(c.Encode(payload));
  FEDMETA_RETURN_IF_ERROR(c.sum->Add(client, c.encoded));
  if (disclosed && c.evaluates) {
    FEDMETA_ASSIGN_OR_RETURN(Contribution contribution, c.codec->FromWire(payload));
    c.disclosed[client] = std::move(contribution.metrics);
  }
  return {};
}

Result<RoundResult> RoundWorker::Close(const RoundPlan& plan, std::uint32_t reported,
                                       std::uint32_t population) {
  Content& c = *content_;
  FEDMETA_ASSIGN_OR_RETURN(DecodedSum decoded, c.FinishSum());
  if (decoded.contributors != reported) {
    return Error(ErrorCode::kInternal,
                 "round worker: the sum holds " + std::to_string(decoded.contributors) +
                     " contributions, " + std::to_string(reported) + " were counted");
  }
  RoundResult result{.metrics = std::move(decoded.metrics), .disclosed = {}};
  if (c.evaluates) {
    for (auto& [client, metrics] : c.disclosed) {
      result.disclosed.emplace_back(client, std::move(metrics));
    }
    c.disclosed.clear();
    return result;
  }
  if (c.compression) decoded.mean = c.compression->Expand(std::move(decoded.mean));
  c.next = c.state;
  const Status applied =
      ApplyServerRules(c.leg->layout, decoded.mean,
                       {.round = plan.key().round, .reported = reported, .population = population},
                       *c.optimizer, c.next);
  if (!applied.ok()) {
    FEDMETA_RETURN_IF_ERROR(c.optimizer->Restore(c.moments));
    return applied.error();
  }
  c.next_moments = c.optimizer->Save();
  c.next_sent = c.Send(c.next);
  c.closed = true;
  return result;
}

void RoundWorker::Commit(const Digest& hash) {
  Content& c = *content_;
  FEDMETA_CHECK(c.closed);
  std::swap(c.state, c.next);
  std::swap(c.moments, c.next_moments);
  c.sent = std::exchange(c.next_sent, {});
  c.closed = false;
  c.EndAttempt();
  c.PublishState(hash);
}

void RoundWorker::Abandon() {
  Content& c = *content_;
  if (c.sum != nullptr) c.sum->Reset();
  c.disclosed.clear();
  c.EndAttempt();
  if (std::exchange(c.closed, false)) {
    FEDMETA_CHECK(c.optimizer->Restore(c.moments).ok());  // its own Save
  }
}

std::shared_ptr<const Bytes> RoundWorker::state() const { return content_->blob; }
const Digest& RoundWorker::state_hash() const { return content_->hash; }
std::shared_ptr<const Bytes> RoundWorker::sent() const {
  return content_->sent.bytes ? content_->sent.bytes : content_->blob;
}
const std::optional<Digest>& RoundWorker::sent_hash() const { return content_->sent.hash; }
const std::optional<Digest>& RoundWorker::next_sent_hash() const {
  return content_->next_sent.hash;
}
std::span<const float> RoundWorker::next_state() const { return content_->next; }
Bytes RoundWorker::optimizer_state() const { return content_->next_moments; }
const Leg& RoundWorker::leg() const { return *content_->leg; }

}  // namespace fedmeta

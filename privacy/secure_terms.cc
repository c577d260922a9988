#include "fedmeta/privacy/secure_terms.h"

#include <algorithm>
#include <cmath>

#include "fedmeta/privacy/packed_words.h"

namespace fedmeta {
namespace {

// Bounds what a site may count in one metric cell; beyond it, sums are cut.
constexpr double kMostExamples = 1e6;
// Failures; the weight is 1 and none.
constexpr std::uint64_t kWordsBesideUpdateAndMetrics = 1;

/// Losses beyond it would only make those within it more noisy.
constexpr double kPrivateMetricBound = 10;

std::uint64_t TailWords(const v1::RoundPlan& plan) {
  return kWordsBesideUpdateAndMetrics + MetricCells(plan) * MetricSums::kSize;
}

}  // namespace

/// The smaller the groups can be, the finer the steps of the ring; never so small that some number
/// of clients cannot be dealt out.
v1::SecureTerms SecureTermsOf(const v1::Experiment& experiment) {
  const v1::SecureAggregation& keys = experiment.privacy().secure_aggregation();
  const v1::Federation& federation = experiment.federation();
  const auto asked = static_cast<std::uint32_t>(
      std::ceil(federation.cohort() * (1 + federation.over_selection())));
  v1::SecureTerms terms;
  terms.set_ring_bits(keys.ring_bits());
  terms.set_clip(keys.clip());
  terms.set_metric_bound(keys.metric_bound());
  terms.set_minimum(keys.minimum());
  terms.set_group_size(std::max(std::min(keys.group_size(), asked), 2 * keys.minimum() - 1));
  return terms;
}

Result<RingCodec> SecureCodec(const v1::SecureTerms& terms, const StateLayout* layout,
                              std::size_t metric_cells) {
  FEDMETA_ASSIGN_OR_RETURN(const RingBits bits, RingBitsOf(terms.ring_bits()));
  return RingCodec::Create({.layout = layout,
                            .metric_cells = metric_cells,
                            .bits = bits,
                            .cohort = terms.group_size(),
                            .clip = terms.clip(),
                            .coordinate_bound = terms.coordinate_bound() > 0
                                                    ? std::optional(terms.coordinate_bound())
                                                    : std::nullopt,
                            .metric_bounds = BoundsOfMetrics(kMostExamples, terms.metric_bound())});
}

Result<PrivateSum> SecurePrivateSum(const v1::SecureTerms& terms, const v1::PrivacyTerms& privacy,
                                    const StateLayout& layout) {
  FEDMETA_ASSIGN_OR_RETURN(const RingBits bits, RingBitsOf(terms.ring_bits()));
  return PrivateSum::Create({.layout = &layout,
                             .terms = privacy,
                             .bits = bits,
                             .minimum = terms.minimum(),
                             .cohort = terms.group_size(),
                             .metric_bound = std::min(terms.metric_bound(), kPrivateMetricBound)});
}

std::uint64_t SecureWords(const v1::RoundPlan& plan) {
  return UpdateCoordinates(plan) + TailWords(plan);
}

std::uint64_t SecureBytes(const v1::SecureTerms& terms, const v1::RoundPlan& plan) {
  const auto bits = static_cast<RingBits>(terms.ring_bits());
  const std::uint64_t whole = bits == RingBits::k64 ? 8 : 4;
  if (!IsNarrow(bits)) return SecureWords(plan) * whole;
  return PackedBytes(UpdateCoordinates(plan), terms.ring_bits()) + TailWords(plan) * whole;
}

Digest QuestionHash(v1::Assignment assignment) {
  assignment.clear_experiment();
  assignment.clear_seed();
  assignment.clear_compression();
  return Digest::Of(assignment.SerializeAsString());
}

Digest ModelHash(const Digest& question, const v1::RoundPlan& plan) {
  v1::RoundPlan asked;
  asked.set_state_hash(plan.state_hash());
  asked.set_maximum_weight(plan.maximum_weight());
  if (plan.has_train()) *asked.mutable_train() = plan.train();
  if (plan.has_evaluate()) *asked.mutable_evaluate() = plan.evaluate();
  return Digest::Of(question.bytes() + asked.SerializeAsString());
}

RoundKey SecureKey(const RoundPlan& plan, std::uint32_t session) {
  RoundKey key = plan.key();
  key.session = session;
  if (plan.message().has_evaluate() && plan.message().evaluate().part() == v1::PART_TEST) {
    key.experiment = ExperimentId(key.experiment.value() + "#test");
  }
  return key;
}

}  // namespace fedmeta

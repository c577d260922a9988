#include "fedmeta/privacy/secure_terms.h"

namespace fedmeta {
namespace {

// Bounds what a site may count in one metric cell; beyond it, sums are cut.
constexpr double kMostExamples = 1e6;
// Failures; the weight is 1 and none.
constexpr std::uint64_t kWordsBesideUpdateAndMetrics = 1;

}  // namespace

Result<RingCodec> SecureCodec(const v1::SecureTerms& terms, const StateLayout* layout,
                              std::size_t metric_cells) {
  FEDMETA_ASSIGN_OR_RETURN(const RingBits bits, RingBitsOf(terms.ring_bits()));
  return RingCodec::Create({.layout = layout,
                            .metric_cells = metric_cells,
                            .bits = bits,
                            .cohort = terms.group_size(),
                            .clip = terms.clip(),
                            .metric_bounds = BoundsOfMetrics(kMostExamples, terms.metric_bound())});
}

std::uint64_t SecureWords(const v1::RoundPlan& plan) {
  return (plan.has_train() ? plan.state_coordinates() : 0) + kWordsBesideUpdateAndMetrics +
         MetricCells(plan) * MetricSums::kSize;
}

Digest QuestionHash(v1::Assignment assignment) {
  assignment.clear_experiment();
  assignment.clear_seed();
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

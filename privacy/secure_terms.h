#pragma once

#include <cstdint>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/privacy/private_sum.h"
#include "fedmeta/privacy/ring_codec.h"
#include "fedmeta/protocol/round_plan.h"
#include "fedmeta/v1/experiment.pb.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

// What an assignment's SecureTerms and a plan mean for a contribution. Both sides ask here.

/// Of an experiment with privacy.secure_aggregation.mode secure.
v1::SecureTerms SecureTermsOf(const v1::Experiment& experiment);
/// `layout`: null for evaluation. kInvalidArgument: terms that do not fit together.
Result<RingCodec> SecureCodec(const v1::SecureTerms& terms, const StateLayout* layout,
                              std::size_t metric_cells);
/// In its place for training under differential privacy of sums, whose clip it is. Errors: those of
/// PrivateSum.
Result<PrivateSum> SecurePrivateSum(const v1::SecureTerms& terms, const v1::PrivacyTerms& privacy,
                                    const StateLayout& layout);
/// RingCodec::words() of this plan's contributions.
std::uint64_t SecureWords(const v1::RoundPlan& plan);
/// RingVector::wire_size() of them.
std::uint64_t SecureBytes(const v1::SecureTerms& terms, const v1::RoundPlan& plan);
/// What an assignment asks, whatever it is called and whatever part of the answer is sent: SHA-256
/// without the experiment's name, seed and compression.
Digest QuestionHash(v1::Assignment assignment);
/// SessionFacts::model_hash of a plan: its question, its state and what it asks for.
Digest ModelHash(const Digest& question, const v1::RoundPlan& plan);
/// Key of a session in the eyes of SecureClient, SecureServer and OpeningLatch. A leg's validation
/// and its test are two purposes there, which are opened each for itself.
RoundKey SecureKey(const RoundPlan& plan, std::uint32_t session);

}  // namespace fedmeta

#include "fedmeta/protocol/round_key.h"

#include <algorithm>

#include "fedmeta/protocol/limits.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

std::string RoundKey::ToString() const {
  return experiment.value() + (purpose == Purpose::kTrain ? " train " : " evaluate ") +
         std::to_string(round) + "." + std::to_string(attempt) +
         (session == 0 ? "" : "." + std::to_string(session));
}

v1::RoundKey ToMessage(const RoundKey& key) {
  v1::RoundKey message;
  message.set_experiment(key.experiment.value());
  message.set_purpose(static_cast<v1::Purpose>(key.purpose));
  message.set_round(key.round);
  message.set_attempt(key.attempt);
  message.set_session(key.session);
  return message;
}

Result<RoundKey> FromMessage(const v1::RoundKey& message) {
  const std::string& experiment = message.experiment();
  if (experiment.empty() || experiment.size() > kMaximumNameBytes ||
      !std::all_of(experiment.begin(), experiment.end(),
                   [](char c) { return c > ' ' && c < 127; })) {
    return Error(ErrorCode::kInvalidArgument,
                 "round key: experiment must be 1 to " + std::to_string(kMaximumNameBytes) +
                     " printable characters, got " + std::to_string(experiment.size()));
  }
  if (message.purpose() != v1::PURPOSE_TRAIN && message.purpose() != v1::PURPOSE_EVALUATE) {
    return Error(ErrorCode::kInvalidArgument,
                 "round key: unknown purpose " + std::to_string(message.purpose()));
  }
  if (message.attempt() == 0)
    return Error(ErrorCode::kInvalidArgument, "round key: attempt must be > 0, got 0");
  return RoundKey{.experiment = ExperimentId(experiment),
                  .purpose = static_cast<Purpose>(message.purpose()),
                  .round = message.round(),
                  .attempt = message.attempt(),
                  .session = message.session()};
}

}  // namespace fedmeta

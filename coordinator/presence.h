#pragma once

#include <cstdint>

#include "fedmeta/coordinator/cohort.h"
#include "fedmeta/core/ids.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// What an attempt is for.
enum class Step : std::uint8_t { kTrain, kValidate, kTest };

/// Who is present, by role. Not thread-safe.
class Presence {
 public:
  void Join(const ClientId& client, v1::Role role) {
    Lose(client);
    Of(role).Add(client);
  }
  void Lose(const ClientId& client) {
    training_.Remove(client);
    validation_.Remove(client);
    holdouts_.Remove(client);
  }
  const Population& training() const { return training_; }
  bool has_holdouts() const { return holdouts_.size() > 0; }
  /// Who is asked: where there are no validation clients or hold-outs, the training clients.
  const Population& For(Step step) const {
    if (step == Step::kValidate && validation_.size() > 0) return validation_;
    if (step == Step::kTest && holdouts_.size() > 0) return holdouts_;
    return training_;
  }

 private:
  Population& Of(v1::Role role) {
    if (role == v1::ROLE_VALIDATION) return validation_;
    return role == v1::ROLE_HOLDOUT ? holdouts_ : training_;
  }
  Population training_, validation_, holdouts_;
};

}  // namespace fedmeta

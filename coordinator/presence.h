#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

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
    awaited_.erase(client);
  }
  void Lose(const ClientId& client) {
    training_.Remove(client);
    validation_.Remove(client);
    holdouts_.Remove(client);
    changed_ = true;
  }
  const Population& training() const { return training_; }
  /// Who is asked: where there are fewer validation clients or hold-outs than that, the training
  /// clients.
  const Population& For(Step step, std::size_t fewest) const {
    if (step == Step::kValidate && validation_.size() >= fewest) return validation_;
    if (step == Step::kTest && holdouts_.size() >= fewest) return holdouts_;
    return training_;
  }

  /// These were present before the coordinator was restarted; who is here already is not awaited.
  void Await(const std::vector<ClientId>& clients) {
    awaited_ = {clients.begin(), clients.end()};
    for (const ClientId& client : All()) awaited_.erase(client);
  }
  bool AllBack() const { return awaited_.empty(); }

  /// Everyone, if that has changed since the last call.
  std::optional<std::vector<ClientId>> TakeChanged() {
    if (!changed_) return std::nullopt;
    changed_ = false;
    return All();
  }

 private:
  Population& Of(v1::Role role) {
    if (role == v1::ROLE_VALIDATION) return validation_;
    return role == v1::ROLE_HOLDOUT ? holdouts_ : training_;
  }
  std::vector<ClientId> All() const {
    std::vector<ClientId> all;
    for (const Population* population : {&training_, &validation_, &holdouts_}) {
      const std::vector<ClientId> names = population->All();
      all.insert(all.end(), names.begin(), names.end());
    }
    return all;
  }

  Population training_, validation_, holdouts_;
  std::set<ClientId> awaited_;
  bool changed_ = false;
};

}  // namespace fedmeta

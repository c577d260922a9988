#pragma once

#include <cstddef>
#include <vector>

#include "fedmeta/coordinator/attempt_record.h"
#include "fedmeta/coordinator/cohort.h"

namespace fedmeta {

/// Who was asked the model that a spent round has left as it was, group by group. Sites answer that
/// model again only to exactly the same members, so the round that follows asks these. Follows from
/// the training records of a leg alone, so a run that goes on knows it again. Pure.
class AskedMembers {
 public:
  using Groups = std::vector<std::vector<ClientId>>;

  void Take(const AttemptRecord& record);
  /// Empty: the model may be asked of anybody. Each in order of name.
  const Groups& groups() const { return groups_; }
  std::vector<ClientId> All() const;  ///< in order of name
  std::vector<ClientId> Missing(const Population& present) const;

 private:
  Groups groups_;
};

}  // namespace fedmeta

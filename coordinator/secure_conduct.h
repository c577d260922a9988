#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <set>
#include <string>

#include "fedmeta/coordinator/attempt_record.h"

namespace fedmeta {

/// Who made sessions of secure aggregation end without a sum, of one leg. A client that did sits
/// out the further attempts of that round; one that did so in three of the latest twenty sessions
/// (of disputes, in which one of two lies: with three distinct others) sits out all attempts until
/// it did so in fewer. Follows from the records alone, so a run that goes on knows it again. Pure.
class SecureConduct {
 public:
  void Take(const AttemptRecord& record);
  bool SitsOut(const std::string& client) const;
  bool nobody_sits_out() const { return sitting_out_.empty(); }

 private:
  static constexpr std::size_t kWindow = 20;
  static constexpr std::size_t kMisses = 3;

  void Recount();

  std::deque<SessionRecord> latest_;
  RoundKey round_;  // of round_missing_, attempt 0
  std::set<std::string> round_missing_;
  std::set<std::string> sitting_out_;
};

}  // namespace fedmeta

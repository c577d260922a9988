#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// What somebody at this site has decided, in approvals.jsonl of its state folder: one line a
/// decision, on disk before it takes effect, the last one counts. Not thread-safe; one process a
/// folder.
class DecisionLog {
 public:
  enum class Answer : std::uint8_t { kNone, kApproved, kRejected, kLeft };

  /// kDataLoss for a line that is none: what was rejected must not run because of a damaged file.
  static Result<DecisionLog> Open(std::filesystem::path file);

  Answer AnswerTo(const Digest& offer) const;
  bool paused() const { return paused_; }

  /// Who decided, and why, for people.
  struct By {
    std::string who, note;
  };
  Status Record(Answer answer, const Digest& offer, const std::string& experiment, const By& by,
                WallTime now);
  Status RecordPause(bool paused, const By& by, WallTime now);

 private:
  explicit DecisionLog(std::filesystem::path file) : file_(std::move(file)) {}
  Status Take(const std::string& line);

  std::filesystem::path file_;
  std::map<std::string, Answer> answers_;  // by hash, hexadecimal
  bool paused_ = false;
};

}  // namespace fedmeta

#include "fedmeta/privacy/opening_log.h"

#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "fedmeta/core/durable_lines.h"
#include "fedmeta/core/ids.h"

namespace fedmeta {
namespace {

using Round = std::pair<std::string, std::uint64_t>;  // experiment, round

/// SessionFacts::member_set in the log. Zeros, of a session that was recorded before its members
/// were: not known to be the same as any others.
using MemberSet = std::string;
MemberSet UnknownMembers() { return Digest().hex(); }

/// What was masked and opened, and the rules about it.
class Openings {
 public:
  Openings(std::uint32_t same_model, std::uint32_t reopen)
      : same_model_(same_model), reopen_(reopen) {}

  /// A difference of sums isolates somebody only if different members were asked one model. In one
  /// round the sessions' order prevents that; over rounds, that all sets are the same.
  Status CheckMasked(const SessionFacts& facts) const {
    const auto found = masked_.find({facts.key.purpose, facts.model_hash.hex()});
    if (found == masked_.end()) return {};
    std::set<Round> rounds = {RoundOf(facts)};
    std::set<MemberSet> sets;
    for (const auto& [round, set] : found->second) {
      rounds.insert(round);
      sets.insert(set);
    }
    const bool known = facts.member_set != Digest();  // not in R0
    if (known) sets.insert(facts.member_set.hex());
    const bool one_set = sets.size() == 1 && *sets.begin() != UnknownMembers();
    if (one_set || rounds.size() <= 1 + same_model_) return {};
    return Error(ErrorCode::kFailedPrecondition,
                 "secure aggregation: the model of " + facts.key.ToString() +
                     " was already answered under " + std::to_string(rounds.size() - 1) +
                     " other rounds, " +
                     (known ? "not always for exactly these members" : "for different members") +
                     ": sums of different clients under one model can be subtracted. Ask exactly "
                     "the members of those rounds, or allow it in the site's file "
                     "(secure_aggregation.same_model, now " +
                     std::to_string(same_model_) + ")");
  }
  Status CheckOpened(const SessionFacts& facts) const {
    const auto sessions = opened_.find({facts.key.purpose, RoundOf(facts)});
    if (sessions == opened_.end() || sessions->second.size() <= reopen_) return {};
    return Error(ErrorCode::kFailedPrecondition,
                 "secure aggregation: " + facts.key.ToString() + " was opened " +
                     std::to_string(sessions->second.size()) + " times, at most " +
                     std::to_string(1 + reopen_) + " are allowed");
  }
  bool IsOpened(const SessionFacts& facts) const {
    const auto sessions = opened_.find({facts.key.purpose, RoundOf(facts)});
    return sessions != opened_.end() && sessions->second.contains(facts.session.hex());
  }
  bool IsMasked(const SessionFacts& facts) const {
    const auto found = masked_.find({facts.key.purpose, facts.model_hash.hex()});
    return found != masked_.end() &&
           found->second.contains({RoundOf(facts), facts.member_set.hex()});
  }
  void Mask(Purpose purpose, const std::string& model, Round round, MemberSet members) {
    masked_[{purpose, model}].emplace(std::move(round), std::move(members));
  }
  void Open(Purpose purpose, Round round, const std::string& session) {
    opened_[{purpose, std::move(round)}].insert(session);
  }
  static Round RoundOf(const SessionFacts& facts) {
    return {facts.key.experiment.value(), facts.key.round};
  }

 private:
  std::uint32_t same_model_, reopen_;
  std::map<std::pair<Purpose, std::string>, std::set<std::pair<Round, MemberSet>>>
      masked_;                                                         // by model
  std::map<std::pair<Purpose, Round>, std::set<std::string>> opened_;  // sessions
};

constexpr char kMasked[] = "masked-by";
constexpr char kOpened[] = "opened";

/// kMasked, purpose, the model's hash, round, hash of the members, experiment; or kOpened,
/// purpose, the session's hash, round, experiment. Before, "masked" without members was written: it
/// is still read, and a program that knows no other refuses the lines with members. The experiment
/// comes last, because it alone is free text; a line break in it is refused where it is recorded.
struct Line {
  std::string kind;
  Purpose purpose;
  std::string hash;
  Round round;
  MemberSet members = UnknownMembers();
};

std::string Checksum(std::string_view text) { return Digest::Of(text).hex().substr(0, 16); }

std::string Format(const Line& line) {
  const std::string text = line.kind + " " + std::to_string(static_cast<int>(line.purpose)) + " " +
                           line.hash + " " + std::to_string(line.round.second) + " " +
                           (line.kind == kMasked ? line.members + " " : "") + line.round.first;
  return Checksum(text) + " " + text + "\n";
}

std::optional<Line> Parse(const std::string& text) {
  if (text.size() < 17 || text[16] != ' ' ||
      Checksum(std::string_view(text).substr(17)) != text.substr(0, 16)) {
    return {};
  }
  std::istringstream words(text.substr(17));
  Line line;
  int purpose = 0;
  if (!(words >> line.kind >> purpose >> line.hash >> line.round.second)) return {};
  if (line.kind == kMasked) {
    if (!(words >> line.members)) return {};
  } else if (line.kind != "masked" && line.kind != kOpened) {
    return {};
  }
  if (words.get() != ' ') return {};
  std::getline(words, line.round.first);
  line.purpose = static_cast<Purpose>(purpose);
  return line;
}

/// The rules in front of a place where lines are kept.
class Latch : public OpeningLatch {
 public:
  explicit Latch(Openings openings) : openings_(std::move(openings)) {}

  Status CheckStart(const SessionFacts& facts) override {
    FEDMETA_RETURN_IF_ERROR(openings_.CheckOpened(facts));
    return openings_.CheckMasked(facts);
  }
  Status RecordMasked(const SessionFacts& facts) override {
    FEDMETA_RETURN_IF_ERROR(CheckStart(facts));
    if (openings_.IsMasked(facts)) return {};
    Line line{.kind = kMasked,
              .purpose = facts.key.purpose,
              .hash = facts.model_hash.hex(),
              .round = Openings::RoundOf(facts),
              .members = facts.member_set.hex()};
    FEDMETA_RETURN_IF_ERROR(Keep(line));
    openings_.Mask(line.purpose, line.hash, std::move(line.round), std::move(line.members));
    return {};
  }
  Status RecordOpened(const SessionFacts& facts) override {
    if (openings_.IsOpened(facts)) return {};
    FEDMETA_RETURN_IF_ERROR(CheckStart(facts));
    Line line{.kind = kOpened,
              .purpose = facts.key.purpose,
              .hash = facts.session.hex(),
              .round = Openings::RoundOf(facts)};
    FEDMETA_RETURN_IF_ERROR(Keep(line));
    openings_.Open(line.purpose, std::move(line.round), line.hash);
    return {};
  }

 protected:
  virtual Status Keep(const Line&) { return {}; }

 private:
  Openings openings_;
};

class FileLatch final : public Latch {
 public:
  FileLatch(DurableLines lines, Openings openings)
      : Latch(std::move(openings)), lines_(std::move(lines)) {}

 protected:
  Status Keep(const Line& line) override {
    if (line.round.first.find('\n') != std::string::npos) {
      return Error(ErrorCode::kInvalidArgument,
                   "secure aggregation: an experiment's name holds a line break");
    }
    return lines_.Append(Format(line));
  }

 private:
  DurableLines lines_;
};

}  // namespace

std::unique_ptr<OpeningLatch> OpeningsInMemory() { return std::make_unique<Latch>(Openings(0, 0)); }

Result<std::unique_ptr<OpeningLatch>> OpenOpeningLog(const OpeningLogOptions& options) {
  FEDMETA_ASSIGN_OR_RETURN(DurableLines::Opened opened, DurableLines::Open(options.path));
  Openings openings(options.same_model, options.reopen);
  std::istringstream in(opened.content);
  std::size_t number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    std::optional<Line> line = Parse(text);
    if (!line) {
      return Error(ErrorCode::kDataLoss,
                   options.path.string() + ":" + std::to_string(number) +
                       ": damaged. It says what this site has opened; restore it from a backup, "
                       "or leave the federation under this identity");
    }
    if (line->kind != kOpened) {
      openings.Mask(line->purpose, line->hash, std::move(line->round), std::move(line->members));
    } else {
      openings.Open(line->purpose, std::move(line->round), line->hash);
    }
  }
  return std::unique_ptr<OpeningLatch>(
      std::make_unique<FileLatch>(std::move(opened.lines), std::move(openings)));
}

}  // namespace fedmeta

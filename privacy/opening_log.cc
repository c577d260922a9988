#include "fedmeta/privacy/opening_log.h"

#include <charconv>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

#include "fedmeta/core/file.h"
#include "fedmeta/core/file_descriptor.h"
#include "fedmeta/core/ids.h"

namespace fedmeta {
namespace {

using Round = std::pair<std::string, std::uint64_t>;  // experiment, round

/// What was masked and opened, and the rules about it.
class Openings {
 public:
  Openings(std::uint32_t same_model, std::uint32_t reopen)
      : same_model_(same_model), reopen_(reopen) {}

  Status CheckMasked(const SessionFacts& facts) const {
    const auto rounds = masked_.find({facts.key.purpose, facts.model_hash.hex()});
    if (rounds == masked_.end() || rounds->second.contains(RoundOf(facts)) ||
        rounds->second.size() <= same_model_) {
      return {};
    }
    return Error(ErrorCode::kFailedPrecondition,
                 "secure aggregation: the model of " + facts.key.ToString() +
                     " was already answered under " + std::to_string(rounds->second.size()) +
                     " other rounds, at most " + std::to_string(1 + same_model_) +
                     " may be: sums of different clients under one model can be subtracted");
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
    const auto rounds = masked_.find({facts.key.purpose, facts.model_hash.hex()});
    return rounds != masked_.end() && rounds->second.contains(RoundOf(facts));
  }
  void Mask(Purpose purpose, const std::string& model, Round round) {
    masked_[{purpose, model}].insert(std::move(round));
  }
  void Open(Purpose purpose, Round round, const std::string& session) {
    opened_[{purpose, std::move(round)}].insert(session);
  }
  static Round RoundOf(const SessionFacts& facts) {
    return {facts.key.experiment.value(), facts.key.round};
  }

 private:
  std::uint32_t same_model_, reopen_;
  std::map<std::pair<Purpose, std::string>, std::set<Round>> masked_;  // by model
  std::map<std::pair<Purpose, Round>, std::set<std::string>> opened_;  // sessions
};

/// "masked" or "opened", purpose, the model's or session's hash, round, experiment. The experiment
/// comes last, because it alone is free text; a line break in it is refused where it is recorded.
struct Line {
  std::string kind;
  Purpose purpose;
  std::string hash;
  Round round;
};

std::string Checksum(std::string_view text) { return Digest::Of(text).hex().substr(0, 16); }

std::string Format(const Line& line) {
  const std::string text = line.kind + " " + std::to_string(static_cast<int>(line.purpose)) + " " +
                           line.hash + " " + std::to_string(line.round.second) + " " +
                           line.round.first;
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
  if (!(words >> line.kind >> purpose >> line.hash >> line.round.second) || words.get() != ' ')
    return {};
  std::getline(words, line.round.first);
  line.purpose = static_cast<Purpose>(purpose);
  const bool known = line.kind == "masked" || line.kind == "opened";
  return known ? std::optional(std::move(line)) : std::nullopt;
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
    Line line{.kind = "masked",
              .purpose = facts.key.purpose,
              .hash = facts.model_hash.hex(),
              .round = Openings::RoundOf(facts)};
    FEDMETA_RETURN_IF_ERROR(Keep(line));
    openings_.Mask(line.purpose, line.hash, std::move(line.round));
    return {};
  }
  Status RecordOpened(const SessionFacts& facts) override {
    if (openings_.IsOpened(facts)) return {};
    FEDMETA_RETURN_IF_ERROR(CheckStart(facts));
    Line line{.kind = "opened",
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
  FileLatch(std::filesystem::path path, FileDescriptor file, off_t end, Openings openings)
      : Latch(std::move(openings)), path_(std::move(path)), file_(std::move(file)), end_(end) {}

 protected:
  Status Keep(const Line& line) override {
    if (line.round.first.find('\n') != std::string::npos) {
      return Error(ErrorCode::kInvalidArgument,
                   "secure aggregation: an experiment's name holds a line break");
    }
    if (broken_) {
      return Error(ErrorCode::kInternal,
                   path_.string() +
                       " could not be written before: nothing is opened until this "
                       "client is started anew");
    }
    const std::string text = Format(line);
    const Status written = WriteAll(file_.get(), AsBytes(text), path_);
    if (!written.ok()) {
      broken_ = ::ftruncate(file_.get(), end_) != 0;
      return written;
    }
    // After a failed sync nobody knows what is on the disk.
    broken_ = ::fdatasync(file_.get()) != 0;
    if (broken_) return SystemError("cannot sync", path_);
    end_ += static_cast<off_t>(text.size());
    return {};
  }

 private:
  const std::filesystem::path path_;
  FileDescriptor file_;
  off_t end_;
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<OpeningLatch> OpeningsInMemory() { return std::make_unique<Latch>(Openings(0, 0)); }

Result<std::unique_ptr<OpeningLatch>> OpenOpeningLog(const OpeningLogOptions& options) {
  FileDescriptor file(
      ::open(options.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (file.get() < 0) return SystemError("cannot open", options.path);
  FEDMETA_ASSIGN_OR_RETURN(const std::string content, ReadFile(options.path));
  Openings openings(options.same_model, options.reopen);
  std::size_t end = 0, number = 0;
  for (std::size_t next; (next = content.find('\n', end)) != content.npos; end = next + 1) {
    ++number;
    std::optional<Line> line = Parse(content.substr(end, next - end));
    if (!line) {
      return Error(ErrorCode::kDataLoss,
                   options.path.string() + ":" + std::to_string(number) +
                       ": damaged. It says what this site has opened; restore it from a backup, "
                       "or leave the federation under this identity");
    }
    if (line->kind == "masked") {
      openings.Mask(line->purpose, line->hash, std::move(line->round));
    } else {
      openings.Open(line->purpose, std::move(line->round), line->hash);
    }
  }
  // Whoever wrote the torn line got no success, so nothing was sent.
  if (end != content.size() && ::ftruncate(file.get(), static_cast<off_t>(end)) != 0)
    return SystemError("cannot cut a torn line from", options.path);
  if (::fsync(file.get()) != 0) return SystemError("cannot sync", options.path);
  FEDMETA_RETURN_IF_ERROR(SyncFolder(FolderOf(options.path)));
  return std::unique_ptr<OpeningLatch>(std::make_unique<FileLatch>(
      options.path, std::move(file), static_cast<off_t>(end), std::move(openings)));
}

}  // namespace fedmeta

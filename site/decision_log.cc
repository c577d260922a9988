#include "fedmeta/site/decision_log.h"

#include <sstream>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "fedmeta/core/durable_append.h"
#include "fedmeta/core/file.h"

namespace fedmeta {
namespace {

constexpr std::pair<DecisionLog::Answer, std::string_view> kAnswers[] = {
    {DecisionLog::Answer::kApproved, "approved"},
    {DecisionLog::Answer::kRejected, "rejected"},
    {DecisionLog::Answer::kLeft, "left"}};

Status Append(const std::filesystem::path& file, nlohmann::json line, const DecisionLog::By& by,
              WallTime now) {
  line["time"] = FormatUtc(now);
  line["by"] = by.who;
  if (!by.note.empty()) line["note"] = by.note;
  return AppendDurably(file,
                       line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace

Result<DecisionLog> DecisionLog::Open(std::filesystem::path file) {
  DecisionLog log(std::move(file));
  if (!std::filesystem::exists(log.file_)) return log;
  FEDMETA_ASSIGN_OR_RETURN(std::string text, ReadFile(log.file_));
  // A line that a loss of power tore never took effect.
  if (const std::size_t whole = text.rfind('\n') + 1; whole != text.size()) {
    text.resize(whole);
    FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(log.file_, std::string_view(text), 0600));
  }
  std::istringstream in(text);
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (const Status taken = log.Take(line); !taken.ok()) {
      return taken.error().WithContext(log.file_.string() + ":" + std::to_string(number));
    }
  }
  return log;
}

Status DecisionLog::Take(const std::string& line) {
  const Error damaged(ErrorCode::kDataLoss,
                      "is no decision: mend the line or move the file away, then decide anew");
  const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
  if (!entry.is_object() || !entry.contains("decision") || !entry["decision"].is_string())
    return damaged;
  const std::string decision = entry["decision"];
  if (decision == "paused" || decision == "resumed") {
    paused_ = decision == "paused";
    return {};
  }
  for (const auto& [answer, name] : kAnswers) {
    if (decision != name || !entry.contains("hash") || !entry["hash"].is_string()) continue;
    answers_[entry["hash"]] = answer;
    return {};
  }
  return damaged;
}

DecisionLog::Answer DecisionLog::AnswerTo(const Digest& offer) const {
  const auto found = answers_.find(offer.hex());
  return found == answers_.end() ? Answer::kNone : found->second;
}

Status DecisionLog::Record(Answer answer, const Digest& offer, const std::string& experiment,
                           const By& by, WallTime now) {
  for (const auto& [value, name] : kAnswers) {
    if (value != answer) continue;
    FEDMETA_RETURN_IF_ERROR(Append(
        file_, {{"decision", name}, {"experiment", experiment}, {"hash", offer.hex()}}, by, now));
  }
  answers_[offer.hex()] = answer;
  return {};
}

Status DecisionLog::RecordPause(bool paused, const By& by, WallTime now) {
  FEDMETA_RETURN_IF_ERROR(Append(file_, {{"decision", paused ? "paused" : "resumed"}}, by, now));
  paused_ = paused;
  return {};
}

}  // namespace fedmeta

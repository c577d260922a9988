#include "fedmeta/coordinator/session_table.h"

#include <algorithm>
#include <utility>

#include "fedmeta/core/text.h"
#include "fedmeta/protocol/phases.h"
#include "fedmeta/protocol/version.h"

namespace fedmeta {
namespace {

constexpr Duration kLongestPoll = std::chrono::seconds(20);
constexpr Duration kLongestHeartbeat = std::chrono::seconds(10);
constexpr Duration kShortest = Duration(50);

/// A client that works or polls must be heard well before it counts as lost.
Duration Share(Duration lost_after, int parts, Duration longest) {
  return std::clamp(lost_after / parts, kShortest, longest);
}

Error JoinFirst() {
  return {ErrorCode::kFailedPrecondition, "join first: this coordinator has no such session"};
}

Result<v1::Role> RoleOf(const v1::ClientHello& hello, const std::string& data_name) {
  const auto found = hello.data().find(data_name);
  if (found == hello.data().end()) {
    return Error(ErrorCode::kInvalidArgument,
                 "the experiment learns from data '" + data_name +
                     "', which this client does not offer: add it under data in the client file");
  }
  if (found->second != v1::ROLE_TRAIN && found->second != v1::ROLE_VALIDATION &&
      found->second != v1::ROLE_HOLDOUT) {
    return Error(ErrorCode::kInvalidArgument,
                 "data." + data_name + ".role " + std::to_string(found->second) + " is unknown");
  }
  return found->second;
}

RoundKey AttemptOf(const v1::PhaseRequest& step) {
  RoundKey key = FromMessage(step.key()).value();
  key.session = 0;
  return key;
}

}  // namespace

SessionTable::SessionTable(Options options)
    : options_(std::move(options)),
      heartbeat_(Share(options_.lost_after, 4, kLongestHeartbeat)),
      poll_(Share(options_.lost_after, 3, kLongestPoll)) {}

Result<SessionTable::Joined> SessionTable::Join(const ClientId& client,
                                                const v1::ClientHello& hello, TimePoint now) {
  FEDMETA_RETURN_IF_ERROR(CheckClientVersion(hello.version()));
  if (options_.secure) FEDMETA_RETURN_IF_ERROR(CheckSpeaksSecure(hello.version()));
  FEDMETA_ASSIGN_OR_RETURN(const v1::Role role, RoleOf(hello, options_.data_name));
  Answers answers;
  Joined joined{
      .welcome = {}, .role = role, .known_before = false, .ready = !hello.decides_on_offer()};
  {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(client);
    if (found != sessions_.end() && !found->second.gone &&
        now - found->second.heard < takeover_after()) {
      return Error(ErrorCode::kUnavailable,
                   "another process joined as " + client.value() +
                       " and is connected: stop one of them; this one is let in once the "
                       "other's connection is closed, or silent for " +
                       FormatDuration(Seconds(takeover_after())));
    }
    if (found == sessions_.end() && sessions_.size() >= options_.maximum_sessions) {
      return Error(ErrorCode::kResourceExhausted,
                   "limits.connections: " + std::to_string(options_.maximum_sessions) +
                       " clients have joined already");
    }
    if (found != sessions_.end() && found->second.poll) {
      answers.push_back({std::move(found->second.poll), JoinFirst()});
    }
    Session session;
    session.id = ++last_session_;
    session.heard = now;
    session.role = role;
    session.discloses = hello.disclose_metrics();
    session.ready = joined.ready;
    joined.known_before = !last_counted_.try_emplace(client).second;
    joined.welcome.set_session_id(session.id);
    sessions_[client] = std::move(session);
    awaited_.erase(client);
  }
  *joined.welcome.mutable_version() = OwnVersion();
  joined.welcome.set_heartbeat_ms(static_cast<std::uint64_t>(heartbeat_.count()));
  joined.welcome.set_poll_ms(static_cast<std::uint64_t>(poll_.count()));
  Give(std::move(answers));
  return joined;
}

void SessionTable::Next(const ClientId& client, const v1::NextRequest& request, TimePoint now,
                        Done<v1::Instruction> done) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(client);
    if (found == sessions_.end() || found->second.id != request.session_id()) {
      answers.push_back({std::move(done), JoinFirst()});
    } else {
      Session& session = found->second;
      session.heard = now;
      session.gone = false;
      if (session.poll) {
        v1::Instruction idle;
        idle.mutable_idle();
        answers.push_back({std::move(session.poll), std::move(idle)});
      }
      session.poll = std::move(done);
      session.poll_until = now + poll_;
      session.seen.reset();
      if (request.has_seen()) {
        if (auto seen = FromMessage(request.seen()); seen.ok()) session.seen = *std::move(seen);
      }
      Deliver(client, session, answers);
    }
  }
  Give(std::move(answers));
}

/// Answers the held poll if there is something to say.
void SessionTable::Deliver(const ClientId& client, Session& session, Answers& answers) {
  if (!session.poll) return;
  v1::Instruction instruction;
  if (session.closed) {
    *instruction.mutable_closed() = *std::exchange(session.closed, std::nullopt);
  } else if (farewell_) {
    *instruction.mutable_closed() = *farewell_;
    session.heard_farewell = true;
  } else if (session.step) {
    *instruction.mutable_phase() = *session.step;
  } else if (session.plan && !session.answered &&
             (session.offered_anew || session.seen != session.plan->key())) {
    session.offered_anew = false;
    instruction.set_plan(std::string(session.plan->bytes()));
  } else {
    return;
  }
  AddLastCounted(client, instruction);
  answers.push_back({std::exchange(session.poll, nullptr), std::move(instruction)});
}

void SessionTable::AddLastCounted(const ClientId& client, v1::Instruction& instruction) const {
  const auto found = last_counted_.find(client);
  if (found == last_counted_.end()) return;
  for (const auto& [experiment, key] : found->second) {
    *instruction.add_last_counted() = ToMessage(key);
  }
}

void SessionTable::Give(Answers answers) {
  for (Answer& answer : answers) answer.done(std::move(answer.instruction));
}

void SessionTable::Remember(const RunHistory::LastCounted& last_counted,
                            const std::vector<ClientId>& present) {
  const std::lock_guard lock(mutex_);
  awaited_ = {present.begin(), present.end()};
  last_counted_ = last_counted;
}

void SessionTable::Heard(const ClientId& client, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(client);
  if (found != sessions_.end()) found->second.heard = std::max(found->second.heard, now);
}

void SessionTable::Gone(const ClientId& client) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(client);
  if (found != sessions_.end()) found->second.gone = true;
}

Status SessionTable::Progress(const ClientId& client, const std::string& phase) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(client);
  if (found == sessions_.end()) return JoinFirst();
  if (!phase.empty()) found->second.phase = phase;
  return {};
}

Result<std::optional<v1::Role>> SessionTable::SetReady(const ClientId& client, bool ready) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(client);
  if (found == sessions_.end()) return JoinFirst();
  if (std::exchange(found->second.ready, ready) == ready) return std::optional<v1::Role>();
  return std::optional(found->second.role);
}

bool SessionTable::Has(const ClientId& client) const {
  const std::lock_guard lock(mutex_);
  return sessions_.contains(client);
}

std::string SessionTable::phase(const ClientId& client) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(client);
  return found == sessions_.end() ? std::string() : found->second.phase;
}

bool SessionTable::Discloses(const ClientId& client) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(client);
  return found != sessions_.end() && found->second.discloses;
}

std::vector<ClientId> SessionTable::Clients() const {
  const std::lock_guard lock(mutex_);
  std::vector<ClientId> clients;
  for (const auto& [client, session] : sessions_) clients.push_back(client);
  return clients;
}

std::map<v1::Role, std::size_t> SessionTable::Present() const {
  const std::lock_guard lock(mutex_);
  std::map<v1::Role, std::size_t> present;
  for (const auto& [client, session] : sessions_) ++present[session.role];
  return present;
}

bool SessionTable::MayDownload(const ClientId& client, const Digest& digest) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(client);
  if (found == sessions_.end() || !found->second.plan) return false;
  const RoundPlan& plan = *found->second.plan;
  return plan.state_hash() == digest || plan.assignment_hash() == digest;
}

template <typename Change>
void SessionTable::ChangeEach(const std::vector<ClientId>& clients, const Change& change) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    for (const ClientId& client : clients) {
      const auto found = sessions_.find(client);
      if (found == sessions_.end()) continue;
      change(found->second);
      Deliver(client, found->second, answers);
    }
  }
  Give(std::move(answers));
}

void SessionTable::GivePlan(const std::vector<ClientId>& clients, const RoundPlan& plan) {
  ChangeEach(clients, [&](Session& session) {
    session.plan = plan;
    session.step.reset();
    session.answered = false;
    session.offered_anew = true;
  });
}

void SessionTable::Answered(const ClientId& client, const RoundKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(client);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  if (session.plan && session.plan->key() == key) session.answered = true;
  if (session.step && FromMessage(session.step->key()).value() == key) session.step.reset();
}

void SessionTable::AnsweredPhase(const ClientId& client, const RoundKey& key,
                                 const std::string& phase) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(client);
  if (found == sessions_.end() || !found->second.step) return;
  // A repeated answer to an earlier step is none to this one.
  const v1::PhaseRequest& step = *found->second.step;
  const bool complains = phase == kComplaintPhase && step.phase() == kMaskPhase;
  if (FromMessage(step.key()).value() == key && (step.phase() == phase || complains)) {
    found->second.step.reset();
  }
}

void SessionTable::GivePhase(const std::vector<ClientId>& clients,
                             const v1::PhaseRequest& request) {
  ChangeEach(clients, [&](Session& session) { session.step = request; });
}

void SessionTable::Close(const std::vector<ClientId>& clients, const RoundKey& key, bool counted,
                         const std::string& reason) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    for (const ClientId& client : clients) {
      if (counted && key.purpose == Purpose::kTrain) last_counted_[client][key.experiment] = key;
      const auto found = sessions_.find(client);
      if (found == sessions_.end()) continue;
      Session& session = found->second;
      if (session.plan && session.plan->key() == key) session.plan.reset();
      if (session.step && AttemptOf(*session.step) == key) session.step.reset();
      v1::Closed closed;
      *closed.mutable_key() = ToMessage(key);
      closed.set_counted(counted);
      closed.set_reason(reason);
      session.closed = std::move(closed);
      Deliver(client, session, answers);
    }
  }
  Give(std::move(answers));
}

std::vector<SessionTable::Lost> SessionTable::Tick(TimePoint now) {
  Answers answers;
  std::vector<Lost> lost;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = sessions_.begin(); at != sessions_.end();) {
      Session& session = at->second;
      if (now - session.heard >= options_.lost_after) {
        if (session.poll) answers.push_back({std::move(session.poll), JoinFirst()});
        lost.push_back({at->first, session.phase});
        at = sessions_.erase(at);
        continue;
      }
      if (session.poll && now >= session.poll_until) {
        v1::Instruction idle;
        idle.mutable_idle();
        AddLastCounted(at->first, idle);
        answers.push_back({std::exchange(session.poll, nullptr), std::move(idle)});
      }
      ++at;
    }
  }
  Give(std::move(answers));
  return lost;
}

void SessionTable::Farewell(const v1::Closed& closed) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    farewell_ = closed;
    for (auto& [client, session] : sessions_) Deliver(client, session, answers);
  }
  Give(std::move(answers));
}

bool SessionTable::AllHeardFarewell() const {
  const std::lock_guard lock(mutex_);
  return awaited_.empty() && std::all_of(sessions_.begin(), sessions_.end(), [](const auto& entry) {
           return entry.second.heard_farewell;
         });
}

void SessionTable::Shut(const Error& error) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [client, session] : sessions_) {
      if (session.poll) answers.push_back({std::exchange(session.poll, nullptr), error});
    }
  }
  Give(std::move(answers));
}

}  // namespace fedmeta

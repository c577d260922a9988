#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine_harness.h"

#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/secure_round_engine.h"
#include "fedmeta/coordinator/secure_sums.h"
#include "fedmeta/privacy/process_party.h"
#include "fedmeta/privacy/secure_client.h"

namespace fedmeta {

/// A secure round with real clients and a real store: everyone answers at once unless it is silent
/// in that phase, timers fire when nothing else happens, and the coordinator's process may end
/// after any instruction; the next one goes on as its store says. An evaluation of one cell, whose
/// vectors are short.
class SecureDrive {
 public:
  explicit SecureDrive(std::size_t count, std::uint32_t group_size = 16, std::uint32_t minimum = 3);

  /// Until an attempt has ended by its own word.
  void Run();
  void Give(Event event) { events_.push_back(std::move(event)); }
  /// A client's process ends: what it held is gone, what it recorded stays.
  void Kill(const ClientId& client);
  /// And another one begins and joins.
  void Restart(const ClientId& client);

  /// SecureAttempt::groups.
  AskedMembers::Groups groups;
  /// Who says nothing, by phase.
  std::map<std::string, std::set<std::string>> silent;
  /// Called for each answer before it is handed in; may change it.
  std::function<void(PhaseReplied&)> on_reply;
  /// Called before an instruction is carried out.
  std::function<void(const Instruction&)> on_instruction;
  /// Called after it was: true ends the coordinator's process.
  std::function<bool(const Instruction&)> crash;

  std::optional<AttemptRecord> outcome;
  std::optional<DecodedSum> sum;
  std::vector<std::string> charged;  ///< sessions
  std::vector<std::string> lines;
  std::set<Digest> opened;  ///< sessions for which some client's shares have left
  std::size_t crashes = 0;
  const RoundPlan& plan() const { return *plan_; }
  /// What the plain sum of these clients' contributions decodes to.
  DecodedSum PlainSum(const std::vector<ClientId>& clients) const;
  /// Bytes that the store still holds of masked sums and of what opens them.
  std::uint64_t BytesOfCharges();

 private:
  struct Client {
    std::unique_ptr<OpeningLatch> latch;
    std::optional<SecureClient> secure;
    bool lives = true, holds = false;  // its update
  };

  void Begin(const ClientId& id);
  RingVector Encoded(const ClientId& client) const;
  void MakeEngine(std::optional<ChargedAttempt> stored);
  void EndProcess();
  void Take(std::vector<Instruction> instructions);
  void Carry(const Instruction& instruction);
  void Store(const Persist& persist);
  Status TakeUp();
  void Reply(PhaseReplied reply);
  void Answer(const ClientId& id, const SendPhase& step);
  Result<std::string> AnswerOf(const ClientId& id, const SendPhase& step);
  void Work(const RunWork& work);

  ProcessAuthority authority_{"shapes"};
  std::uint32_t attempt_ = 2;  // even: a test
  std::optional<RoundPlan> plan_;
  v1::SecureTerms terms_;
  const std::uint32_t minimum_;
  std::unique_ptr<RoundStore> store_ = MakeMemoryStore();
  Lease lease_;
  std::optional<SecureSums> sums_;
  std::vector<ClientId> cohort_;
  std::map<ClientId, Client> clients_;
  std::set<ClientId> present_;  // at this process of the coordinator
  Tickets tickets_;
  std::unique_ptr<RoundEngine> engine_;
  TimePoint now_{};
  std::deque<Event> events_;
  std::multimap<TimePoint, std::uint64_t> timers_;
  std::vector<Bytes> uploads_;
  bool crashed_ = false;
};

}  // namespace fedmeta

#include "fedmeta/coordinator/secure_group.h"

#include <algorithm>
#include <utility>

#include "fedmeta/coordinator/plan_factory.h"
#include "fedmeta/core/text.h"
#include "fedmeta/privacy/secure_terms.h"
#include "fedmeta/privacy/threshold.h"
#include "fedmeta/protocol/phases.h"

namespace fedmeta {
namespace {

/// Late, or for a session that is over: nobody's fault.
bool OnlyLate(const Error& error) { return error.code() == ErrorCode::kFailedPrecondition; }

}  // namespace

SecureGroup::SecureGroup(Frame frame, std::uint32_t number, std::vector<ClientId> clients)
    : frame_(frame), number_(number), clients_(std::move(clients)) {}

void SecureGroup::Start(TimePoint now) { NextSession(now); }

void SecureGroup::Resume(const ChargedAttempt::Group& charged, std::vector<SessionRecord> records) {
  charged_ = true;
  session_ = charged.session;
  frame_.last_session = std::max(frame_.last_session, session_);
  records_ = std::move(records);
  if (records_.empty() || record().session != session_)
    records_.push_back({.session = session_, .group = number_});
  Result<SecureServer> server = SecureServer::Restore(ServerOptions(), charged.snapshot);
  if (!server.ok()) {
    End(State::kSpent, server.error().message());
    return;
  }
  server_ = *std::move(server);
  clients_ = server_->members();
  request_ = server_->OpeningRequest().value();
}

void SecureGroup::Reopen(TimePoint now) {
  if (state_ != State::kRunning) return;
  Enter(Step::kOpen, now);
  Ask(clients_, kOpenPhase, request_);
}

RoundKey SecureGroup::key() const {
  RoundKey key = frame_.plan.key();
  key.session = session_;
  return key;
}

SecureServer::Options SecureGroup::ServerOptions() const {
  return {.federation = frame_.settings.federation,
          .key = SecureKey(frame_.plan, session_),
          .group = number_,
          .plan_hash = frame_.plan.hash(),
          .model_hash = frame_.model_hash,
          .bits = RingBitsOf(frame_.settings.terms.ring_bits()).value(),
          .words = SecureWords(frame_.plan.message()),
          .verifier = frame_.settings.verifier};
}

void SecureGroup::NextSession(TimePoint now) {
  const auto counted = [](std::size_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
  };
  if (clients_.size() < frame_.settings.terms.minimum()) {
    End(State::kFailed, counted(clients_.size(), "client") + " left for a secure sum, at least " +
                            std::to_string(frame_.settings.terms.minimum()) + " needed");
    return;
  }
  if (records_.size() == frame_.settings.sessions) {
    End(State::kFailed, counted(records_.size(), "session") +
                            " of secure aggregation ended without a sum "
                            "(privacy.secure_aggregation.sessions)");
    return;
  }
  state_ = State::kRunning;
  session_ = ++frame_.last_session;
  server_.emplace(ServerOptions());
  findings_noted_ = 0;
  records_.push_back({.session = session_, .group = number_});
  Enter(Step::kAdvertise, now);
  Ask(clients_, kAdvertisePhase, {});
}

void SecureGroup::Enter(Step step, TimePoint now) {
  step_ = step;
  timer_ = frame_.tickets.Next();
  instructions_.emplace_back(SetTimer{timer_, now + frame_.settings.phase_deadline});
}

void SecureGroup::Ask(std::vector<ClientId> clients, std::string_view phase, std::string body) {
  bytes_down_ += body.size() * clients.size();
  instructions_.emplace_back(SendPhase{.clients = std::move(clients),
                                       .key = key(),
                                       .group = number_,
                                       .phase = std::string(phase),
                                       .body = std::move(body)});
}

bool SecureGroup::Has(const ClientId& client) const {
  return std::binary_search(clients_.begin(), clients_.end(), client);
}

void SecureGroup::Handle(const PhaseReplied& fact, TimePoint now) {
  if (!live() || fact.key != key() || !Has(fact.client)) return;
  bytes_up_ += fact.body.size();
  if (fact.phase == kMaskPhase) {
    TakeReceipt(fact, now);
    return;
  }
  if (fact.phase == kOpenPhase) {
    TakeOpening(fact, now);
    return;
  }
  Status taken;
  if (fact.phase == kAdvertisePhase) {
    taken = server_->AddAdvertisement(fact.client, fact.body);
  } else if (fact.phase == kSharePhase) {
    taken = server_->AddShares(fact.client, fact.body);
  } else if (fact.phase == kComplaintPhase) {
    taken = server_->AddComplaint(fact.client, fact.body);
    if (taken.ok() && !server_->findings().empty()) {
      const SecureFinding& dispute = server_->findings().back();
      Remove({dispute.client, dispute.other}, dispute.ToString(), now, kDisputed);
      return;
    }
  } else {
    taken = Error(ErrorCode::kInvalidArgument, "no such phase");
  }
  if (!taken.ok()) {
    Refuse(fact.client, taken.error(), now);
  } else {
    Advance(now);
  }
}

void SecureGroup::TakeReceipt(const PhaseReplied& fact, TimePoint now) {
  const auto upload = staged_.find(fact.client);
  if (step_ == Step::kMask && upload == staged_.end()) {
    Refuse(fact.client, Error(ErrorCode::kInvalidArgument, "a receipt without an upload"), now);
    return;
  }
  if (step_ != Step::kMask) return;
  const Status taken = server_->AddReceipt(fact.client, fact.body, upload->second);
  if (!taken.ok()) {
    Refuse(fact.client, taken.error(), now);
  } else {
    Advance(now);
  }
}

void SecureGroup::TakeOpening(const PhaseReplied& fact, TimePoint now) {
  if (step_ != Step::kOpen) return;
  // What a member opens wrongly is left out, and the others suffice or do not.
  const Status taken = server_->AddOpening(fact.client, fact.body);
  if (!taken.ok()) record().missing.push_back(fact.client.value());
  TryOpen(now);
}

void SecureGroup::Handle(const UploadStaged& fact, TimePoint) {
  if (!live() || fact.key != key() || !Has(fact.client)) return;
  if (step_ != Step::kMask || staged_.contains(fact.client)) return;
  staged_.emplace(fact.client, fact.digest);
  bytes_up_ += UploadSize(frame_.plan.message(), frame_.settings.terms);
  const std::uint64_t ticket = frame_.tickets.Next();
  adds_.emplace(ticket, fact.client);
  instructions_.emplace_back(RunWork{.ticket = ticket,
                                     .work = Work::kAddUpload,
                                     .plan = frame_.plan,
                                     .slot = fact.slot,
                                     .client = fact.client,
                                     .session = session_,
                                     .group = number_});
}

void SecureGroup::Refuse(const ClientId& client, const Error& error, TimePoint now) {
  if (!OnlyLate(error)) Remove({client}, error.message(), now);
}

void SecureGroup::Lose(const ClientId& client, const std::string& reason, TimePoint now) {
  if (live() && !charged() && Has(client)) Remove({client}, reason, now);
}

void SecureGroup::Handle(const ClientFailed& fact, TimePoint now) {
  if (!live() || fact.key != key() || !Has(fact.client)) return;
  if (!charged()) {
    Remove({fact.client}, fact.reason, now);
  } else if (step_ == Step::kOpen) {
    unable_.insert(fact.client);
    record().missing.push_back(fact.client.value());
    if (!MayBeOpened())
      End(State::kSpent,
          "too few members can open the sum; " + fact.client.value() + ": " + fact.reason);
  }
}

bool SecureGroup::MayBeOpened() const {
  const std::vector<ClientId> missing = server_->missing();
  const auto lost = std::count_if(missing.begin(), missing.end(), [this](const ClientId& client) {
    return unable_.contains(client);
  });
  return clients_.size() - static_cast<std::size_t>(lost) >= OpeningThreshold(clients_.size());
}

void SecureGroup::Rejoin(const ClientId& client) {
  if (live() && step_ == Step::kOpen && Has(client)) {
    Ask({client}, kOpenPhase, request_);
  }
}

/// These are out. Once the members are fixed, that costs the session.
void SecureGroup::Remove(const std::vector<ClientId>& clients, const std::string& reason,
                         TimePoint now, std::string_view why) {
  const std::string phase(why.empty() ? this->phase() : why);
  const std::vector<ClientId> before = clients_;
  for (const ClientId& client : clients) {
    if (!Has(client)) continue;
    outs_.push_back({client, "secure " + phase, reason});
    record().missing.push_back(client.value());
    std::erase(clients_, client);
  }
  if (step_ == Step::kAdvertise && clients_.size() >= frame_.settings.terms.minimum()) {
    // Who has advertised cannot be taken back: then a new session it is.
    const std::vector<ClientId>& advertised = server_->members();
    const bool fixed = std::any_of(clients.begin(), clients.end(), [&](const ClientId& client) {
      return std::find(advertised.begin(), advertised.end(), client) != advertised.end();
    });
    if (!fixed) {
      Advance(now);
      return;
    }
  }
  record().phase = phase;
  record().reason = reason;
  for (const ClientId& member : before) record().members.push_back(member.value());
  instructions_.emplace_back(fedmeta::EndSession{before, key(), "a new session begins"});
  staged_.clear();
  adds_.clear();
  NextSession(now);
}

void SecureGroup::Advance(TimePoint now) {
  if (step_ == Step::kAdvertise && server_->members() == clients_) {
    Result<std::string> roster = server_->Roster();
    if (!roster.ok()) {
      End(State::kFailed, roster.error().message());
      return;
    }
    Enter(Step::kShare, now);
    Ask(clients_, kSharePhase, *std::move(roster));
  } else if (step_ == Step::kShare && server_->phase() == SecureServer::Phase::kMask) {
    Enter(Step::kMask, now);
    instructions_.emplace_back(ExpectUploads{clients_, frame_.plan, key()});
    for (const ClientId& client : clients_) {
      Ask({client}, kMaskPhase, server_->Delivery(client).value());
    }
  } else if (step_ == Step::kMask && adds_.empty() && staged_.size() == clients_.size() &&
             server_->missing().empty()) {
    state_ = State::kReady;
  }
}

void SecureGroup::Charge(TimePoint now) {
  state_ = State::kRunning;
  Result<std::string> request = server_->OpeningRequest();
  if (!request.ok()) {
    End(State::kFailed, request.error().message());
    return;
  }
  request_ = *std::move(request);
  charged_ = true;
  Enter(Step::kCharge, now);
  ticket_ = frame_.tickets.Next();
  instructions_.emplace_back(Persist{
      .ticket = ticket_,
      .record = Record::kChargePrivacy,
      .plan = frame_.plan,
      .cohort = 0,
      .outcome = {},
      .presence = {},
      .charge =
          SessionCharge{.key = key(), .group = number_, .snapshot = server_->Snapshot().value()}});
}

void SecureGroup::Handle(const StoreFinished& fact, TimePoint now) {
  if (step_ != Step::kCharge || fact.ticket != ticket_) return;
  if (!fact.status.ok()) {
    store_status_ = fact.status;
    return;
  }
  Enter(Step::kOpen, now);
  Ask(clients_, kOpenPhase, request_);
}

void SecureGroup::TryOpen(TimePoint now) {
  if (!server_->CanReconstruct()) {
    NoteFindings();
    return;
  }
  Result<std::vector<SecretBytes>> keys = server_->Reconstruct();
  NoteFindings();
  if (!keys.ok()) {
    // Further openings may help, until the deadline.
    if (server_->missing().empty()) End(State::kSpent, keys.error().message());
    return;
  }
  Enter(Step::kUnmask, now);
  ticket_ = frame_.tickets.Next();
  instructions_.emplace_back(RunWork{
      .ticket = ticket_,
      .work = Work::kUnmask,
      .plan = frame_.plan,
      .reported = static_cast<std::uint32_t>(clients_.size()),
      .session = session_,
      .group = number_,
      .self_mask_keys = std::make_shared<const std::vector<SecretBytes>>(*std::move(keys))});
}

/// Who broke the protocol is named, whatever becomes of the session.
void SecureGroup::NoteFindings() {
  const std::vector<SecureFinding>& findings = server_->findings();
  for (; findings_noted_ < findings.size(); ++findings_noted_) {
    const SecureFinding& finding = findings[findings_noted_];
    record().missing.push_back(finding.client.value());
    instructions_.emplace_back(ReportNote{key().ToString() + ": " + finding.ToString()});
  }
}

void SecureGroup::Handle(const WorkFinished& fact, TimePoint now) {
  if (!live()) return;
  if (const auto add = adds_.find(fact.ticket); add != adds_.end()) {
    const ClientId client = add->second;
    adds_.erase(add);
    if (fact.status.ok()) {
      Advance(now);
    } else {
      Remove({client}, fact.status.error().message(), now);
    }
  } else if (step_ == Step::kUnmask && fact.ticket == ticket_) {
    if (fact.status.ok()) {
      record().opened = true;
      End(State::kOpened, {});
    } else {
      End(State::kSpent, fact.status.error().message());
    }
  }
}

void SecureGroup::Handle(const TimerFired& fact, TimePoint now) {
  if (state_ != State::kRunning || fact.timer != timer_) return;
  const std::string late = "silent for " + FormatDuration(Seconds(frame_.settings.phase_deadline));
  if (step_ == Step::kOpen) {
    for (const ClientId& client : server_->missing()) record().missing.push_back(client.value());
    End(State::kSpent, "too few members opened the sum within " +
                           FormatDuration(Seconds(frame_.settings.phase_deadline)));
    return;
  }
  if (step_ > Step::kMask) return;  // our own store and worker are not hurried
  std::vector<ClientId> missing;
  if (step_ == Step::kAdvertise) {
    const std::vector<ClientId>& here = server_->members();
    std::copy_if(clients_.begin(), clients_.end(), std::back_inserter(missing),
                 [&](const ClientId& client) {
                   return std::find(here.begin(), here.end(), client) == here.end();
                 });
  } else {
    missing = server_->missing();
  }
  if (!missing.empty()) Remove(missing, late, now);
}

void SecureGroup::End(State state, std::string reason) {
  state_ = state;
  reason_ = std::move(reason);
  if (records_.empty()) return;
  if (record().members.empty()) {
    for (const ClientId& member : clients_) record().members.push_back(member.value());
  }
  if (!record().opened && record().reason.empty()) {
    record().phase = phase();
    record().reason = reason_;
  }
  step_ = Step::kOver;
}

std::string_view SecureGroup::phase() const {
  switch (step_) {
    case Step::kAdvertise:
      return kAdvertisePhase;
    case Step::kShare:
      return kSharePhase;
    case Step::kMask:
    case Step::kCharge:
      return kMaskPhase;
    case Step::kOpen:
    case Step::kUnmask:
      return kOpenPhase;
    case Step::kOver:
      break;
  }
  return "over";
}

}  // namespace fedmeta

#include "fedmeta/coordinator/upload_staging.h"

#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/coordinator/arrival.h"
#include "fedmeta/core/check.h"
#include "fedmeta/core/digest.h"

namespace fedmeta {
namespace {

using Owner = std::pair<ClientId, RoundKey>;
using Opened = Done<std::shared_ptr<UploadSink>>;

v1::UploadPosition PositionOf(std::uint64_t received, bool complete) {
  v1::UploadPosition position;
  position.set_received(received);
  position.set_complete(complete);
  return position;
}

Error Stale(const RoundKey& key) {
  return {ErrorCode::kFailedPrecondition,
          "upload: " + key.ToString() + " is over or was not asked of this client"};
}

/// For an upload that is here, or came too late: acknowledges.
class KnownSink final : public UploadSink {
 public:
  explicit KnownSink(v1::UploadPosition position) : position_(std::move(position)) {}
  std::optional<v1::UploadPosition> already() const override { return position_; }
  Status Write(std::span<const std::byte>) override { return {}; }
  void Finish(Done<v1::UploadPosition> done) override { done(position_); }

 private:
  const v1::UploadPosition position_;
};

// Of one client, after their end: rounds of all purposes.
constexpr std::size_t kAttemptsRemembered = 16;

}  // namespace

class UploadStaging::Core : public std::enable_shared_from_this<Core> {
 public:
  explicit Core(Options options) : options_(std::move(options)), slots_(options_.slots) {}

  void Expect(const RoundPlan& plan, const RoundKey& key, std::span<const ClientId> clients,
              std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    for (const ClientId& client : clients) {
      const auto [at, anew] = expected_.try_emplace({client, key});
      if (!anew && !at->second.end) continue;
      if (!anew) std::erase(ended_[client], key);
      at->second = {.plan_hash = plan.hash(), .size = size, .whole = {}};
    }
  }

  /// Of the attempt all, of a session that one.
  void Close(const Owner& owner, const std::string& reason);
  void Shut();
  std::span<const std::byte> Take(std::uint32_t slot);
  void Free(std::uint32_t slot);
  std::size_t slots_in_use() const;
  Result<v1::UploadPosition> Position(const ClientId& client, const v1::UploadHeader& header);
  void Open(const ClientId& client, const v1::UploadHeader& header, Opened done);

  Status Write(const Owner& owner, Arrival& arrival, std::span<const std::byte> data);
  Result<v1::UploadPosition> Finish(std::uint32_t slot, Arrival& arrival);
  void Leave(std::uint32_t slot, const std::shared_ptr<Arrival>& arrival);

 private:
  enum class Use : std::uint8_t { kFree, kReceiving, kStaged, kTaken };
  struct Slot {
    Use use = Use::kFree;
    Owner owner;
    std::shared_ptr<Arrival> arrival;
  };
  struct Expected {
    Digest plan_hash;
    std::uint64_t size = 0;
    std::optional<Digest> whole;          // received
    std::optional<std::string> end = {};  // why the attempt is over; none: it is open

    /// What an upload is told without its bytes; none: it is to come.
    std::optional<v1::UploadPosition> Known() const {
      if (!whole && !end) return std::nullopt;
      v1::UploadPosition position = PositionOf(size, true);
      if (!whole) {
        position.set_discarded(true);
        position.set_reason(*end);
      }
      return position;
    }
  };
  struct Request {
    Owner owner;
    Digest digest;
    std::uint64_t size = 0, offset = 0;
  };
  struct Waiting {
    Request request;
    Opened done;
  };
  struct Partial {
    Owner owner;
    std::shared_ptr<Arrival> arrival;
  };
  using Answers = std::vector<std::pair<Opened, Result<std::shared_ptr<UploadSink>>>>;

  Result<Request> Check(const ClientId& client, const v1::UploadHeader& header) const;
  void CloseOne(const Owner& owner, const std::string& reason);
  std::shared_ptr<Arrival> FindPartial(const Request& request) const;
  void KeepPartial(const Owner& owner, const std::shared_ptr<Arrival>& arrival);
  Result<std::shared_ptr<UploadSink>> Grant(std::uint32_t slot, const Request& request);
  void Serve(Answers& answers);
  static void Give(Answers answers) {
    for (auto& [done, result] : answers) done(std::move(result));
  }

  const Options options_;
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::map<Owner, Expected> expected_;
  std::map<ClientId, std::deque<RoundKey>> ended_;  // of those in expected_, oldest first
  std::deque<Waiting> waiting_;
  std::list<Partial> partials_;  // oldest first
};

namespace {

/// Writes one arrival into the staging that it belongs to, while that lives.
template <typename Core>
class SlotSink final : public UploadSink {
 public:
  SlotSink(std::weak_ptr<Core> core, std::uint32_t slot, Owner owner,
           std::shared_ptr<Arrival> arrival)
      : core_(std::move(core)),
        slot_(slot),
        owner_(std::move(owner)),
        arrival_(std::move(arrival)) {}
  ~SlotSink() override {
    if (const auto core = core_.lock()) core->Leave(slot_, arrival_);
  }
  Status Write(std::span<const std::byte> data) override {
    const auto core = core_.lock();
    return core ? core->Write(owner_, *arrival_, data) : Stale(owner_.second);
  }
  void Finish(Done<v1::UploadPosition> done) override {
    const auto core = core_.lock();
    if (!core) {
      done(Stale(owner_.second));
      return;
    }
    done(core->Finish(slot_, *arrival_));
  }

 private:
  std::weak_ptr<Core> core_;
  std::uint32_t slot_;
  Owner owner_;
  std::shared_ptr<Arrival> arrival_;
};

}  // namespace

void UploadStaging::Core::Close(const Owner& owner, const std::string& reason) {
  std::vector<Owner> owners = {owner};
  if (owner.second.session == 0) {
    const std::lock_guard lock(mutex_);
    for (auto at = expected_.upper_bound(owner); at != expected_.end(); ++at) {
      RoundKey attempt = at->first.second;
      attempt.session = 0;
      if (at->first.first != owner.first || attempt != owner.second) break;
      owners.push_back(at->first);
    }
  }
  for (const Owner& one : owners) CloseOne(one, reason);
}

void UploadStaging::Core::CloseOne(const Owner& owner, const std::string& reason) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    const auto found = expected_.find(owner);
    if (found == expected_.end() || found->second.end) return;
    found->second.end = reason.empty() ? "the attempt is over" : reason;
    std::deque<RoundKey>& ended = ended_[owner.first];
    ended.push_back(owner.second);
    if (ended.size() > kAttemptsRemembered) {
      expected_.erase({owner.first, ended.front()});
      ended.pop_front();
    }
    partials_.remove_if([&](const Partial& partial) { return partial.owner == owner; });
    std::erase_if(waiting_, [&](Waiting& waiting) {
      if (waiting.request.owner != owner) return false;
      answers.emplace_back(std::move(waiting.done),
                           std::make_shared<KnownSink>(*found->second.Known()));
      return true;
    });
    for (Slot& slot : slots_) {
      if (slot.owner != owner || slot.use == Use::kFree || slot.use == Use::kTaken) continue;
      slot.arrival->Detach();
      slot = {};
    }
    Serve(answers);
  }
  Give(std::move(answers));
}

void UploadStaging::Core::Shut() {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    expected_.clear();
    for (Waiting& waiting : waiting_) {
      answers.emplace_back(std::move(waiting.done),
                           Error(ErrorCode::kUnavailable, "upload: the coordinator stops"));
    }
    waiting_.clear();
  }
  Give(std::move(answers));
}

std::span<const std::byte> UploadStaging::Core::Take(std::uint32_t slot) {
  const std::lock_guard lock(mutex_);
  FEDMETA_CHECK(slots_[slot].use == Use::kStaged);
  slots_[slot].use = Use::kTaken;
  return slots_[slot].arrival->bytes();
}

void UploadStaging::Core::Free(std::uint32_t slot) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    slots_[slot] = {};
    Serve(answers);
  }
  Give(std::move(answers));
}

std::size_t UploadStaging::Core::slots_in_use() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.use != Use::kFree; }));
}

Result<UploadStaging::Core::Request> UploadStaging::Core::Check(
    const ClientId& client, const v1::UploadHeader& header) const {
  FEDMETA_ASSIGN_OR_RETURN(RoundKey key, FromMessage(header.key()));
  FEDMETA_ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(header.sha256()));
  FEDMETA_ASSIGN_OR_RETURN(const Digest plan_hash, Digest::FromBytes(header.plan_hash()));
  const Owner owner{client, std::move(key)};
  const auto found = expected_.find(owner);
  if (found == expected_.end()) return Stale(owner.second);
  const Expected& expected = found->second;
  if (plan_hash != expected.plan_hash) {
    return Error(ErrorCode::kFailedPrecondition,
                 "upload: plan_hash is not that of " + owner.second.ToString());
  }
  if (header.size() != expected.size) {
    return Error(ErrorCode::kInvalidArgument, "upload: size must be " +
                                                  std::to_string(expected.size) + " bytes, got " +
                                                  std::to_string(header.size()));
  }
  if (expected.whole && *expected.whole != digest) {
    return Error(ErrorCode::kAlreadyExists,
                 "upload: " + owner.second.ToString() + " was received with another digest");
  }
  return Request{
      .owner = owner, .digest = digest, .size = expected.size, .offset = header.offset()};
}

std::shared_ptr<Arrival> UploadStaging::Core::FindPartial(const Request& request) const {
  const auto matches = [&](const Owner& owner, const std::shared_ptr<Arrival>& arrival) {
    return owner == request.owner && arrival->digest() == request.digest;
  };
  for (const Slot& slot : slots_) {
    if (slot.use == Use::kReceiving && matches(slot.owner, slot.arrival)) return slot.arrival;
  }
  for (const Partial& partial : partials_) {
    if (matches(partial.owner, partial.arrival)) return partial.arrival;
  }
  return nullptr;
}

Result<v1::UploadPosition> UploadStaging::Core::Position(const ClientId& client,
                                                         const v1::UploadHeader& header) {
  const std::lock_guard lock(mutex_);
  FEDMETA_ASSIGN_OR_RETURN(const Request request, Check(client, header));
  if (const auto known = expected_.at(request.owner).Known()) return *known;
  const std::shared_ptr<Arrival> partial = FindPartial(request);
  if (!partial) return PositionOf(0, false);
  return PositionOf(partial->received(), false);
}

void UploadStaging::Core::Open(const ClientId& client, const v1::UploadHeader& header,
                               Opened done) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    Result<Request> request = Check(client, header);
    if (!request.ok()) {
      answers.emplace_back(std::move(done), request.error());
    } else if (const auto known = expected_.at(request->owner).Known()) {
      answers.emplace_back(std::move(done), std::make_shared<KnownSink>(*known));
    } else {
      // The older stream of this client is dead or beside the point.
      for (Slot& slot : slots_) {
        if (slot.use != Use::kReceiving || slot.owner != request->owner) continue;
        KeepPartial(slot.owner, slot.arrival);
        slot = {};
      }
      std::erase_if(waiting_, [&](Waiting& waiting) {
        if (waiting.request.owner != request->owner) return false;
        answers.emplace_back(
            std::move(waiting.done),
            Error(ErrorCode::kCancelled, "upload: a newer stream of this client took over"));
        return true;
      });
      waiting_.push_back({*std::move(request), std::move(done)});
      Serve(answers);
    }
  }
  Give(std::move(answers));
}

/// Moves what came so far out of the hands of the sink that wrote it.
void UploadStaging::Core::KeepPartial(const Owner& owner, const std::shared_ptr<Arrival>& arrival) {
  std::shared_ptr<Arrival> kept = arrival->DetachForResumption();
  if (!kept) return;
  partials_.remove_if([&](const Partial& partial) { return partial.owner == owner; });
  partials_.push_back({owner, std::move(kept)});
  if (partials_.size() > slots_.size()) partials_.pop_front();
}

Result<std::shared_ptr<UploadSink>> UploadStaging::Core::Grant(std::uint32_t slot,
                                                               const Request& request) {
  std::shared_ptr<Arrival> arrival;
  if (request.offset > 0) {
    arrival = FindPartial(request);
    const std::uint64_t received = arrival ? arrival->received() : 0;
    if (received != request.offset) {
      return Error(ErrorCode::kInvalidArgument,
                   "upload: offset must be " + std::to_string(received) + ", got " +
                       std::to_string(request.offset) + ": ask UploadStatus");
    }
  } else {
    arrival = std::make_shared<Arrival>(request.digest, request.size);
  }
  partials_.remove_if([&](const Partial& partial) { return partial.owner == request.owner; });
  slots_[slot] = {.use = Use::kReceiving, .owner = request.owner, .arrival = arrival};
  return std::shared_ptr<UploadSink>(
      std::make_shared<SlotSink<Core>>(weak_from_this(), slot, request.owner, arrival));
}

/// Gives free slots to those who wait, in order.
void UploadStaging::Core::Serve(Answers& answers) {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    while (slots_[slot].use == Use::kFree && !waiting_.empty()) {
      Waiting waiting = std::move(waiting_.front());
      waiting_.pop_front();
      auto granted = Grant(static_cast<std::uint32_t>(slot), waiting.request);
      answers.emplace_back(std::move(waiting.done), std::move(granted));
    }
  }
}

Status UploadStaging::Core::Write(const Owner& owner, Arrival& arrival,
                                  std::span<const std::byte> data) {
  FEDMETA_ASSIGN_OR_RETURN(const bool taken, arrival.Write(data));
  if (!taken) return Stale(owner.second);
  options_.heard(owner.first);
  return {};
}

Result<v1::UploadPosition> UploadStaging::Core::Finish(std::uint32_t slot, Arrival& arrival) {
  Owner owner;
  {
    const std::lock_guard lock(mutex_);
    Slot& used = slots_[slot];
    const bool mine = used.use == Use::kReceiving && used.arrival.get() == &arrival;
    if (!mine) {
      return Error(ErrorCode::kFailedPrecondition,
                   "upload: the attempt is over, or a newer stream of this client took over");
    }
    FEDMETA_RETURN_IF_ERROR(arrival.Complete());
    owner = used.owner;
    used.use = Use::kStaged;
    expected_.at(owner).whole = arrival.digest();
  }
  options_.staged(owner.second, owner.first, slot, arrival.digest());
  return PositionOf(arrival.size(), true);
}

void UploadStaging::Core::Leave(std::uint32_t slot, const std::shared_ptr<Arrival>& arrival) {
  Answers answers;
  {
    const std::lock_guard lock(mutex_);
    Slot& used = slots_[slot];
    if (used.use != Use::kReceiving || used.arrival != arrival) return;
    KeepPartial(used.owner, arrival);
    used = {};
    Serve(answers);
  }
  Give(std::move(answers));
}

UploadStaging::UploadStaging(Options options) : core_(std::make_shared<Core>(std::move(options))) {}
UploadStaging::~UploadStaging() { core_->Shut(); }

void UploadStaging::Expect(const RoundPlan& plan, const RoundKey& key,
                           std::span<const ClientId> clients, std::uint64_t size) {
  core_->Expect(plan, key, clients, size);
}
void UploadStaging::Close(const RoundKey& key, const ClientId& client, const std::string& reason) {
  core_->Close({client, key}, reason);
}
std::span<const std::byte> UploadStaging::Take(std::uint32_t slot) { return core_->Take(slot); }
void UploadStaging::Free(std::uint32_t slot) { core_->Free(slot); }
std::size_t UploadStaging::slots_in_use() const { return core_->slots_in_use(); }
Result<v1::UploadPosition> UploadStaging::Position(const ClientId& client,
                                                   const v1::UploadHeader& header) {
  return core_->Position(client, header);
}
void UploadStaging::Open(const ClientId& client, const v1::UploadHeader& header,
                         Done<std::shared_ptr<UploadSink>> done) {
  core_->Open(client, header, std::move(done));
}

}  // namespace fedmeta

#include "fedmeta/identity/live_identity.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <sys/stat.h>

#include "fedmeta/core/file.h"
#include "fedmeta/identity/certificate_cache.h"
#include "fedmeta/identity/revocation_list.h"
#include "fedmeta/identity/x509.h"

namespace fedmeta {
namespace {

constexpr std::chrono::days kWarnBefore{30};      // the end of a certificate
constexpr std::chrono::days kWarnBeforeStale{3};  // the end of a list, or a quarter of its time
constexpr std::chrono::days kRemindEvery{1};
constexpr std::chrono::minutes kComplainEvery{10};
// A list that is being copied, not renamed into place, is not whole for a moment. Until a second
// look the list before stays in force, which still has its own end.
constexpr int kFailuresThatCount = 2;

std::string DaysText(Duration left) {
  const double days = std::chrono::duration<double, std::ratio<86'400>>(left).count();
  return days >= 2 ? std::to_string(std::lround(days)) + " days" : FormatDuration(Seconds(left));
}

Status CheckDates(const x509::Certificate& certificate, WallTime now) {
  const WallTime from = x509::ToWallTime(X509_get0_notBefore(certificate.get()));
  const WallTime until = x509::ToWallTime(X509_get0_notAfter(certificate.get()));
  if (now >= from && now <= until) return {};
  return Error(ErrorCode::kUnauthenticated,
               "the certificate with serial " +
                   x509::SerialHex(X509_get0_serialNumber(certificate.get())) + " is valid from " +
                   FormatUtc(from) + " to " + FormatUtc(until) +
                   ", and by the clock here it is not: renew it");
}

}  // namespace

LiveIdentity::LiveIdentity(const v1::Identity& files, IdentityRole role, const Clock& clock,
                           Logger& logger)
    : files_(files),
      role_(role),
      clock_(clock),
      logger_(logger),
      presented_(std::make_unique<CertificateCache>()) {}
LiveIdentity::~LiveIdentity() = default;

Result<std::shared_ptr<LiveIdentity>> LiveIdentity::Open(const v1::Identity& files,
                                                         IdentityRole role, const Clock& clock,
                                                         Logger& logger) {
  std::shared_ptr<LiveIdentity> live(new LiveIdentity(files, role, clock, logger));
  FEDMETA_RETURN_IF_ERROR(live->LoadOwn());
  if (files.has_revocation_list()) {
    live->list_stamp_ = StampOf(files.revocation_list());
    auto list = live->LoadList();
    if (!list.ok()) return list.error().WithContext("identity.revocation_list");
    live->list_ = std::make_shared<const RevocationList>(std::move(list).value());
    Status usable = live->ListStatus();
    if (usable.ok()) usable = live->CheckPeer(live->credentials_->certificate_pem);
    if (!usable.ok()) {
      // At the start it is a mistake in the files, whatever it would be later.
      return Error(ErrorCode::kInvalidArgument,
                   "identity.revocation_list: " + usable.error().message());
    }
  } else if (role == IdentityRole::kCoordinator) {
    logger.Log(LogLevel::kWarning, "no_revocation_list",
               {{"reason",
                 "identity.revocation_list is not set: a revoked certificate is served "
                 "until it expires"}});
  }
  live->Remind();
  return live;
}

LiveIdentity::Stamp LiveIdentity::StampOf(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = static_cast<std::uint64_t>(info.st_size),
          .modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
}

LiveIdentity::Stamps LiveIdentity::StampsNow() const {
  return {.certificate = StampOf(files_.certificate()),
          .key = StampOf(files_.key()),
          .trust = StampOf(files_.trust())};
}

std::shared_ptr<const Credentials> LiveIdentity::credentials() const {
  const std::lock_guard lock(mutex_);
  return credentials_;
}

Status LiveIdentity::LoadOwn() {
  // Before the reading: what changes during it is seen at the next look.
  own_stamps_ = StampsNow();
  FEDMETA_ASSIGN_OR_RETURN(Credentials loaded, LoadCredentials(files_, role_, clock_));
  auto fresh = std::make_shared<const Credentials>(std::move(loaded));
  const std::lock_guard lock(mutex_);
  if (credentials_ && credentials_->identity != fresh->identity) {
    return Error(ErrorCode::kInvalidArgument,
                 files_.certificate() + " is now for " + fresh->identity.ToString() +
                     ", this process is " + credentials_->identity.ToString() + ": restart it");
  }
  credentials_ = std::move(fresh);
  return {};
}

bool LiveIdentity::RenewOwn() {
  // Files that were refused are tried at each look: a key may come after its certificate.
  if (own_refused_.empty() && StampsNow() == own_stamps_) return false;
  const auto before = credentials();
  if (const Status status = LoadOwn(); !status.ok()) {
    if (status.error().message() != own_refused_) {
      own_refused_ = status.error().message();
      logger_.Log(LogLevel::kWarning, "identity_not_renewed",
                  {{"reason", own_refused_}, {"next", "the old certificate stays in use"}});
    }
    return false;
  }
  own_refused_.clear();
  const auto now = credentials();
  if (now->certificate_pem == before->certificate_pem && now->trust_pem == before->trust_pem)
    return false;
  logger_.Log(LogLevel::kInfo, "identity_renewed",
              {{"identity", now->identity.ToString()}, {"expires", FormatUtc(now->not_after)}});
  reminded_.reset();
  return true;
}

Result<RevocationList> LiveIdentity::LoadList() const {
  FEDMETA_ASSIGN_OR_RETURN(const std::string pem, ReadFile(files_.revocation_list()));
  const auto own = credentials();
  const std::array<std::string_view, 2> authorities = {own->trust_pem, own->certificate_pem};
  FEDMETA_ASSIGN_OR_RETURN(RevocationList list,
                           RevocationList::Parse(pem, files_.revocation_list(), authorities));
  if (list_) FEDMETA_RETURN_IF_ERROR(list.CheckNotOlderThan(*list_));
  return list;
}

bool LiveIdentity::RenewList() {
  const Stamp stamp = StampOf(files_.revocation_list());
  if (stamp == list_stamp_ && list_failures_ == 0) return false;
  list_stamp_ = stamp;
  auto list = LoadList();
  list_failures_ = list.ok() ? 0 : list_failures_ + 1;
  const std::lock_guard lock(mutex_);
  if (list.ok()) {
    list_ = std::make_shared<const RevocationList>(std::move(list).value());
    list_error_.reset();
    logger_.Log(LogLevel::kInfo, "revocation_list_read",
                {{"revoked", std::to_string(list_->revoked())},
                 {"valid_until", FormatUtc(list_->valid_until())}});
  } else if (list_failures_ >= kFailuresThatCount) {
    list_error_ = Error(ErrorCode::kUnavailable, list.error().message());
  }
  return true;
}

Status LiveIdentity::ListStatus() const {
  std::shared_ptr<const RevocationList> list;
  {
    const std::lock_guard lock(mutex_);
    if (list_error_) return *list_error_;
    list = list_;
  }
  return list ? list->CheckFresh(clock_.Wall()) : Status();
}

bool LiveIdentity::NoteListStatus() {
  const Status status = ListStatus();
  const bool was_well = list_reported_.empty();
  if (status.ok()) {
    if (was_well) return false;
    list_reported_.clear();
    logger_.Log(LogLevel::kInfo, "revocation_list_usable", {{"next", "peers are served again"}});
    return true;
  }
  if (status.error().message() != list_reported_ || !list_complained_ ||
      clock_.Now() - *list_complained_ >= kComplainEvery) {
    list_reported_ = status.error().message();
    list_complained_ = clock_.Now();
    logger_.Log(LogLevel::kError, "revocation_list_unusable",
                {{"reason", list_reported_},
                 {"next", "every call is refused until there is a list that can be used"}});
  }
  return was_well;
}

Status LiveIdentity::CheckPeer(std::string_view certificates_pem) const {
  const auto presented = presented_->Parse(certificates_pem);
  if (!presented.ok()) return Error(ErrorCode::kUnauthenticated, presented.error().message());
  const WallTime now = clock_.Wall();
  for (const x509::Certificate& certificate : *presented.value())
    FEDMETA_RETURN_IF_ERROR(CheckDates(certificate, now));
  FEDMETA_RETURN_IF_ERROR(ListStatus());
  std::shared_ptr<const RevocationList> list;
  {
    const std::lock_guard lock(mutex_);
    list = list_;
  }
  return list ? list->CheckCertificates(*presented.value()) : Status();
}

void LiveIdentity::OnChange(std::function<void()> call) {
  const std::lock_guard lock(call_mutex_);
  call_ = std::move(call);
}

void LiveIdentity::Look() {
  bool changed = RenewOwn();
  if (files_.has_revocation_list()) {
    changed = RenewList() || changed;
    changed = NoteListStatus() || changed;
  }
  Remind();
  // Once more after the next look: a call that was admitted during the change is in no list yet.
  const bool tell = changed || tell_again_;
  tell_again_ = changed;
  if (!tell) return;
  const std::lock_guard lock(call_mutex_);
  if (call_) call_();
}

std::optional<WallTime> LiveIdentity::list_valid_until() const {
  const std::lock_guard lock(mutex_);
  if (!list_ || list_error_) return std::nullopt;
  return list_->valid_until();
}

std::optional<std::string> LiveIdentity::Warning() const {
  const WallTime now = clock_.Wall();
  const auto own = credentials();
  const Duration left = own->not_after - now;
  if (left < Duration::zero()) {
    return "the certificate of " + own->identity.ToString() + " expired on " +
           FormatUtc(own->not_after) + ": renew it (`fedmeta pki renew`)";
  }
  if (left < kWarnBefore) {
    return "the certificate of " + own->identity.ToString() + " expires in " + DaysText(left) +
           ", on " + FormatUtc(own->not_after) + ": renew it (`fedmeta pki renew`)";
  }
  const std::lock_guard lock(mutex_);
  if (!list_) return std::nullopt;
  const Duration validity = list_->valid_until() - list_->valid_from();
  const Duration fresh = list_->valid_until() - now;
  const bool stale = fresh < Duration::zero();  // every look says so
  if (stale || fresh > std::min<Duration>(kWarnBeforeStale, validity / 4)) return std::nullopt;
  return "the list of revoked certificates " + files_.revocation_list() + " goes stale on " +
         FormatUtc(list_->valid_until()) +
         ", and then every call is refused: get a new one from "
         "the authority (`fedmeta pki revoke --refresh`)";
}

void LiveIdentity::Remind() {
  // Once a day, and at the end itself.
  const bool expired = credentials()->not_after < clock_.Wall();
  if (reminded_ && expired == reminded_expired_ && clock_.Now() - *reminded_ < kRemindEvery) return;
  const auto warning = Warning();
  if (!warning) return;
  reminded_ = clock_.Now();
  reminded_expired_ = expired;
  logger_.Log(LogLevel::kWarning, "identity_needs_care", {{"reason", *warning}});
}

IdentityWatch::IdentityWatch(LiveIdentity& identity, Duration every)
    : thread_([this, &identity, every](const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (!wake_.wait_for(lock, stop, every, [] { return false; })) {
          if (stop.stop_requested()) return;
          identity.Look();
        }
      }) {}

IdentityWatch::~IdentityWatch() = default;  // the thread member stops first

}  // namespace fedmeta

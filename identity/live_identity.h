#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/v1/client.pb.h"

namespace fedmeta {

class CertificateCache;
class RevocationList;

/// A party's files of identity, looked at again and again (IdentityWatch). A renewed certificate
/// and key are taken when the two match and all else holds that holds at the start; until then the
/// old pair stays. A list of revoked certificates that is missing, stale, damaged or not signed by
/// the authority makes every peer unacceptable, never the reverse. Thread-safe.
class LiveIdentity final : public IdentitySource {
 public:
  /// Errors: those of LoadCredentials; a list that cannot be used, or that holds our own
  /// certificate. Logs what will soon need somebody's hand.
  static Result<std::shared_ptr<LiveIdentity>> Open(const v1::Identity& files, IdentityRole role,
                                                    const Clock& clock, Logger& logger);
  ~LiveIdentity() override;

  std::shared_ptr<const Credentials> credentials() const override;
  Status CheckPeer(std::string_view certificates_pem) const override;
  void OnChange(std::function<void()> call) override;

  /// Reads what changed on disk since the last look. Logs renewals, refused files, and once a day
  /// that an end is near. Not re-entrant.
  void Look();

  /// When the list must be there anew; nothing without a list, or while it cannot be used.
  std::optional<WallTime> list_valid_until() const;
  /// "certificate ... expires in 12 days": what an operator should do something about soon.
  std::optional<std::string> Warning() const;

 private:
  /// What `stat` says of a file: differs once it has been written or replaced.
  struct Stamp {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t modified_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Stamps {
    Stamp certificate, key, trust;
    bool operator==(const Stamps&) const = default;
  };

  LiveIdentity(const v1::Identity& files, IdentityRole role, const Clock& clock, Logger& logger);
  static Stamp StampOf(const std::string& path);
  Stamps StampsNow() const;
  Status LoadOwn();
  bool RenewOwn();
  Result<RevocationList> LoadList() const;
  bool RenewList();
  Status ListStatus() const;
  bool NoteListStatus();
  void Remind();

  const v1::Identity files_;
  const IdentityRole role_;
  const Clock& clock_;
  Logger& logger_;
  const std::unique_ptr<CertificateCache> presented_;

  // Of Look alone.
  Stamps own_stamps_;
  Stamp list_stamp_;
  std::string own_refused_;  ///< why the files on disk are not in use
  int list_failures_ = 0;
  std::string list_reported_;  ///< as last logged; empty: the list is well
  bool tell_again_ = false, reminded_expired_ = false;
  std::optional<TimePoint> reminded_, list_complained_;

  mutable std::mutex mutex_;  // guards the rest
  std::shared_ptr<const Credentials> credentials_;
  std::shared_ptr<const RevocationList> list_;
  std::optional<Error> list_error_;  ///< why the list on disk cannot be used

  std::mutex call_mutex_;
  std::function<void()> call_;
};

/// How often the programs look: a revoked client is cut off well within a minute.
inline constexpr Duration kIdentityLooks{2'000};

/// Looks every so often, on a thread of its own, until it goes.
class IdentityWatch {
 public:
  IdentityWatch(LiveIdentity& identity, Duration every);
  ~IdentityWatch();
  IdentityWatch(const IdentityWatch&) = delete;
  IdentityWatch& operator=(const IdentityWatch&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace fedmeta

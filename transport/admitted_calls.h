#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fedmeta/core/result.h"
#include "fedmeta/identity/identity_source.h"

namespace fedmeta {

/// A call that can be ended from outside. Thread-safe.
class EndableCall {
 public:
  virtual ~EndableCall() = default;
  /// Ends it with this status; nothing if it has ended. Does not block.
  virtual void End(const Error& error) = 0;
};

/// The calls that run, with the certificates under which they were admitted: those of a peer that
/// no longer counts are ended, held polls and streams too. Thread-safe.
class AdmittedCalls {
 public:
  void Add(std::weak_ptr<EndableCall> call, std::string certificates_pem);
  struct Ended {
    std::size_t calls = 0;
    std::map<std::string, std::string> peers;  ///< identity and why; only who is refused itself
  };
  /// With what `words` makes of the reason.
  Ended EndUnwelcome(const IdentitySource& identity,
                     const std::function<Error(const Error&)>& words);

 private:
  struct Running {
    std::weak_ptr<EndableCall> call;
    std::string certificates_pem;
  };
  std::mutex mutex_;
  std::vector<Running> running_;
  std::size_t clean_at_ = 64;  ///< so many entries: those that have ended are removed
};

}  // namespace fedmeta

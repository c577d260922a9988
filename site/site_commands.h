#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "fedmeta/site/decision.h"
#include "fedmeta/site/decision_log.h"
#include "fedmeta/site/policy.h"

// For this room only.
namespace fedmeta {

/// One request of `fedmeta site`, answered under SiteControl's lock.
class SiteCommands {
 public:
  struct Context {
    const v1::Policy& policy;
    const SiteFacts& site;
    const std::filesystem::path& state_dir;
    const std::map<std::string, std::shared_ptr<const Proposal>>& known;  ///< by hash
    const std::shared_ptr<const Proposal>& current;                       ///< offered now, or null
    std::function<Decision(const Proposal&)> decide;
    std::function<Result<IdentityUri>(const Proposal&)> researcher;
    DecisionLog& log;
    const std::string& who;
    WallTime now;
  };
  explicit SiteCommands(Context context) : context_(std::move(context)) {}

  /// Of SiteControl::Answer.
  std::string Answer(std::string_view request);
  bool decided() const { return decided_; }  ///< something is another way than before
  bool left() const { return left_; }

 private:
  Result<nlohmann::json> Do(const nlohmann::json& request);
  nlohmann::json Pending() const;
  nlohmann::json Summary(const Proposal& proposal) const;
  Result<nlohmann::json> Show(const nlohmann::json& request) const;
  Result<nlohmann::json> Decide(const nlohmann::json& request, DecisionLog::Answer answer);
  Result<nlohmann::json> Pause(const nlohmann::json& request, bool pause);
  Result<std::shared_ptr<const Proposal>> Find(const nlohmann::json& request) const;
  DecisionLog::By By(const nlohmann::json& request) const;

  const Context context_;
  bool decided_ = false, left_ = false;
};

}  // namespace fedmeta

#include "fedmeta/cli/check_identity.h"

#include <string>
#include <vector>

#include "fedmeta/core/text.h"
#include "fedmeta/identity/authority.h"
#include "fedmeta/transport/way_check.h"

namespace fedmeta {

std::shared_ptr<LiveIdentity> CheckIdentity(const v1::Identity& files, IdentityRole role,
                                            const Clock& clock, Logger& logger,
                                            Findings& findings) {
  auto identity = LiveIdentity::Open(files, role, clock, logger);
  if (!identity.ok()) {
    findings.Fail(identity.error().WithContext("identity"));
    return nullptr;
  }
  const auto credentials = identity.value()->credentials();
  const auto days = static_cast<std::int64_t>(credentials->days_left);
  findings.Fact("identity",
                credentials->identity.ToString() + ", valid for " + std::to_string(days) + " days",
                {{"uri", credentials->identity.ToString()}, {"days_left", credentials->days_left}});
  if (role == IdentityRole::kCoordinator) {
    const auto info = DescribeCertificatePem(credentials->certificate_pem, clock);
    std::vector<std::string> names =
        info.ok() ? info.value().dns_names : std::vector<std::string>();
    if (info.ok())
      names.insert(names.end(), info.value().ip_addresses.begin(), info.value().ip_addresses.end());
    findings.Fact("names", Join(names, ", "), names);
    if (names.empty()) {
      findings.Fail(Error(ErrorCode::kInvalidArgument,
                          "identity.certificate carries no DNS name and no IP address, so no site "
                          "can dial it: make a request with --dns or --ip"));
    }
    if (!files.has_revocation_list()) {
      findings.Warn(
          "identity.revocation_list is not set: a revoked certificate is served until it expires");
    }
  }
  if (const auto until = identity.value()->list_valid_until()) {
    findings.Fact("revoked", "list valid until " + FormatUtc(*until), FormatUtc(*until));
  }
  if (const auto warning = identity.value()->Warning()) findings.Warn(*warning);
  return std::move(identity).value();
}

bool RevocationSettled(const v1::ClientFile& file) {
  const v1::SiteSecureAggregation& site = file.secure_aggregation();
  return file.identity().has_revocation_list() ||
         (site.has_require_revocation_list() && !site.require_revocation_list());
}

void CheckWayTo(const v1::CoordinatorAddress& address, std::shared_ptr<LiveIdentity> identity,
                const Clock& clock, Findings& findings) {
  const auto hops = CheckWay(address, std::move(identity), clock, {});
  if (hops.ok()) {
    findings.Way(hops.value());
  } else {
    findings.Fail(hops.error());
  }
}

}  // namespace fedmeta

#include "fedmeta/protocol/version.h"

#include <algorithm>
#include <utility>

#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

std::string Text(std::uint32_t major, std::uint32_t minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

}  // namespace

std::string ProtocolVersionText() { return Text(kProtocolMajor, kProtocolMinor); }

v1::Version OwnVersion() {
  v1::Version version;
  version.set_major(kProtocolMajor);
  version.set_minor(kProtocolMinor);
  version.set_program(std::string("fedmeta ") + kProgramVersion);
  return version;
}

Status CheckVersions(const v1::Version& coordinator, const v1::Version& client) {
  std::uint32_t oldest = coordinator.minor() - std::min(coordinator.minor(), kMinorsServed);
  if (coordinator.minor() >= kWholeCells) oldest = std::max(oldest, kWholeCells);
  const bool too_new = std::pair(client.major(), client.minor()) >
                       std::pair(coordinator.major(), coordinator.minor());
  const bool too_old = client.major() < coordinator.major() || client.minor() < oldest;
  if (!too_new && !too_old) return {};
  return Error(ErrorCode::kFailedPrecondition,
               "protocol: coordinator " + Text(coordinator.major(), coordinator.minor()) +
                   " serves clients from " + Text(coordinator.major(), oldest) + " to " +
                   Text(coordinator.major(), coordinator.minor()) + ", this site speaks " +
                   Text(client.major(), client.minor()) + ": upgrade fedmeta at " +
                   (too_new ? "the coordinator" : "this site"));
}

Status CheckClientVersion(const v1::Version& client) { return CheckVersions(OwnVersion(), client); }

Status CheckSpeaksSecure(const v1::Version& client) {
  constexpr std::uint32_t kSince = 2;
  if (client.minor() >= kSince) return {};
  return Error(ErrorCode::kFailedPrecondition,
               "protocol: this experiment adds updates up under secure aggregation, which clients "
               "know since " +
                   Text(kProtocolMajor, kSince) + ", this site speaks " +
                   Text(client.major(), client.minor()) + ": upgrade fedmeta at this site");
}

Status CheckCoordinatorVersion(const v1::Version& coordinator) {
  return CheckVersions(coordinator, OwnVersion());
}

}  // namespace fedmeta

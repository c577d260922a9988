#include "fedmeta/protocol/version.h"
#include <utility>

#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

constexpr std::uint32_t kOldestMinor = kProtocolMinor >= 2 ? kProtocolMinor - 2 : 0;

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

Status CheckClientVersion(const v1::Version& client) {
  const bool too_new =
      std::pair(client.major(), client.minor()) > std::pair(kProtocolMajor, kProtocolMinor);
  const bool too_old = client.major() < kProtocolMajor || client.minor() < kOldestMinor;
  if (!too_new && !too_old) return {};
  return Error(ErrorCode::kFailedPrecondition,
               "client speaks protocol " + Text(client.major(), client.minor()) +
                   ", this coordinator serves " + Text(kProtocolMajor, kOldestMinor) + " to " +
                   Text(kProtocolMajor, kProtocolMinor) + ": update the " +
                   (too_new ? "coordinator" : "client"));
}

Status CheckCoordinatorVersion(const v1::Version& coordinator) {
  if (coordinator.major() == kProtocolMajor && coordinator.minor() >= kProtocolMinor) return {};
  return Error(ErrorCode::kFailedPrecondition,
               "coordinator speaks protocol " + Text(coordinator.major(), coordinator.minor()) +
                   ", this client " + Text(kProtocolMajor, kProtocolMinor) + ": update the " +
                   (coordinator.major() > kProtocolMajor ? "client" : "coordinator"));
}

}  // namespace fedmeta

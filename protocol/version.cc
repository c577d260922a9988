#include "fedmeta/protocol/version.h"

#include <string>

#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {
std::string Text(std::uint32_t major, std::uint32_t minor) { return std::to_string(major) + "." + std::to_string(minor); }
}  // namespace

v1::Version OwnVersion() {
  v1::Version version;
  version.set_major(kProtocolMajor);
  version.set_minor(kProtocolMinor);
  version.set_program(std::string("fedmeta ") + kProgramVersion);
  return version;
}

Status CheckClientVersion(const v1::Version& client) {
  const bool served = client.major() == kProtocolMajor && client.minor() <= kProtocolMinor && client.minor() + 2 >= kProtocolMinor;
  if (served) return {};
  return Error(ErrorCode::kFailedPrecondition,
               "client speaks protocol " + Text(client.major(), client.minor()) + ", this coordinator serves " +
                   Text(kProtocolMajor, kProtocolMinor >= 2 ? kProtocolMinor - 2 : 0) + " to " +
                   Text(kProtocolMajor, kProtocolMinor) + ": update the older side");
}

Status CheckCoordinatorVersion(const v1::Version& coordinator) {
  if (coordinator.major() == kProtocolMajor && coordinator.minor() >= kProtocolMinor) return {};
  return Error(ErrorCode::kFailedPrecondition,
               "coordinator speaks protocol " + Text(coordinator.major(), coordinator.minor()) + ", this client " +
                   Text(kProtocolMajor, kProtocolMinor) + ": update the older side");
}

}  // namespace fedmeta

#pragma once

#include <cstdint>
#include <string>

#include "fedmeta/core/result.h"

namespace fedmeta::v1 {
class Version;
}

namespace fedmeta {

inline constexpr std::uint32_t kProtocolMajor = 1;
inline constexpr std::uint32_t kProtocolMinor = 0;
inline constexpr char kProgramVersion[] = "0.1.0";

/// "1.0": the protocol of this program.
std::string ProtocolVersionText();
/// What this program says of itself in the first call.
v1::Version OwnVersion();
/// Coordinator: whether it serves a peer of this version (same major; minor at most two older).
/// The error says which side is too old.
Status CheckClientVersion(const v1::Version& client);
/// Client: whether it can work with this coordinator.
Status CheckCoordinatorVersion(const v1::Version& coordinator);

}  // namespace fedmeta

#pragma once

#include <cstdint>
#include <string>

#include "fedmeta/core/result.h"

namespace fedmeta::v1 {
class Version;
}

namespace fedmeta {

inline constexpr std::uint32_t kProtocolMajor = 1;
inline constexpr std::uint32_t kProtocolMinor = 2;
inline constexpr char kProgramVersion[] = "0.1.0";

/// "1.1": the protocol of this program.
std::string ProtocolVersionText();
/// What this program says of itself in the first call.
v1::Version OwnVersion();
/// How many minor versions back a coordinator serves, but never below kWholeCells.
inline constexpr std::uint32_t kMinorsServed = 2;
/// Since 1.2 a metric cell carries the figures of classifiers (core/metric_sums.h): uploads of
/// earlier clients have another size.
inline constexpr std::uint32_t kWholeCells = 2;
/// Whether a coordinator serves a client: same major version, the client's minor at most the
/// coordinator's and at most kMinorsServed older. kFailedPrecondition says who has to upgrade, and
/// from which version on it works.
Status CheckVersions(const v1::Version& coordinator, const v1::Version& client);
/// Coordinator: whether it serves this client.
Status CheckClientVersion(const v1::Version& client);
/// Coordinator: whether a client that is served takes part in secure aggregation.
/// kFailedPrecondition says from which version on it would.
Status CheckSpeaksSecure(const v1::Version& client);
/// Client: whether this coordinator serves it.
Status CheckCoordinatorVersion(const v1::Version& coordinator);

}  // namespace fedmeta

#pragma once

#include <string_view>

namespace fedmeta {

// The steps of a secure attempt, as PhaseRequest and PhaseReply name them.

/// Client: its update is ready (key of the attempt, no body).
inline constexpr std::string_view kTrainedPhase = "trained";

// Of a session; the coordinator asks, the client answers under the same name. What the bodies are
// stands in fedmeta/v1/secure.proto.
inline constexpr std::string_view kAdvertisePhase = "advertise";  ///< R0
inline constexpr std::string_view kSharePhase = "share";          ///< R1
inline constexpr std::string_view kMaskPhase = "mask";            ///< R2, after the upload
inline constexpr std::string_view kOpenPhase = "open";            ///< R3
/// Client, in place of kMaskPhase: a member's share cannot be opened.
inline constexpr std::string_view kComplaintPhase = "complaint";

}  // namespace fedmeta

#pragma once

namespace fedmeta {

/// The coordinator's clock in every answer, milliseconds since 1970, as gRPC trailing metadata:
/// `fedmeta check` compares it with the site's.
inline constexpr char kTimeHeader[] = "fedmeta-time-ms";

}  // namespace fedmeta

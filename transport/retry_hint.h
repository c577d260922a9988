#pragma once

namespace fedmeta {

/// Metadata after a RESOURCE_EXHAUSTED that will pass: milliseconds to wait before the next try.
inline constexpr char kRetryHint[] = "grpc-retry-pushback-ms";

}  // namespace fedmeta

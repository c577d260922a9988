#pragma once

namespace fedmeta {

/// Call once, before anything uses OpenSSL. gRPC destroys connections on threads of its own, which
/// may still be at it when main returns; OpenSSL's handler at exit would take its tables away from
/// under them (a segmentation fault, seen once in thousands of ends). The process gives the
/// memory back anyway.
void LeaveOpenSslRunningAtExit();

}  // namespace fedmeta

#pragma once

namespace fedmeta {

/// TLS 1.3 only, for every gRPC server and channel of this process: called before gRPC makes its
/// first TLS context. gRPC has no setting for a lowest version. With RSA suites alone listed for
/// TLS 1.2, and ECDSA certificates on both sides, a 1.2 handshake finds no common suite; TLS 1.3
/// has its own list.
void RequireTls13();

}  // namespace fedmeta

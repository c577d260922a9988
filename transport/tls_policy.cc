#include "fedmeta/transport/tls_policy.h"

#include <cstdlib>

namespace fedmeta {

void RequireTls13() {
  ::setenv("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384", /*overwrite=*/1);
}

}  // namespace fedmeta

#include "fedmeta/transport/process_exit.h"

#include <openssl/crypto.h>

namespace fedmeta {

void LeaveOpenSslRunningAtExit() { OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr); }

}  // namespace fedmeta

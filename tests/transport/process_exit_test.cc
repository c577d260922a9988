#include "fedmeta/transport/process_exit.h"

#include <cstdlib>

#include <gtest/gtest.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace fedmeta {
namespace {

// Handlers run in reverse order: this one, registered first, after whatever OpenSSL registers.
void UsableAtTheVeryEnd() {
  std::_Exit(OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, nullptr) == 1 ? 42 : 43);
}

[[noreturn]] void EndAfterUse(bool leave_running) {
  std::atexit(UsableAtTheVeryEnd);
  if (leave_running) LeaveOpenSslRunningAtExit();
  unsigned char byte = 0;
  RAND_bytes(&byte, 1);
  std::exit(0);
}

TEST(ProcessExitDeathTest, OpenSslWorksUntilTheVeryEnd) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // in a process that has not used OpenSSL yet
  EXPECT_EXIT(EndAfterUse(true), ::testing::ExitedWithCode(42), "");
  EXPECT_EXIT(EndAfterUse(false), ::testing::ExitedWithCode(43), "") << "nothing to prevent";
}

}  // namespace
}  // namespace fedmeta

#pragma once

namespace fedmeta {

/// Prints the failed condition and aborts.
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace fedmeta

/// An invariant of this program; nothing a peer or a user can send is ever CHECKed.
#define FEDMETA_CHECK(condition)                                              \
  do {                                                                        \
    if (!(condition)) ::fedmeta::CheckFailed(#condition, __FILE__, __LINE__); \
  } while (false)

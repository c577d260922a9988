// Commits rounds on a disk that may fail:  store-writer PATH process|power ROUNDS TRIES
// Prints what the store acknowledged, one line each; a failed call is tried again.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "fedmeta/tests/faults/store_run.h"

int main(int count, char** arguments) {
  if (count != 5) return 2;
  using namespace fedmeta;
  const Durability durability =
      std::string_view(arguments[2]) == "power" ? Durability::kPower : Durability::kProcess;
  const int tries = std::atoi(arguments[4]);
  auto store = OpenSqliteStore(arguments[1], durability);
  for (int i = 1; i < tries && !store.ok(); ++i) store = OpenSqliteStore(arguments[1], durability);
  Status status = store.ok() ? Status() : store.error();
  if (status.ok()) {
    status = GoOn(**store, {.rounds = static_cast<std::uint64_t>(std::atoi(arguments[3])),
                            .acknowledged =
                                [](const std::string& what) {
                                  std::printf("%s\n", what.c_str());
                                  std::fflush(stdout);
                                },
                            .tries = tries});
  }
  if (status.ok()) return 0;
  std::printf("failed %s\n", status.error().message().c_str());
  return 1;
}

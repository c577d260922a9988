#include "fedmeta/cli/machine_facts.h"

#include <cstdio>

#include <torch/version.h>

#include "fedmeta/cli/blas.h"

namespace fedmeta {

std::string LibTorchVersion() { return TORCH_VERSION; }

std::string MachineLine(std::size_t threads) {
  return std::to_string(threads) + (threads == 1 ? " thread, " : " threads, ") + BlasName() +
         ", LibTorch " + LibTorchVersion();
}

void WarnOfSlowBlas() {
  if (IsSlowBlas(BlasName())) std::fprintf(stderr, "fedmeta: warning: %s\n", kSlowBlasAdvice);
}

}  // namespace fedmeta

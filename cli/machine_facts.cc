#include "fedmeta/cli/machine_facts.h"

#include <cstdio>
#include <dlfcn.h>
#include <filesystem>

#include <torch/version.h>

namespace fedmeta {
namespace {

// The file that provides the symbol, links resolved: libblas.so.3 is a link to whichever BLAS is
// installed.
std::string LibraryOf(const char* symbol) {
  void* address = dlsym(RTLD_DEFAULT, symbol);
  Dl_info info{};
  if (address == nullptr || dladdr(address, &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code error;
  const std::filesystem::path file = std::filesystem::canonical(info.dli_fname, error);
  return error ? info.dli_fname : file.string();
}

}  // namespace

std::string BlasName() {
  const std::string file = LibraryOf("sgemm_");
  if (file.empty()) return "built-in BLAS";
  for (const auto& [part, name] :
       {std::pair{"openblas", "OpenBLAS"}, {"mkl", "MKL"}, {"blis", "BLIS"}, {"atlas", "ATLAS"}}) {
    if (file.find(part) != std::string::npos) return name;
  }
  return "reference BLAS";
}

std::string LibTorchVersion() { return TORCH_VERSION; }

std::string MachineLine(std::size_t threads) {
  return std::to_string(threads) + (threads == 1 ? " thread, " : " threads, ") + BlasName() +
         ", LibTorch " + LibTorchVersion();
}

void WarnOfSlowBlas() {
  if (BlasName() == "reference BLAS") {
    std::fprintf(stderr,
                 "fedmeta: warning: the reference BLAS is loaded, many times slower than OpenBLAS: "
                 "install libopenblas0-pthread\n");
  }
}

}  // namespace fedmeta

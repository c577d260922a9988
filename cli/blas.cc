#include "fedmeta/cli/blas.h"

#include <dlfcn.h>
#include <filesystem>
#include <utility>

namespace fedmeta {
namespace {

constexpr char kReference[] = "reference BLAS";

// The file that provides the routine, links resolved: libblas.so.3 is a link to whichever BLAS is
// installed.
std::string LibraryFile() {
  void* address = dlsym(RTLD_DEFAULT, "sgemm_");
  if (address == nullptr) {
    void* library = dlopen("libblas.so.3", RTLD_LAZY | RTLD_LOCAL);
    if (library != nullptr) address = dlsym(library, "sgemm_");
  }
  Dl_info info{};
  if (address == nullptr || dladdr(address, &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code error;
  const std::filesystem::path file = std::filesystem::canonical(info.dli_fname, error);
  return error ? info.dli_fname : file.string();
}

}  // namespace

std::string BlasName() {
  const std::string file = LibraryFile();
  if (file.empty()) return "built-in BLAS";
  for (const auto& [part, name] :
       {std::pair{"openblas", "OpenBLAS"}, {"mkl", "MKL"}, {"blis", "BLIS"}, {"atlas", "ATLAS"}}) {
    if (file.find(part) != std::string::npos) return name;
  }
  return kReference;
}

bool IsSlowBlas(const std::string& name) { return name == kReference; }

}  // namespace fedmeta

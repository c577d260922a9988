#include "fedmeta/algorithms/meta/libtorch_process.h"

#include <dlfcn.h>
#include <malloc.h>

#include <ATen/Parallel.h>

namespace fedmeta {

void UseOneLibtorchThread() {
  if (at::get_num_threads() != 1) at::set_num_threads(1);
  // Debian's OpenBLAS has threads of its own that LibTorch's setting does not reach. Other BLAS
  // lack the function.
  using SetThreads = void (*)(int);
  if (void* symbol = dlsym(RTLD_DEFAULT, "openblas_set_num_threads")) {
    reinterpret_cast<SetThreads>(symbol)(1);
  }
}

OneLibtorchThread::OneLibtorchThread() : before_(at::get_num_threads()) { UseOneLibtorchThread(); }

OneLibtorchThread::~OneLibtorchThread() {
  if (at::get_num_threads() != before_) at::set_num_threads(before_);
}

void ConfigureAllocator() {
#if defined(__GLIBC__)
  constexpr int kGibibyte = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kGibibyte);
  mallopt(M_TRIM_THRESHOLD, kGibibyte);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace fedmeta

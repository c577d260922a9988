#pragma once

namespace fedmeta {

/// LibTorch and OpenBLAS use one thread on the calling thread from here on: the thread_start of a
/// WorkerPool whose threads learn. One worker a core with one LibTorch thread each beats threads
/// inside operations, and results then do not depend on the number of cores.
void UseOneLibtorchThread();

/// The calling thread uses one LibTorch thread for the life of this object, then as many as before.
class OneLibtorchThread {
 public:
  OneLibtorchThread();
  ~OneLibtorchThread();
  OneLibtorchThread(const OneLibtorchThread&) = delete;
  OneLibtorchThread& operator=(const OneLibtorchThread&) = delete;

 private:
  int before_;
};

/// Keeps freed memory in the process for the next tensor of the same size: by default glibc maps
/// and faults 15 MB temporaries anew at every operation. For main, before threads start. Without
/// effect on other C libraries.
void ConfigureAllocator();

}  // namespace fedmeta

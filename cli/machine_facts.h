#pragma once

#include <cstddef>
#include <string>

namespace fedmeta {

/// "1.13.1".
std::string LibTorchVersion();
/// "2 threads, OpenBLAS, LibTorch 1.13.1", for the heading of a run.
std::string MachineLine(std::size_t threads);
/// Warns on stderr where products go to a BLAS that is many times slower than OpenBLAS.
void WarnOfSlowBlas();

}  // namespace fedmeta

#pragma once

#include <string>

#include "fedmeta/records/run_records.h"

namespace fedmeta {

/// "OpenBLAS", "reference BLAS (slow: ...)": which library matrix products go to.
std::string BlasName();
/// "1.13.1".
std::string LibTorchVersion();
/// "2 threads, OpenBLAS, LibTorch 1.13.1", for the heading of a run.
std::string MachineLine(std::size_t threads);
/// Warns on stderr, once a run, where products go to a BLAS that is many times slower than
/// OpenBLAS.
void WarnOfSlowBlas();

}  // namespace fedmeta

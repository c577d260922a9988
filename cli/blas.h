#pragma once

#include <string>

namespace fedmeta {

/// Which library matrix products go to: "OpenBLAS", "MKL", "reference BLAS" (many times slower),
/// ... In a process that has loaded one, that; else the one that programs here would load.
std::string BlasName();
/// Whether products go to the reference BLAS; what to do about it.
inline constexpr char kSlowBlasAdvice[] =
    "the reference BLAS is loaded, many times slower than OpenBLAS: install libopenblas0-pthread";
bool IsSlowBlas(const std::string& name);

}  // namespace fedmeta

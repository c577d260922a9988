#pragma once

#include <cstdint>
#include <string>

namespace fedmeta {

/// How people call a method: "MAML", "FedAvg, then adapted", "alone, from scratch"; other names as
/// they are.
std::string MethodName(const std::string& method);
/// "1 step", "5 steps".
std::string Counted(std::uint64_t count, const std::string& singular, const std::string& plural);
/// How many examples a site adapts on: "5 examples a class", "10 examples a task", "20 rows", "all
/// support rows". `shots_of`: as in RunHeading.
std::string ShotsText(std::uint64_t shots, const std::string& shots_of);
/// printf-style "%.*f" without its buffers; "-" where the value is not finite.
std::string Fixed(double value, int digits);

}  // namespace fedmeta

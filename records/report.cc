#include "fedmeta/records/report.h"

namespace fedmeta {

Result<std::string> MakeReport(const std::filesystem::path&) { return std::string(); }

}  // namespace fedmeta

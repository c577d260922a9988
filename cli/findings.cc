#include "fedmeta/cli/findings.h"

#include <cstdio>

#include "fedmeta/cli/command.h"

namespace fedmeta {

void Findings::Way(const std::vector<Hop>& hops) {
  Json list = Json::array();
  for (const Hop& hop : hops) {
    const std::string label = "  " + hop.name;
    lines_ += label + std::string(label.size() < 15 ? 15 - label.size() : 1, ' ') +
              (hop.passed ? "ok      " : "FAILED  ") + hop.text + "\n";
    list.push_back({{"hop", hop.name}, {"passed", hop.passed}, {"text", hop.text}});
    if (!hop.passed) {
      Fail(Error(ErrorCode::kUnavailable,
                 "coordinator: the way ends at '" + hop.name + "': " + hop.text));
    }
  }
  facts_["way"] = std::move(list);
}

int Findings::Finish(bool json) const {
  if (json) {
    Json object = {{"file", file_},   {"kind", kind_},         {"valid", errors_.empty()},
                   {"facts", facts_}, {"warnings", warnings_}, {"errors", Json::array()}};
    for (const Error& error : errors_) {
      object["errors"].push_back(
          {{"code", ErrorCodeName(error.code())}, {"message", error.message()}});
    }
    std::printf("%s\n", object.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    std::printf("%s: %s file, keys and values are valid\n%s", file_.c_str(), kind_.c_str(),
                lines_.c_str());
    std::fflush(stdout);
  }
  for (const std::string& warning : warnings_) {
    std::fprintf(stderr, "fedmeta: warning: %s\n", warning.c_str());
  }
  for (const Error& error : errors_) ReportError(error);
  return errors_.empty() ? 0 : ExitCode(errors_.front());
}

}  // namespace fedmeta

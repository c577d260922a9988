#pragma once

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "fedmeta/core/result.h"
#include "fedmeta/transport/hop.h"

namespace fedmeta {

/// What a check found out, for people and for scripts.
class Findings {
 public:
  using Json = nlohmann::ordered_json;

  Findings(std::string file, std::string kind) : file_(std::move(file)), kind_(std::move(kind)) {}

  void Fact(const std::string& label, const std::string& text, const Json& value) {
    lines_ +=
        "  " + label + std::string(label.size() < 13 ? 13 - label.size() : 1, ' ') + text + "\n";
    facts_[label] = value;
  }
  void Fact(const std::string& label, const std::string& text) { Fact(label, text, text); }
  /// For people only, below the fact before.
  void Line(const std::string& text) { lines_ += "    " + text + "\n"; }
  /// The way to a coordinator, in the order in which it was gone; where it ends, the check fails.
  void Way(const std::vector<Hop>& hops);
  void Warn(const std::string& text) { warnings_.push_back(text); }
  void Fail(const Error& error) { errors_.push_back(error); }

  /// Prints all of it; the exit code is that of the first error.
  int Finish(bool json) const;

 private:
  std::string file_;
  std::string kind_;
  std::string lines_;
  Json facts_ = Json::object();
  std::vector<std::string> warnings_;
  std::vector<Error> errors_;
};

}  // namespace fedmeta

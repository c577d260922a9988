#pragma once

#include <compare>
#include <functional>
#include <string>
#include <utility>

namespace fedmeta {

/// A string that cannot be mistaken for another kind of string. Ordered by bytes.
template <typename Tag>
class StrongId {
 public:
  StrongId() = default;
  explicit StrongId(std::string value) : value_(std::move(value)) {}
  const std::string& value() const { return value_; }
  bool empty() const { return value_.empty(); }
  auto operator<=>(const StrongId&) const = default;

 private:
  std::string value_;
};

/// The name in a client's identity: <name> of spiffe://<federation>/client/<name>.
using ClientId = StrongId<struct ClientIdTag>;
/// "<experiment>/<leg>": one method with one setting, e.g. "fashion-maml/maml".
using ExperimentId = StrongId<struct ExperimentIdTag>;

}  // namespace fedmeta

template <typename Tag>
struct std::hash<fedmeta::StrongId<Tag>> {
  std::size_t operator()(const fedmeta::StrongId<Tag>& id) const {
    return std::hash<std::string>{}(id.value());
  }
};

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace fedmeta {

/// A plug-in's settings by key name: checks know keys, not which plug-ins exist. Nothing for a key
/// that the plug-in does not have, or that is not set.
class PluginKeys {
 public:
  explicit PluginKeys(const google::protobuf::Any& settings);
  std::optional<std::uint32_t> Whole(const std::string& key) const;
  std::optional<double> Number(const std::string& key) const;
  std::string Text(const std::string& key) const;  ///< empty: nothing

 private:
  const google::protobuf::FieldDescriptor* Find(
      const std::string& key, google::protobuf::FieldDescriptor::CppType type) const;
  std::unique_ptr<google::protobuf::Message> message_;
};

}  // namespace fedmeta

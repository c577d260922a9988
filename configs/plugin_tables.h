#pragma once

#include <map>
#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>

namespace fedmeta {

/// Schema half of the registries: which plug-ins exist and which message holds each one's keys. No
/// LibTorch, so that the front and the coordinator validate and explain every algorithm. A value
/// handed to main: a consumer adds its own lines.
struct PluginTables {
  /// table ("model", "algorithm", "aggregation", "optimizer", "source", "tasks") -> name ->
  /// settings message
  std::map<std::string, std::map<std::string, const google::protobuf::Descriptor*>> tables;
};

PluginTables BuiltinPluginTables();

}  // namespace fedmeta

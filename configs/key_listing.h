#pragma once

#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>

#include "fedmeta/configs/plugin_tables.h"

namespace fedmeta {

// What documentation is made of: the keys of a file by path, and the words for one key's type,
// default and bounds.

struct ListedKey {
  std::string path;  ///< "evaluation.steps", "data.<name>.role"
  const google::protobuf::FieldDescriptor* field = nullptr;
};

struct ListedFile {
  std::string name;  ///< "experiment"
  const google::protobuf::Descriptor* schema = nullptr;
};

/// Experiment, client, coordinator.
std::vector<ListedFile> ListFiles();
/// In the schema's order, a block before its keys; plug-ins' settings are not among them.
std::vector<ListedKey> ListKeys(const google::protobuf::Descriptor& schema);
/// What the key is, and whether a run may be resumed with another value.
std::string DocText(const google::protobuf::FieldDescriptor& field);
/// "required", the default as YAML, or "".
std::string DefaultText(const google::protobuf::FieldDescriptor& field);
/// "> 0", "a, b or c", names of a table; or "".
std::string AllowedText(const google::protobuf::FieldDescriptor& field, const PluginTables& tables);

}  // namespace fedmeta

#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/message.h>

#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/configs/problem.h"
#include "fedmeta/configs/source_map.h"
#include "fedmeta/configs/yaml_tree.h"

namespace fedmeta {

/// Settings of one plug-in that a grid may ask for.
inline constexpr std::size_t kMaximumGridSettings = 1000;

/// "algorithm" + "name" -> "algorithm.name".
std::string JoinPath(const std::string& path, std::string_view key);

/// Walks a YAML tree along the schema and fills a message: written values, then defaults. Goes on
/// after a problem, so that all are seen. Not for two files: make one each.
class Binder {
 public:
  /// Relative paths resolve against `config_folder`; those of command-line arguments against the
  /// current folder. The references outlive the binder.
  Binder(const PluginTables& tables, std::filesystem::path config_folder, SourceMap& places,
         std::vector<Problem>& problems);

  void BindFile(const YamlNode& root, google::protobuf::Message& message);

 private:
  using Field = google::protobuf::FieldDescriptor;
  /// A value and where to point when something about it is wrong: at a scalar itself, at the key of
  /// a block or list.
  struct Located {
    const YamlNode& node;
    Place place;
  };
  static Located Locate(const YamlEntry& entry);

  void BindBlock(const Located& block, const std::string& path, google::protobuf::Message& message);
  /// The block's key of that name, or what the schema says about its absence.
  void BindKey(const Located& block, const std::string& path, const Field& field,
               google::protobuf::Message& message);
  void BindAbsent(const Place& place, const std::string& path, const Field& field,
                  google::protobuf::Message& message);
  void BindNode(const Located& value, const std::string& path, const Field& field,
                google::protobuf::Message& message);
  void BindList(const Located& list, const std::string& path, const Field& field,
                google::protobuf::Message& message);
  void BindMap(const Located& map, const std::string& path, const Field& field,
               google::protobuf::Message& message);
  /// False if a problem was reported.
  bool BindValue(const Located& value, const std::string& path, const Field& field,
                 google::protobuf::Message& message);
  void BindPlugin(const Located& plugin, const std::string& path, const Field& field,
                  google::protobuf::Message& message);
  void BindSettings(const Located& plugin, const std::string& path, const Field& field,
                    const google::protobuf::Descriptor& settings_type,
                    google::protobuf::Message& message);
  /// One message for each element of the product of the lists; the last of them varies fastest.
  std::vector<std::unique_ptr<google::protobuf::Message>> ExpandGrid(
      const Located& plugin, const std::string& path, const std::vector<const Field*>& lists,
      const google::protobuf::Message& base);
  void ReportUnknownKeys(const YamlNode& block, const std::string& path,
                         const std::vector<const Field*>& known);
  void Report(const Place& place, std::string message);
  void Remember(const std::string& path, const Place& place);

  const PluginTables& tables_;
  std::filesystem::path config_folder_;
  SourceMap& places_;
  std::vector<Problem>& problems_;
};

}  // namespace fedmeta

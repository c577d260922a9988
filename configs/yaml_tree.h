#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/configs/problem.h"
#include "fedmeta/configs/source_map.h"

namespace fedmeta {

struct YamlEntry;

/// One value of a YAML text and where it stands. Scalars stay text: their type is the schema's
/// business, so that no rule of YAML reads `yes` as a boolean or `010` as 8.
struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  Place place;
  std::string scalar;
  bool quoted = false;             ///< a scalar in quotes or a block: text, never a number
  std::vector<YamlNode> items;     ///< kSequence
  std::vector<YamlEntry> entries;  ///< kMap, in the order of the text, keys distinct

  bool IsNull() const { return kind == Kind::kNull; }
  bool IsScalar() const { return kind == Kind::kScalar; }
  bool IsSequence() const { return kind == Kind::kSequence; }
  bool IsMap() const { return kind == Kind::kMap; }
  const YamlEntry* Find(std::string_view key) const;
  YamlEntry* Find(std::string_view key);
  /// For messages: "'5'", "a list", "a block of keys", "nothing".
  std::string Describe() const;
};

struct YamlEntry {
  std::string key;
  Place key_place;
  YamlNode value;
};

/// Where a text came from.
struct YamlOrigin {
  std::string name;       ///< file name, "argument 3" or "default"
  bool has_lines = true;  ///< false: places carry the name only
};

/// Parses one document. Appends to `problems` what is no YAML and what is YAML but refused here:
/// duplicate keys (the first stays), `<<`, anchors, aliases, tags, several documents, keys that are
/// no plain text, control characters, text that is not UTF-8. Nothing if there is no tree to go on
/// with; an empty text says so.
std::optional<YamlNode> ParseYaml(const std::string& text, const YamlOrigin& origin,
                                  std::vector<Problem>& problems);

}  // namespace fedmeta

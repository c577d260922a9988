#include "fedmeta/configs/yaml_tree.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace fedmeta {
namespace {

/// yaml-cpp counts from 0, people from 1.
Place PlaceOf(const YAML::Mark& mark, const YamlOrigin& origin) {
  if (!origin.has_lines) return {origin.name};
  if (mark.is_null()) return {origin.name, 1, 1};
  return {origin.name, mark.line + 1, mark.column + 1};
}

/// Builds the tree of one document from parse events: unlike YAML::Node these still show duplicates
/// and aliases.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const YamlOrigin& origin, std::vector<Problem>& problems)
      : origin_(origin), problems_(problems) {}

  std::optional<YamlNode> Take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    RefuseAnchor(mark, anchor);
    Add(Make(YamlNode::Kind::kNull, mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Report(mark, "an alias (*name) is not supported; write the value out");
    Add(Make(YamlNode::Kind::kNull, mark));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    YamlNode node = Make(YamlNode::Kind::kScalar, mark);
    node.scalar = value;
    node.quoted = tag == "!";
    Add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kSequence, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

 private:
  /// A map or list that is still being read; of a map, the key whose value comes next.
  struct Level {
    YamlNode node;
    bool has_key = false;
    std::string key = {};
    Place key_place = {};
  };

  YamlNode Make(YamlNode::Kind kind, const YAML::Mark& mark) const {
    YamlNode node;
    node.kind = kind;
    node.place = PlaceOf(mark, origin_);
    return node;
  }
  void Report(const YAML::Mark& mark, std::string message) {
    problems_.push_back({PlaceOf(mark, origin_), std::move(message)});
  }
  void RefuseAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      Report(mark, "an anchor (&name) is not supported; write the value out where it is needed");
    }
  }
  void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      Report(mark, "a tag (" + tag + ") is not supported; the key says the type");
    }
  }
  void Open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    levels_.push_back({Make(kind, mark)});
  }
  void Close() {
    YamlNode node = std::move(levels_.back().node);
    levels_.pop_back();
    Add(std::move(node));
  }

  void Add(YamlNode node) {
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.IsSequence()) {
      level.node.items.push_back(std::move(node));
    } else if (!level.has_key) {
      AddKey(level, node);
    } else {
      AddValue(level, std::move(node));
    }
  }
  void AddKey(Level& level, const YamlNode& node) {
    if (!node.IsScalar()) {
      problems_.push_back({node.place, "a key must be text, got " + node.Describe()});
    }
    level.has_key = true;
    level.key = node.scalar;
    level.key_place = node.place;
  }
  void AddValue(Level& level, YamlNode node) {
    level.has_key = false;
    if (level.key == "<<") {
      problems_.push_back(
          {level.key_place, "the merge key '<<' is not supported; write the merged keys out"});
    } else if (const YamlEntry* first = level.node.Find(level.key)) {
      problems_.push_back({level.key_place, "the key '" + level.key + "' stands twice, first at " +
                                                first->key_place.ToString() + "; keep one"});
    } else {
      level.node.entries.push_back(
          {std::move(level.key), std::move(level.key_place), std::move(node)});
    }
  }

  const YamlOrigin& origin_;
  std::vector<Problem>& problems_;
  std::vector<Level> levels_;
  std::optional<YamlNode> root_;
};

/// Sees that there is a further document, and where.
class DocumentProbe final : public YAML::EventHandler {
 public:
  YAML::Mark start;
  void OnDocumentStart(const YAML::Mark& mark) override { start = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

/// Bytes of the UTF-8 character that starts at `at`; 0 if there is none.
std::size_t CharacterLength(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and values beyond Unicode.
  if ((first == 0xe0 && byte(at + 1) < 0xa0) || (first == 0xed && byte(at + 1) > 0x9f) ||
      (first == 0xf0 && byte(at + 1) < 0x90) || (first == 0xf4 && byte(at + 1) > 0x8f)) {
    return 0;
  }
  return length;
}

/// The scanner takes some control characters for the end of the text and would drop the rest
/// without a word.
bool CheckCharacters(std::string_view text, const YamlOrigin& origin,
                     std::vector<Problem>& problems) {
  int line = 1;
  int column = 1;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = CharacterLength(text, at);
    const auto first = static_cast<unsigned char>(text[at]);
    const bool control =
        (first < 0x20 && first != '\n' && first != '\r' && first != '\t') || first == 0x7f;
    if (length == 0 || control) {
      const Place place = origin.has_lines ? Place{origin.name, line, column} : Place{origin.name};
      problems.push_back({place, length == 0 ? "not UTF-8; save the file as UTF-8"
                                             : "a control character; remove it"});
      return false;
    }
    at += length;
    ++column;
    if (first == '\n') {
      ++line;
      column = 1;
    }
  }
  return true;
}

}  // namespace

const YamlEntry* YamlNode::Find(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const YamlEntry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

YamlEntry* YamlNode::Find(std::string_view key) {
  return const_cast<YamlEntry*>(std::as_const(*this).Find(key));
}

std::string YamlNode::Describe() const {
  switch (kind) {
    case Kind::kScalar:
      return "'" + scalar + "'" + (quoted ? " in quotes" : "");
    case Kind::kSequence:
      return "a list";
    case Kind::kMap:
      return "a block of keys";
    case Kind::kNull:
      break;
  }
  return "nothing";
}

std::optional<YamlNode> ParseYaml(const std::string& text, const YamlOrigin& origin,
                                  std::vector<Problem>& problems) {
  if (!CheckCharacters(text, origin, problems)) return std::nullopt;
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    TreeBuilder builder(origin, problems);
    if (!parser.HandleNextDocument(builder)) {
      problems.push_back({PlaceOf({}, origin), "there is nothing in it; see `fedmeta explain`"});
      return std::nullopt;
    }
    if (DocumentProbe further; parser.HandleNextDocument(further)) {
      problems.push_back({PlaceOf(further.start, origin),
                          "a second document (---) starts here; keep one document a file"});
    }
    return builder.Take();
  } catch (const YAML::Exception& error) {
    problems.push_back({PlaceOf(error.mark, origin), "not readable as YAML: " + error.msg});
    return std::nullopt;
  }
}

}  // namespace fedmeta

#include "fedmeta/configs/schema.h"

#include <set>

#include <gmock/gmock.h>

#include "fedmeta/configs/binder.h"
#include "fedmeta/configs/explain.h"
#include "fedmeta/configs/key_listing.h"
#include "fedmeta/tests/configs/config_files.h"

// Rules that every key of the configuration schema keeps, also the keys that are added later.
namespace fedmeta {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using ::testing::HasSubstr;

/// All keys of the three files and of every plug-in, under the message they belong to.
std::vector<const FieldDescriptor*> EveryKey() {
  std::set<const Descriptor*> messages;
  std::vector<const FieldDescriptor*> keys;
  const auto add = [&](const FieldDescriptor* field) {
    keys.push_back(field);
    if (!IsPlugin(*field)) return;
    if (!messages.insert(field->message_type()).second) return;
    for (const auto* own : OwnKeys(*field->message_type())) keys.push_back(own);
  };
  for (const ListedFile& file : ListFiles()) {
    for (const ListedKey& key : ListKeys(*file.schema)) add(key.field);
  }
  for (const auto& [table, plugins] : BuiltinPluginTables().tables) {
    for (const auto& [name, settings] : plugins) {
      for (const auto* field : AllFields(*settings)) add(field);
    }
  }
  return keys;
}

TEST(Schema, TellsAbsentFromZero) {
  for (const FieldDescriptor* key : EveryKey()) {
    EXPECT_TRUE(key->is_repeated() || key->has_presence()) << key->full_name();
  }
}
TEST(Schema, DocumentsEveryKey) {
  for (const FieldDescriptor* key : EveryKey()) {
    EXPECT_FALSE(KeyOf(*key).doc().empty()) << key->full_name();
  }
}
TEST(Schema, DocumentsEveryFileAndPlugin) {
  for (const ListedFile& file : ListFiles())
    EXPECT_FALSE(SummaryOf(*file.schema).doc().empty()) << file.name;
  for (const auto& [table, plugins] : BuiltinPluginTables().tables) {
    for (const auto& [name, settings] : plugins)
      EXPECT_FALSE(SummaryOf(*settings).doc().empty()) << name;
  }
}
TEST(Schema, HasOnlyTypesThatTheLoaderReads) {
  for (const FieldDescriptor* key : EveryKey()) {
    switch (key->cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
      case FieldDescriptor::CPPTYPE_UINT32:
      case FieldDescriptor::CPPTYPE_UINT64:
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_MESSAGE:
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        EXPECT_EQ(key->type(), FieldDescriptor::TYPE_STRING) << key->full_name();
        break;
      default:
        ADD_FAILURE() << key->full_name() << " has type " << key->type_name();
    }
  }
}
TEST(Schema, HasDefaultsWithinTheirOwnBounds) {
  const PluginTables tables = BuiltinPluginTables();
  for (const FieldDescriptor* key : EveryKey()) {
    if (KeyOf(*key).default_value().empty()) continue;
    std::vector<Problem> problems;
    SourceMap places;
    YamlNode block;
    block.kind = YamlNode::Kind::kMap;
    const auto value = ParseYaml(KeyOf(*key).default_value(), {"default", false}, problems);
    ASSERT_TRUE(value.has_value()) << key->full_name();
    block.entries.push_back({key->name(), {}, *value});
    const auto message = NewMessage(*key->containing_type());
    Binder(tables, "/", places, problems).BindFile(block, *message);
    for (const Problem& problem : problems) {
      // The other keys of the message are not there.
      EXPECT_THAT(problem.message, HasSubstr(" is required: ")) << key->full_name();
    }
  }
}
TEST(Schema, HasNoKeyThatIsBothRequiredAndDefaulted) {
  for (const FieldDescriptor* key : EveryKey()) {
    EXPECT_FALSE(KeyOf(*key).required() && !KeyOf(*key).default_value().empty())
        << key->full_name();
  }
}
TEST(Schema, NamesATableThatExistsForEveryPlugin) {
  for (const FieldDescriptor* key : EveryKey()) {
    EXPECT_EQ(IsPlugin(*key), !PluginNames(BuiltinPluginTables(), KeyOf(*key).plugin()).empty())
        << key->full_name();
  }
}
TEST(Schema, HasNoSettingsKeyThatHidesAKeyOfItsPlugin) {
  for (const auto& [table, plugins] : BuiltinPluginTables().tables) {
    for (const auto& [name, settings] : plugins) {
      EXPECT_EQ(settings->FindFieldByName("name"), nullptr) << name;
      EXPECT_EQ(settings->FindFieldByName("initial"), nullptr) << name;
    }
  }
}

std::string Explained(const std::string& key) {
  const auto text = Explain(BuiltinPluginTables(), key);
  return text.ok() ? *text : "error: " + text.error().message();
}

TEST(Explain, AKey) {
  EXPECT_EQ(Explained("evaluation.steps"),
            "evaluation.steps   (experiment file)\n"
            "  Adaptation steps reported.\n"
            "  type     list of whole numbers\n"
            "  default  [0, 1, 5, 10]\n"
            "  allowed  <= 100000\n");
}
TEST(Explain, ABlockWithItsKeys) {
  EXPECT_THAT(Explained("limits"), HasSubstr("limits   (coordinator file)\n"));
  EXPECT_THAT(Explained("limits"),
              HasSubstr("  limits.connections             whole number, default 10000"));
}
TEST(Explain, APluginWithItsSource) {
  EXPECT_THAT(Explained("maml"), HasSubstr("maml   (algorithm)\n"));
  EXPECT_THAT(Explained("maml"), HasSubstr("  source   Finn 2017\n"));
  EXPECT_THAT(Explained("maml"), HasSubstr("  maml.inner_learning_rate"));
}
TEST(Explain, AKeyOfAPlugin) {
  EXPECT_THAT(Explained("maml.inner_learning_rate"), HasSubstr("  allowed  > 0\n"));
  EXPECT_THAT(Explained("algorithm.inner_learning_rate"), HasSubstr("(of reptile)"));
}
TEST(Explain, AKeyByItsLastWord) {
  EXPECT_THAT(Explained("cohort"), HasSubstr("federation.cohort   (experiment file)\n"));
}
TEST(Explain, EveryFileAndPlugin) {
  EXPECT_THAT(Explained(""), HasSubstr("experiment file: One experiment"));
  EXPECT_THAT(Explained(""), HasSubstr("  federation.rounds "));
  EXPECT_THAT(Explained(""), HasSubstr("  data.<name>.role "));
  EXPECT_THAT(
      Explained(""),
      HasSubstr("  algorithm     constant, fedavg, fomaml, local, maml, pooled, reptile\n"));
}
TEST(Explain, RefusesAnUnknownKeyWithTheNearest) {
  EXPECT_EQ(Explained("evaluation.step"),
            "error: there is no key or plug-in 'evaluation.step'; did you mean 'evaluation.steps'? "
            "`fedmeta explain` lists all.");
}

TEST(ConfigurationMarkdown, IsWhatTheDocumentationSays) {
  const std::filesystem::path file =
      std::filesystem::path(FEDMETA_SOURCE_DIR) / "docs/configuration.md";
  const std::string expected = ConfigurationMarkdown(BuiltinPluginTables());
  if (const char* update = ::getenv("FEDMETA_UPDATE");
      update != nullptr && std::string(update) == "1") {
    std::ofstream(file) << expected;
  }
  std::ifstream stream(file);
  const std::string actual(std::istreambuf_iterator<char>(stream), {});
  EXPECT_TRUE(actual == expected)
      << file << " is out of date; FEDMETA_UPDATE=1 in the environment of this test rewrites it";
}

}  // namespace
}  // namespace fedmeta

#include "data_testing.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const v1::Plugin& tasks, const OpenedSource& source) {
  const auto made = MakeTaskGenerator(BuiltinData(), tasks, source, nullptr, "site-1", 1);
  return made.ok() ? "made" : made.error().message();
}

OpenedSource Table() {
  return TableSource(std::make_shared<FakeTable>(std::vector<std::size_t>{4, 4}));
}

TEST(DataRegistryTest, HoldsWhatTheListNames) {
  const DataRegistry registry = BuiltinData();
  EXPECT_EQ(registry.sources.count("sinusoid"), 1U);
  EXPECT_EQ(registry.sources.count("idx"), 1U);
  EXPECT_EQ(registry.tasks.count("episodic"), 1U);
  EXPECT_EQ(registry.tasks.count("split"), 1U);
}

TEST(DataRegistryTest, RefusesAnUnknownSourceWithTheKnownOnes) {
  v1::Plugin choice;
  choice.set_name("sinusoids");
  const auto opened = OpenSource(BuiltinData(), choice);
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(
      opened.error().message(),
      HasSubstr("'sinusoids' is unknown; known: command, csv, idx, npz, sinusoid, text; did "
                "you mean sinusoid?"));
}

TEST(DataRegistryTest, RefusesSettingsOfAnotherPlugin) {
  const auto opened = OpenSource(BuiltinData(), PluginOf("idx", v1::SplitSettings()));
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message(), HasSubstr("expected a fedmeta.v1.IdxSettings"));
}

TEST(DataRegistryTest, RefusesFormulaTasksOverATable) {
  EXPECT_THAT(ErrorOf(PluginOf("regression", v1::RegressionSettings()), Table()),
              HasSubstr("this source is a table: tasks.name 'regression' is unknown"));
}

TEST(DataRegistryTest, RefusesTableTasksOverAFormula) {
  v1::SinusoidSettings settings;
  settings.set_amplitude_maximum(1);
  const auto source = OpenSource(BuiltinData(), PluginOf("sinusoid", settings));
  ASSERT_TRUE(source.ok());
  EXPECT_THAT(ErrorOf(PluginOf("episodic", Episodic(2, 1, 1)), *source),
              HasSubstr("'episodic' draws from a table"));
}

TEST(DataRegistryTest, AConsumersSourceStandsBesideTheBuiltinOnes) {
  DataRegistry registry = BuiltinData();
  registry.sources["mine"] = [](const google::protobuf::Any&) -> Result<OpenedSource> {
    return Table();
  };
  v1::Plugin choice;
  choice.set_name("mine");
  const auto source = OpenSource(registry, choice);
  ASSERT_TRUE(source.ok());
  EXPECT_TRUE(MakeTaskGenerator(registry, PluginOf("episodic", Episodic(2, 1, 1)), *source, nullptr,
                                "site-1", 1)
                  .ok());
}

}  // namespace
}  // namespace fedmeta

#include "fedmeta/cli/run_heading.h"

#include <gtest/gtest.h>

#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {
namespace {

template <typename Settings>
v1::Plugin PluginOf(const std::string& name, const Settings& settings) {
  v1::Plugin plugin;
  plugin.set_name(name);
  plugin.mutable_settings()->PackFrom(settings);
  return plugin;
}

TEST(RunHeadingTest, AlgorithmIsNamedWithItsAdaptationSteps) {
  v1::MamlSettings settings;
  settings.set_adaptation_steps(5);
  EXPECT_EQ(DescribeAlgorithm(PluginOf("maml", settings)), "maml, 5 steps");
}

TEST(RunHeadingTest, OneStepIsSingular) {
  v1::ReptileSettings settings;
  settings.set_adaptation_steps(1);
  EXPECT_EQ(DescribeAlgorithm(PluginOf("reptile", settings)), "reptile, 1 step");
}

TEST(RunHeadingTest, AlgorithmWithoutAdaptationStepsIsItsName) {
  EXPECT_EQ(DescribeAlgorithm(PluginOf("fedavg", v1::FedavgSettings())), "fedavg");
}

TEST(RunHeadingTest, SettingsOfAnotherProgramDoNotHideTheName) {
  v1::Plugin plugin;
  plugin.set_name("elsewhere");
  plugin.mutable_settings()->set_type_url("type.googleapis.com/elsewhere.v1.Settings");
  EXPECT_EQ(DescribeAlgorithm(plugin), "elsewhere");
}

}  // namespace
}  // namespace fedmeta

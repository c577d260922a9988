#include "fedmeta/configs/differences.h"

#include <gmock/gmock.h>

#include "fedmeta/tests/configs/config_files.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class DifferencesTest : public ::testing::Test {
 protected:
  std::string Resolved(std::vector<std::string> overrides = {}) {
    const auto experiment = loader_.ParseExperiment(kEpisodic, "/x/e.yaml", overrides);
    EXPECT_TRUE(experiment.ok()) << experiment.error().message();
    return PrintYaml(**experiment, loader_.tables());
  }
  /// "path: before -> after", with a star where it may change.
  std::vector<std::string> Between(const std::string& before, const std::string& after) {
    std::vector<std::string> lines;
    const auto differences = Differences(before, after, loader_.tables());
    EXPECT_TRUE(differences.ok());
    for (const KeyDifference& one : *differences) {
      lines.push_back(one.path + ": " + one.before + " -> " + one.after +
                      (one.changeable ? " *" : ""));
    }
    return lines;
  }
  const Loader loader_{BuiltinPluginTables()};
};

TEST_F(DifferencesTest, AreNoneBetweenEqualExperiments) {
  EXPECT_THAT(Between(Resolved(), Resolved()), IsEmpty());
}

TEST_F(DifferencesTest, NameKeysOfBlocksAndOfPlugins) {
  EXPECT_THAT(Between(Resolved(), Resolved({"federation.cohort=6", "model.filters=32"})),
              ElementsAre("federation.cohort: 5 -> 6", "federation.minimum_cohort: 5 -> 6",
                          "model.filters: 64 -> 32"));
}

TEST_F(DifferencesTest, SayWhatMayChange) {
  EXPECT_THAT(Between(Resolved(), Resolved({"federation.rounds=40", "evaluation.every=7",
                                            "data.source.path=elsewhere"})),
              ElementsAre("data.source.path: /x/images -> " +
                              (std::filesystem::current_path() / "elsewhere").string() + " *",
                          "evaluation.every: 0 -> 7 *", "federation.rounds: 20 -> 40 *"));
}

TEST_F(DifferencesTest, ShowKeysThatOneSideLacks) {
  EXPECT_THAT(Between(Resolved(), Resolved({"model.initial=m.safetensors"})).front(),
              testing::StartsWith("model.initial:  -> "));
  EXPECT_THAT(Between(Resolved({"evaluation.baselines=[{name: local}]"}), Resolved()).front(),
              testing::StartsWith("evaluation.baselines: "));
}

TEST_F(DifferencesTest, OfADamagedTextAreAnError) {
  const auto differences = Differences("{", Resolved(), loader_.tables());
  ASSERT_FALSE(differences.ok());
  EXPECT_EQ(differences.error().code(), ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace fedmeta

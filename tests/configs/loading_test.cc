#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>

#include "fedmeta/tests/configs/config_files.h"
#include "fedmeta/v1/algorithms.pb.h"
#include "fedmeta/v1/data.pb.h"
#include "fedmeta/v1/models.pb.h"
#include "fedmeta/v1/server.pb.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename Settings>
Settings Unpacked(const google::protobuf::Any& any) {
  Settings settings;
  EXPECT_TRUE(any.UnpackTo(&settings)) << any.type_url();
  return settings;
}

v1::Experiment Loaded(const std::string& yaml, std::vector<std::string> overrides = {}) {
  const auto result = Parse(yaml, std::move(overrides));
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message());
  return result.ok() ? **result : v1::Experiment();
}

TEST(Loading, FillsEveryDefaultOfTheSchema) {
  const v1::Experiment e = Loaded(kExperiment);
  EXPECT_EQ(e.seed(), 1);
  EXPECT_EQ(e.device(), "cpu");
  EXPECT_EQ(e.data().partition().scheme(), "uniform");
  EXPECT_EQ(e.federation().report_deadline().seconds(), 30 * 60);
  EXPECT_EQ(e.federation().lost_after().seconds(), 120);
  EXPECT_TRUE(e.has_privacy());
  EXPECT_EQ(e.server().aggregation().name(), "weighted_mean");
  EXPECT_EQ(Unpacked<v1::SgdSettings>(e.server().optimizer().settings()).learning_rate(), 1);
  EXPECT_THAT(Unpacked<v1::MlpSettings>(e.model().settings()).hidden(), ElementsAre(40, 40));
  EXPECT_EQ(Unpacked<v1::MamlSettings>(e.algorithm().settings()).tasks_per_round(), 4);
  EXPECT_THAT(e.evaluation().steps(), ElementsAre(0, 1, 5, 10));
  EXPECT_EQ(e.evaluation().select().metric(), "loss_mean");
}
TEST(Loading, LeavesAbsentWhatHasNoDefault) {
  const v1::Experiment e = Loaded(With(kExperiment, "  source: {name: sinusoid}\n", ""));
  EXPECT_FALSE(e.data().has_source());
  EXPECT_FALSE(e.model().has_initial());
  EXPECT_FALSE(e.data().has_classes());
}
TEST(Loading, DefaultsToOtherKeys) {
  const v1::Experiment e = Loaded(kExperiment);
  EXPECT_EQ(e.federation().minimum_cohort(), 5);
  EXPECT_EQ(e.evaluation().select().steps(), 10);
  EXPECT_THAT(e.evaluation().shots(), ElementsAre(10));
  EXPECT_THAT(e.evaluation().learning_rates(), ElementsAre(0.1));
}
TEST(Loading, DefaultsToTheFirstRateOfAGrid) {
  const v1::Experiment e = Loaded(With(kExperiment, "{name: maml, inner_learning_rate: 0.1}",
                                       "{name: fedavg, learning_rate: [0.3, 0.1]}"));
  EXPECT_THAT(e.evaluation().learning_rates(), ElementsAre(0.3));
}
TEST(Loading, EvaluatesSplitTasksWithWhatTheyGive) {
  const v1::Experiment e =
      Loaded(With(kEpisodic, "{name: episodic, ways: 5, shots: 5, queries: 15}", "{name: split}"));
  EXPECT_THAT(e.evaluation().shots(), ElementsAre(0));
}
TEST(Loading, TakesOneValueForAListOfOne) {
  const v1::Experiment e = Loaded(std::string(kExperiment) + "evaluation: {steps: 3}\n");
  EXPECT_THAT(e.evaluation().steps(), ElementsAre(3));
}
TEST(Loading, KeepsAnEmptyListApartFromItsDefault) {
  const v1::Experiment e = Loaded(With(kExperiment, "{name: mlp}", "{name: mlp, hidden: []}"));
  EXPECT_EQ(Unpacked<v1::MlpSettings>(e.model().settings()).hidden_size(), 0);
}
TEST(Loading, ReadsDurations) {
  const auto deadline = [](const std::string& text) {
    const auto e = Loaded(With(kExperiment, "cohort: 5", "cohort: 5\n  report_deadline: " + text));
    return std::make_pair(e.federation().report_deadline().seconds(),
                          e.federation().report_deadline().nanos());
  };
  EXPECT_EQ(deadline("60s"), std::make_pair(std::int64_t{60}, 0));
  EXPECT_EQ(deadline("1h30m"), std::make_pair(std::int64_t{5400}, 0));
  EXPECT_EQ(deadline("500ms"), std::make_pair(std::int64_t{0}, 500'000'000));
  EXPECT_EQ(deadline("2d"), std::make_pair(std::int64_t{172'800}, 0));
}

TEST(Loading, SumsAreSecureInALiveFederationUnlessPlainOnesAreAskedFor) {
  const Loader loader(BuiltinPluginTables());
  const auto mode = [&](std::vector<std::string> overrides, Loader::RunKind kind) {
    const auto e = loader.ParseExperiment(kExperiment, "e.yaml", overrides, kind);
    return e.ok() ? (*e)->privacy().secure_aggregation().mode() : e.error().message();
  };
  EXPECT_EQ(mode({}, Loader::RunKind::kSimulation), "plain");
  EXPECT_EQ(mode({}, Loader::RunKind::kLive), "secure");
  EXPECT_EQ(mode({"privacy.secure_aggregation.mode=plain"}, Loader::RunKind::kLive), "plain");
  EXPECT_EQ(mode({"privacy.secure_aggregation.mode=secure"}, Loader::RunKind::kSimulation),
            "secure");
  EXPECT_EQ(mode({"privacy.differential_privacy={mode: distributed, clip: 1, noise_multiplier: 8}"},
                 Loader::RunKind::kSimulation),
            "secure");
  EXPECT_THAT(mode({"federation.minimum_cohort=2"}, Loader::RunKind::kLive),
              HasSubstr("nearest are minimum_cohort 3 and mode plain"));
}

TEST(Grids, AreTheProductWithTheLastKeyFastest) {
  // Keys count in the schema's order, whatever order they are written in.
  const v1::Experiment e =
      Loaded(With(kExperiment, "inner_learning_rate: 0.1",
                  "adaptation_steps: [1, 2], inner_learning_rate: [0.1, 0.2]"));
  std::vector<std::pair<double, int>> settings;
  for (std::size_t i = 0; i < 4; ++i) {
    const v1::Plugin chosen = ChooseAlternative(e.algorithm(), i);
    EXPECT_EQ(chosen.alternatives_size(), 0);
    const auto maml = Unpacked<v1::MamlSettings>(chosen.settings());
    settings.emplace_back(maml.inner_learning_rate(), maml.adaptation_steps());
    EXPECT_EQ(maml.tasks_per_round(), 4);
  }
  EXPECT_EQ(e.algorithm().alternatives_size(), 3);
  EXPECT_THAT(settings, ElementsAre(std::make_pair(0.1, 1), std::make_pair(0.1, 2),
                                    std::make_pair(0.2, 1), std::make_pair(0.2, 2)));
}

TEST(Places, OutliveTheLoading) {
  const auto experiment = Parse(kExperiment, {"federation.rounds=7"});
  ASSERT_TRUE(experiment.ok());
  EXPECT_EQ(experiment->places().Find("data.tasks.shots").ToString(), "e.yaml:6:36");
  EXPECT_EQ(experiment->places().Find("federation.rounds").ToString(), "argument 1");
  EXPECT_TRUE(experiment->places().Has("data.tasks.shots"));
  EXPECT_FALSE(experiment->places().Has("data.tasks.queries"));
}
TEST(Places, OfADefaultAreThoseOfTheNearestWrittenBlock) {
  const auto experiment = Parse(kExperiment);
  ASSERT_TRUE(experiment.ok());
  EXPECT_EQ(experiment->places().Find("data.tasks.queries").ToString(), "e.yaml:6:3");
  EXPECT_EQ(experiment->places().Find("server.optimizer.name").ToString(), "e.yaml:1:1");
}

TEST(Overrides, SetChangeAndMakeKeys) {
  const v1::Experiment e = Loaded(
      kExperiment, {"federation.rounds=7", "evaluation.select.metric=accuracy_mean",
                    "algorithm={name: fomaml, adaptation_steps: 3}", "evaluation.steps=[0, 2]"});
  EXPECT_EQ(e.federation().rounds(), 7);
  EXPECT_EQ(e.federation().cohort(), 5);
  EXPECT_EQ(e.evaluation().select().metric(), "accuracy_mean");
  EXPECT_EQ(e.algorithm().name(), "fomaml");
  EXPECT_EQ(Unpacked<v1::FomamlSettings>(e.algorithm().settings()).adaptation_steps(), 3);
  EXPECT_EQ(e.evaluation().select().steps(), 2);
}
TEST(Overrides, ReachIntoLists) {
  const v1::Experiment e = Loaded(
      std::string(kExperiment) + "evaluation: {baselines: [{name: local}, {name: fedavg}]}\n",
      {"evaluation.baselines[1].learning_rate=0.7"});
  EXPECT_EQ(Unpacked<v1::FedavgSettings>(e.evaluation().baselines(1).settings()).learning_rate(),
            0.7);
}
TEST(Overrides, TheLastOfTwoCounts) {
  EXPECT_EQ(Loaded(kExperiment, {"seed=2", "seed=3"}).seed(), 3);
}
TEST(Overrides, AreRefusedWithTheirNumber) {
  EXPECT_EQ(Problems(kExperiment, {"seed=2", "federation.rounds=010"}),
            "argument 2: federation.rounds must be a whole number in decimal digits, such as 10, "
            "got '010'");
  EXPECT_EQ(Problems(kExperiment, {"federation.round=1"}),
            "argument 1: unknown key 'federation.round'; did you mean 'rounds'?");
  EXPECT_EQ(Problems(kExperiment, {"rounds 5"}),
            "argument 1: must be key.path=value, such as federation.rounds=50, got 'rounds 5'");
  EXPECT_EQ(Problems(kExperiment, {"a..b=5"}),
            "argument 1: must be key.path=value, such as federation.rounds=50, got 'a..b=5'");
  EXPECT_EQ(Problems(kExperiment, {"seed="}), "argument 1: seed has no value after '='");
  EXPECT_EQ(Problems(kExperiment, {"seed=[1"}),
            "argument 1: not readable as YAML: end of sequence flow not found");
  EXPECT_EQ(Problems(kExperiment, {"name.first=x"}), "argument 1: name has no keys, it is 'waves'");
  EXPECT_EQ(Problems(kExperiment, {"federation[0]=x"}),
            "argument 1: federation is no list but a block of keys");
  EXPECT_EQ(Problems(std::string(kExperiment) + "evaluation: {steps: [0, 1]}\n",
                     {"evaluation.steps[2]=5"}),
            "argument 1: evaluation.steps has 2 elements, counted from 0, got [2]");
}

class Paths : public ::testing::Test {
 protected:
  std::string SourcePath(const std::string& path, std::vector<std::string> overrides = {}) {
    const auto file = folder_.Write("checkout/configs/e.yaml",
                                    With(kEpisodic, "path: images", "path: \"" + path + "\""));
    const auto result = Loader(BuiltinPluginTables()).LoadExperiment(file, overrides);
    if (!result.ok()) return result.error().message();
    return Unpacked<v1::IdxSettings>((*result)->data().source().settings()).path();
  }
  TemporaryFolder folder_;
};

TEST_F(Paths, ResolveAgainstTheFile) {
  EXPECT_EQ(SourcePath("../data/images"), (folder_.path() / "checkout/data/images").string());
}
TEST_F(Paths, StayWhereTheyAreAbsolute) { EXPECT_EQ(SourcePath("/data/images"), "/data/images"); }
TEST_F(Paths, OfAnArgumentResolveAgainstTheCurrentFolder) {
  EXPECT_EQ(SourcePath("images", {"data.source.path=here/images"}),
            (std::filesystem::current_path() / "here/images").string());
}
TEST_F(Paths, ExpandTheDataFolderOfTheEnvironment) {
  const ScopedVariable variable("FEDMETA_DATA", "/srv/data");
  EXPECT_EQ(SourcePath("${FEDMETA_DATA}/omniglot"), "/srv/data/omniglot");
}
TEST_F(Paths, ExpandTheDataFolderBesideTheCheckout) {
  const ScopedVariable variable("FEDMETA_DATA", nullptr);
  std::filesystem::create_directories(folder_.path() / "shared/data");
  EXPECT_EQ(SourcePath("${FEDMETA_DATA}/omniglot"),
            (folder_.path() / "shared/data/omniglot").string());
}
TEST_F(Paths, SayWhatToDoWithoutADataFolder) {
  const ScopedVariable variable("FEDMETA_DATA", nullptr);
  EXPECT_THAT(SourcePath("${FEDMETA_DATA}/omniglot"),
              HasSubstr("e.yaml:5:29: data.source.path uses ${FEDMETA_DATA}, which is not set, and "
                        "there is no shared/data beside the checkout; set FEDMETA_DATA"));
}

TEST(Files, ThatAreMissingAreNotFound) {
  const auto result = Loader(BuiltinPluginTables()).LoadExperiment("/nowhere/e.yaml");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(result.error().message(), HasSubstr("/nowhere/e.yaml"));
}

}  // namespace
}  // namespace fedmeta

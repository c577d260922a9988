// Which statistics of normalisation an adapted model meets its query set with.
#include "client_fixtures.h"
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/algorithms/meta/running_statistics.h"
#include "fedmeta/client/adapt.h"
#include "fedmeta/client/evaluator.h"

namespace fedmeta {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

/// Clouds as images of four pixels.
class ImageTable final : public Dataset {
 public:
  explicit ImageTable(std::shared_ptr<const Dataset> table) : table_(std::move(table)) {}
  std::size_t size() const override { return table_->size(); }
  const std::vector<std::int64_t>& example_shape() const override { return shape_; }
  void Read(std::size_t row, std::span<float> example) const override {
    table_->Read(row, example);
  }
  std::int64_t label(std::size_t row) const override { return table_->label(row); }
  std::int64_t classes() const override { return table_->classes(); }
  const Digest& fingerprint() const override { return table_->fingerprint(); }

 private:
  const std::vector<std::int64_t> shape_ = {1, 2, 2};
  std::shared_ptr<const Dataset> table_;
};

OpenedSource Images() {
  OpenedSource source;
  source.dataset = std::make_shared<ImageTable>(Clouds(3, 20).dataset);
  source.input_shape = source.dataset->example_shape();
  return source;
}

v1::Assignment Conv4Assignment(const v1::Plugin& algorithm, const std::string& normalization,
                               std::optional<bool> transductive) {
  v1::Assignment assignment = MakeAssignment(algorithm, EpisodicTasks(3, 2, 4), 3);
  v1::Conv4Settings settings;
  settings.set_filters(4);
  settings.set_downsample("stride");
  settings.set_normalization(normalization);
  *assignment.mutable_model() = PluginOf("conv4", settings);
  assignment.clear_input_shape();
  for (const std::int64_t extent : {1, 2, 2}) assignment.add_input_shape(extent);
  if (transductive) assignment.set_transductive(*transductive);
  const auto model =
      MakeModel(BuiltinModels(), assignment.model(), {.input_shape = {1, 2, 2}, .outputs = 3})
          .value();
  const auto learner = MakeMetaLearner(BuiltinMetaLearners(), algorithm).value();
  assignment.set_layout_fingerprint(learner->DescribeState(*model).value().fingerprint().bytes());
  return assignment;
}

struct Site {
  explicit Site(const std::string& normalization, std::optional<bool> transductive = {},
                const v1::Plugin& algorithm = Maml())
      : leg(Conv4Assignment(algorithm, normalization, transductive), Images()) {
    const std::size_t theta = ParameterCount(*leg.runtime->model);
    for (std::size_t i = theta; i < leg.state.size(); ++i)
      leg.state[i] = 1 + 0.125F * static_cast<float>(i - theta);
    gradients = MakeLegGradients(*leg.runtime, objective, leg.state, at::kCPU);
    parameters = at::tensor(std::vector<float>(
        leg.state.begin(), leg.state.begin() + static_cast<std::ptrdiff_t>(theta)));
  }
  Episode Draw(std::span<const std::byte> kept = {}) const {
    LocalClient self = leg.self();
    self.kept = kept;
    return DrawEpisode(*leg.runtime, leg.state, self, v1::PART_TEST, 2, 0, at::kCPU).value();
  }
  at::Tensor Found(std::span<const std::byte> kept = {}) const {
    return QueryStatistics(*leg.runtime, *gradients, Draw(kept), parameters);
  }
  at::Tensor OfSupport() const { return gradients->Statistics(parameters, Draw().task.support); }
  at::Tensor OfState() const { return StatisticsOfState(*leg.runtime->model, leg.state, at::kCPU); }

  const Objective objective{ObjectiveKind::kCrossEntropy};
  TestLeg leg;
  std::unique_ptr<TaskGradients> gradients;
  at::Tensor parameters;
};

TEST(QueryStatisticsTest, TransductiveMeansThoseOfTheQuerySetItself) {
  EXPECT_FALSE(Site("batch", true).Found().defined());
  EXPECT_FALSE(Site("batch").Found().defined()) << "assignments that do not say are older";
}

TEST(QueryStatisticsTest, ABatchModelThatIsNotTransductiveTakesThoseOfTheSupportSet) {
  const Site site("batch", false);
  EXPECT_TRUE(at::equal(site.Found(), site.OfSupport()));
}

TEST(QueryStatisticsTest, AveragedAndFrozenOnesAreThoseOfTheState) {
  for (const char* normalization : {"averaged", "frozen"}) {
    const Site site(normalization, false);
    EXPECT_TRUE(at::equal(site.Found(), site.OfState())) << normalization;
  }
}

TEST(QueryStatisticsTest, AMethodThatTrainsNothingHasNoAveragedOnes) {
  const Site site("averaged", false, Local());
  EXPECT_TRUE(at::equal(site.Found(), site.OfSupport()));
}

TEST(QueryStatisticsTest, LocalOnesAreWhatTheClientKeptOrForANewSiteThoseOfItsSupportSet) {
  const Site site("local", false);
  EXPECT_TRUE(at::equal(site.Found(), site.OfSupport()));
  const std::vector<float> kept(StatisticsCount(*site.leg.runtime->model), 1.5F);
  EXPECT_TRUE(at::equal(site.Found(PackStatistics(kept)), at::tensor(kept)));
}

TEST(QueryStatisticsTest, ModelsWithoutBatchNormalisationHaveNone) {
  EXPECT_FALSE(Site("group", false).Found().defined());
}

TEST(QueryStatisticsTest, TransductiveIsRefusedForModelsThatDoNotTakeThoseOfTheBatch) {
  const OpenedSource source = Images();
  const DatasetView view = WholeView(source.dataset);
  const v1::Assignment assignment = Conv4Assignment(Maml(), "averaged", true);
  const auto tasks =
      MakeTaskGenerator(BuiltinData(), assignment.tasks(), source, &view, "site-1", 5).value();
  const auto leg = LegRuntime::Create(TestRegistries(), assignment.SerializeAsString(), *tasks);
  ASSERT_FALSE(leg.ok());
  EXPECT_THAT(leg.error().message(), HasSubstr("normalises by the batch at hand, which conv4"));
}

TEST(QueryStatisticsTest, EvaluationUsesThem) {
  v1::Evaluate evaluate;
  evaluate.set_part(v1::PART_TEST);
  evaluate.add_shots(2);
  evaluate.add_learning_rates(0.1);
  evaluate.add_steps(0);
  evaluate.set_episodes(1);
  const auto pool = MakeLearningPool(1);
  for (const char* normalization : {"batch", "averaged", "local", "frozen"}) {
    const Site site(normalization, false);
    const LocalClient self = site.leg.self();
    const auto cells = EvaluateClients(evaluate, *site.leg.runtime, site.objective, at::kCPU,
                                       site.leg.state, {&self, 1}, *pool);
    const Episode episode = site.Draw();
    EXPECT_EQ(cells.front().value().front().query_loss,
              site.gradients->Measure(site.parameters, episode.task.query, site.Found()).query_loss)
        << normalization;
    if (site.leg.runtime->model->normalization() == NormalizationStatistics::kFrozen) continue;
    EXPECT_NE(cells.front().value().front().query_loss,
              site.gradients->Measure(site.parameters, episode.task.query).query_loss)
        << normalization;
  }
}

TEST(QueryStatisticsTest, TheModelToTakeAwayCarriesThem) {
  const auto pool = MakeLearningPool(1);
  for (const auto& [normalization, transductive] :
       std::vector<std::pair<std::string, bool>>{{"batch", true},
                                                 {"batch", false},
                                                 {"averaged", false},
                                                 {"local", false},
                                                 {"frozen", false}}) {
    const Site site(normalization, transductive);
    const TrainedModel trained{.assignment = site.leg.runtime->assignment,
                               .method = "maml",
                               .state = site.leg.state,
                               .tuned = {}};
    const AdaptedSite adapted =
        AdaptToSite(trained, TestRegistries(), Images(),
                    "site-1", {.shots = 2, .steps = 0, .episodes = 2}, *pool)
            .value();
    const std::size_t theta = ParameterCount(*site.leg.runtime->model);
    EXPECT_EQ(adapted.outputs, 3);
    if (transductive) {
      EXPECT_THAT(adapted.parameters, SizeIs(theta));
      continue;
    }
    ASSERT_THAT(adapted.parameters, SizeIs(theta + 8 * 4)) << normalization;
    EXPECT_EQ(adapted.tensors.back().name, "blocks.3.norm.running_var");
    const at::Tensor carried =
        at::tensor(adapted.parameters).narrow(0, static_cast<std::int64_t>(theta), 8 * 4);
    EXPECT_TRUE(at::equal(carried, site.Found())) << normalization;
  }
}

}  // namespace
}  // namespace fedmeta

#include "client_fixtures.h"

namespace fedmeta {
namespace {

constexpr std::size_t kWidth = 4;

class CloudTable final : public Dataset {
 public:
  CloudTable(std::int64_t classes, std::size_t per_class)
      : classes_(classes), size_(static_cast<std::size_t>(classes) * per_class) {
    Rng rng({.seed = 3, .purpose = "clouds"});
    std::vector<double> centres(static_cast<std::size_t>(classes) * kWidth);
    for (double& value : centres) value = 2 * rng.Normal();
    for (std::size_t row = 0; row < size_; ++row) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        const double centre = centres[static_cast<std::size_t>(label(row)) * kWidth + i];
        values_.push_back(static_cast<float>(centre + 0.3 * rng.Normal()));
      }
    }
  }
  std::size_t size() const override { return size_; }
  const std::vector<std::int64_t>& example_shape() const override { return shape_; }
  void Read(std::size_t row, std::span<float> example) const override {
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(row * kWidth), kWidth,
                example.begin());
  }
  std::int64_t label(std::size_t row) const override {
    return static_cast<std::int64_t>(row) % classes_;
  }
  std::int64_t classes() const override { return classes_; }
  const Digest& fingerprint() const override { return fingerprint_; }

 private:
  const std::vector<std::int64_t> shape_ = {kWidth};
  std::int64_t classes_;
  std::size_t size_;
  std::vector<float> values_;
  Digest fingerprint_;
};

v1::Plugin SmallNetwork() {
  v1::MlpSettings settings;
  settings.add_hidden(8);
  return PluginOf("mlp", settings);
}

}  // namespace

LearnRegistries TestRegistries() {
  return {.models = BuiltinModels(), .algorithms = BuiltinMetaLearners(), .data = BuiltinData()};
}

OpenedSource Clouds(std::int64_t classes, std::size_t per_class) {
  OpenedSource source;
  source.dataset = std::make_shared<CloudTable>(classes, per_class);
  source.input_shape = source.dataset->example_shape();
  return source;
}

v1::Plugin EpisodicTasks(std::uint32_t ways, std::uint32_t shots, std::uint32_t queries) {
  v1::EpisodicSettings settings;
  settings.set_ways(ways);
  settings.set_shots(shots);
  settings.set_queries(queries);
  settings.set_rotations("none");
  return PluginOf("episodic", settings);
}

v1::Plugin SplitTasks(double support_fraction, double validation_fraction) {
  v1::SplitSettings settings;
  settings.set_support_fraction(support_fraction);
  settings.set_validation_fraction(validation_fraction);
  return PluginOf("split", settings);
}

v1::Plugin Maml(double rate, std::uint32_t steps) {
  v1::MamlSettings settings;
  settings.set_inner_learning_rate(rate);
  settings.set_adaptation_steps(steps);
  settings.set_tasks_per_round(3);
  return PluginOf("maml", settings);
}

v1::Plugin Fedavg() { return PluginOf("fedavg", v1::FedavgSettings()); }
v1::Plugin Local() { return PluginOf("local", v1::LocalSettings()); }

v1::Assignment MakeAssignment(const v1::Plugin& algorithm, const v1::Plugin& tasks,
                              std::uint32_t outputs) {
  v1::Assignment assignment;
  assignment.set_experiment("clouds/" + algorithm.name());
  assignment.set_seed(5);
  assignment.set_data("clouds");
  *assignment.mutable_tasks() = tasks;
  *assignment.mutable_model() = SmallNetwork();
  *assignment.mutable_algorithm() = algorithm;
  assignment.add_input_shape(kWidth);
  assignment.set_outputs(outputs);
  const auto model =
      MakeModel(BuiltinModels(), assignment.model(), {.input_shape = {kWidth}, .outputs = outputs});
  const auto learner = MakeMetaLearner(BuiltinMetaLearners(), algorithm);
  assignment.set_layout_fingerprint(
      learner.value()->DescribeState(*model.value()).value().fingerprint().bytes());
  return assignment;
}

TestLeg::TestLeg(const v1::Assignment& assignment, const OpenedSource& source,
                 const std::string& name)
    : client(name) {
  const LearnRegistries registries = TestRegistries();
  const DatasetView view = WholeView(source.dataset);
  tasks = MakeTaskGenerator(registries.data, assignment.tasks(), source, &view, client,
                            assignment.seed())
              .value();
  runtime = LegRuntime::Create(registries, assignment.SerializeAsString(), *tasks).value();
  Rng rng({.seed = assignment.seed(), .purpose = "initial_state"});
  state = runtime->learner->InitialState(*runtime->model, rng).value();
}

}  // namespace fedmeta

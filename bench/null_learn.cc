// `fedmeta-learn` with one more algorithm, "null": any model's state and updates that cost nothing,
// so that what a round takes is the federation's own.
#include <memory>
#include <utility>
#include <vector>

#include "null_schema.h"

#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/cli/learn_main.h"

namespace fedmeta {
namespace {

/// State and adaptation are Reptile's.
class Null final : public MetaLearner {
 public:
  explicit Null(std::unique_ptr<MetaLearner> reptile) : reptile_(std::move(reptile)) {}

  Result<StateLayout> DescribeState(const Model& model) const override {
    return reptile_->DescribeState(model);
  }
  Result<std::vector<float>> InitialState(const Model& model, Rng& rng) const override {
    return reptile_->InitialState(model, rng);
  }
  std::vector<Result<ClientUpdate>> ComputeUpdates(const LearnContext& /*context*/,
                                                   std::span<const float> state,
                                                   std::span<ClientWork> work) const override {
    ClientUpdate client;
    client.update.resize(state.size());
    // Small, and different enough from place to place that nothing could shorten it.
    for (std::size_t i = 0; i < state.size(); ++i) {
      client.update[i] = 1e-6F * static_cast<float>(i % 1021);
    }
    client.weight = 1;
    client.metrics = {.examples = 1, .tasks = 1};
    client.metrics.FinishClient();
    return {work.size(), client};
  }
  Status Adapt(const LearnContext& context, const TaskGradients& gradients,
               std::span<const float> state, const TaskSet& support, const AdaptOptions& options,
               const std::function<void(std::uint32_t, const at::Tensor&)>& visit) const override {
    return reptile_->Adapt(context, gradients, state, support, options, visit);
  }
  double default_adaptation_rate() const override { return reptile_->default_adaptation_rate(); }

 private:
  std::unique_ptr<MetaLearner> reptile_;
};

Result<std::unique_ptr<MetaLearner>> CreateNull(const google::protobuf::Any& /*settings*/) {
  v1::Plugin reptile;
  reptile.set_name("reptile");
  FEDMETA_ASSIGN_OR_RETURN(auto inner, MakeMetaLearner(BuiltinMetaLearners(), reptile));
  return std::unique_ptr<MetaLearner>(std::make_unique<Null>(std::move(inner)));
}

}  // namespace
}  // namespace fedmeta

int main(int argc, char** argv) {
  fedmeta::LearnProgram program = fedmeta::BuiltinLearnProgram();
  program.schema = fedmeta::NullSchema();
  program.registries.algorithms["null"] = fedmeta::CreateNull;
  return fedmeta::LearnMain(argc, argv, program);
}

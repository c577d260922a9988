// Gradient descent on the server: s <- s - beta mean. With beta = 1 and FedAvg's updates this is
// federated averaging (McMahan et al. 2017); the outer step of MAML (Finn et al. 2017) and Reptile
// (Nichol et al. 2018).
#include "fedmeta/algorithms/server/factories.h"
#include "fedmeta/algorithms/server/moment_optimizer.h"

namespace fedmeta {
namespace {

class Sgd final : public MomentOptimizer {
 public:
  Sgd(std::size_t coordinates, LearningRateSchedule schedule)
      : MomentOptimizer(schedule, Moments("sgd", 0, coordinates, 0)) {}

  void Step(std::size_t, std::span<float> state, std::span<const double> mean,
            std::uint64_t round) override {
    const double rate = schedule_.At(round);
    for (std::size_t i = 0; i < state.size(); ++i)
      state[i] = static_cast<float>(state[i] - rate * mean[i]);
  }
};

}  // namespace

Result<std::unique_ptr<ServerOptimizer>> CreateSgd(const v1::SgdSettings& settings,
                                                   const OptimizerContext& context) {
  FEDMETA_ASSIGN_OR_RETURN(const auto schedule,
                           LearningRateSchedule::Create(settings.learning_rate_schedule(),
                                                        settings.learning_rate(), context.rounds));
  return std::unique_ptr<ServerOptimizer>(std::make_unique<Sgd>(context.coordinates, schedule));
}

}  // namespace fedmeta

// Heavy ball (Polyak 1964), FedAvgM (Hsu et al. 2019):
//   m <- mu m + mean
//   s <- s - beta m
#include "fedmeta/algorithms/server/factories.h"
#include "fedmeta/algorithms/server/moment_optimizer.h"

namespace fedmeta {
namespace {

class Momentum final : public MomentOptimizer {
 public:
  Momentum(const v1::MomentumSettings& settings, std::size_t coordinates,
           LearningRateSchedule schedule)
      : MomentOptimizer(schedule, Moments("momentum", 1, coordinates, 0)),
        momentum_(settings.momentum()) {}

  void Step(std::size_t first, std::span<float> state, std::span<const double> mean,
            std::uint64_t round) override {
    const double rate = schedule_.At(round);
    const std::span<double> m = moments_.Part(0, first, state.size());
    for (std::size_t i = 0; i < state.size(); ++i) {
      m[i] = momentum_ * m[i] + mean[i];
      state[i] = static_cast<float>(state[i] - rate * m[i]);
    }
  }

 private:
  double momentum_;
};

}  // namespace

Result<std::unique_ptr<ServerOptimizer>> CreateMomentum(const v1::MomentumSettings& settings,
                                                        const OptimizerContext& context) {
  FEDMETA_ASSIGN_OR_RETURN(const auto schedule,
                           LearningRateSchedule::Create(settings.learning_rate_schedule(),
                                                        settings.learning_rate(), context.rounds));
  return std::unique_ptr<ServerOptimizer>(
      std::make_unique<Momentum>(settings, context.coordinates, schedule));
}

}  // namespace fedmeta

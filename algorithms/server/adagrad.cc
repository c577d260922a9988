// Adagrad (Duchi et al. 2011) on the server, FedAdagrad of Reddi et al. 2021 with beta1 = 0:
//   v <- v + mean^2
//   s <- s - beta mean / (sqrt(v) + epsilon),   v = epsilon^2 before round 1
#include <cmath>

#include "fedmeta/algorithms/server/factories.h"
#include "fedmeta/algorithms/server/moment_optimizer.h"

namespace fedmeta {
namespace {

class Adagrad final : public MomentOptimizer {
 public:
  Adagrad(const v1::AdagradSettings& settings, std::size_t coordinates,
          LearningRateSchedule schedule)
      : MomentOptimizer(
            schedule, Moments("adagrad", 1, coordinates, settings.epsilon() * settings.epsilon())),
        epsilon_(settings.epsilon()) {}

  void Step(std::size_t first, std::span<float> state, std::span<const double> mean,
            std::uint64_t round) override {
    const double rate = schedule_.At(round);
    const std::span<double> v = moments_.Part(0, first, state.size());
    for (std::size_t i = 0; i < state.size(); ++i) {
      v[i] += mean[i] * mean[i];
      state[i] = static_cast<float>(state[i] - rate * mean[i] / (std::sqrt(v[i]) + epsilon_));
    }
  }

 private:
  double epsilon_;
};

}  // namespace

Result<std::unique_ptr<ServerOptimizer>> CreateAdagrad(const v1::AdagradSettings& settings,
                                                       const OptimizerContext& context) {
  FEDMETA_ASSIGN_OR_RETURN(const auto schedule,
                           LearningRateSchedule::Create(settings.learning_rate_schedule(),
                                                        settings.learning_rate(), context.rounds));
  return std::unique_ptr<ServerOptimizer>(
      std::make_unique<Adagrad>(settings, context.coordinates, schedule));
}

}  // namespace fedmeta

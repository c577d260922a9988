// Adam (Kingma and Ba 2015, algorithm 1) on the server, as FedAdam (Reddi et al. 2021) but with the
// bias correction of the first paper:
//   m <- b1 m + (1 - b1) mean
//   v <- b2 v + (1 - b2) mean^2
//   s <- s - beta (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon),   t the round, m = v = 0
//   before round 1
#include <cmath>

#include "fedmeta/algorithms/server/factories.h"
#include "fedmeta/algorithms/server/moment_optimizer.h"

namespace fedmeta {
namespace {

class Adam final : public MomentOptimizer {
 public:
  Adam(const v1::AdamSettings& settings, std::size_t coordinates, LearningRateSchedule schedule)
      : MomentOptimizer(schedule, Moments("adam", 2, coordinates, 0)),
        beta1_(settings.beta1()),
        beta2_(settings.beta2()),
        epsilon_(settings.epsilon()) {}

  void Step(std::size_t first, std::span<float> state, std::span<const double> mean,
            std::uint64_t round) override {
    const double rate = schedule_.At(round);
    const double first_correction = 1 - std::pow(beta1_, static_cast<double>(round));
    const double second_correction = 1 - std::pow(beta2_, static_cast<double>(round));
    const std::span<double> m = moments_.Part(0, first, state.size());
    const std::span<double> v = moments_.Part(1, first, state.size());
    for (std::size_t i = 0; i < state.size(); ++i) {
      m[i] = beta1_ * m[i] + (1 - beta1_) * mean[i];
      v[i] = beta2_ * v[i] + (1 - beta2_) * mean[i] * mean[i];
      const double step =
          (m[i] / first_correction) / (std::sqrt(v[i] / second_correction) + epsilon_);
      state[i] = static_cast<float>(state[i] - rate * step);
    }
  }

 private:
  double beta1_;
  double beta2_;
  double epsilon_;
};

}  // namespace

Result<std::unique_ptr<ServerOptimizer>> CreateAdam(const v1::AdamSettings& settings,
                                                    const OptimizerContext& context) {
  FEDMETA_ASSIGN_OR_RETURN(const auto schedule,
                           LearningRateSchedule::Create(settings.learning_rate_schedule(),
                                                        settings.learning_rate(), context.rounds));
  return std::unique_ptr<ServerOptimizer>(
      std::make_unique<Adam>(settings, context.coordinates, schedule));
}

}  // namespace fedmeta

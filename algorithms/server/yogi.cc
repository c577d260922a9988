// Yogi (Zaheer et al. 2018) on the server, FedYogi of Reddi et al. 2021 (algorithm 2, no bias
// correction):
//   m <- b1 m + (1 - b1) mean
//   v <- v - (1 - b2) mean^2 sign(v - mean^2)
//   s <- s - beta m / (sqrt(v) + epsilon),   m = 0 and v = epsilon^2 before round 1
#include <cmath>

#include "fedmeta/algorithms/server/factories.h"
#include "fedmeta/algorithms/server/moment_optimizer.h"

namespace fedmeta {
namespace {

class Yogi final : public MomentOptimizer {
 public:
  Yogi(const v1::YogiSettings& settings, std::size_t coordinates, LearningRateSchedule schedule)
      : MomentOptimizer(schedule, Moments("yogi", 2, coordinates, 0)),
        beta1_(settings.beta1()),
        beta2_(settings.beta2()),
        epsilon_(settings.epsilon()) {
    moments_.Fill(1, epsilon_ * epsilon_);
  }

  void Step(std::size_t first, std::span<float> state, std::span<const double> mean,
            std::uint64_t round) override {
    const double rate = schedule_.At(round);
    const std::span<double> m = moments_.Part(0, first, state.size());
    const std::span<double> v = moments_.Part(1, first, state.size());
    for (std::size_t i = 0; i < state.size(); ++i) {
      const double square = mean[i] * mean[i];
      const double sign = v[i] > square ? 1.0 : v[i] < square ? -1.0 : 0.0;
      m[i] = beta1_ * m[i] + (1 - beta1_) * mean[i];
      v[i] -= (1 - beta2_) * square * sign;
      state[i] = static_cast<float>(state[i] - rate * m[i] / (std::sqrt(v[i]) + epsilon_));
    }
  }

 private:
  double beta1_;
  double beta2_;
  double epsilon_;
};

}  // namespace

Result<std::unique_ptr<ServerOptimizer>> CreateYogi(const v1::YogiSettings& settings,
                                                    const OptimizerContext& context) {
  FEDMETA_ASSIGN_OR_RETURN(const auto schedule,
                           LearningRateSchedule::Create(settings.learning_rate_schedule(),
                                                        settings.learning_rate(), context.rounds));
  return std::unique_ptr<ServerOptimizer>(
      std::make_unique<Yogi>(settings, context.coordinates, schedule));
}

}  // namespace fedmeta

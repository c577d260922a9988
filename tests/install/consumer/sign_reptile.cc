#include "sign_reptile.h"

#include <cmath>
#include <utility>

#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/v1/algorithms.pb.h"
#include "sign_reptile.pb.h"

namespace consumer {
namespace {

using fedmeta::Result;
using fedmeta::Status;

class SignReptile : public fedmeta::MetaLearner {
 public:
  SignReptile(std::unique_ptr<fedmeta::MetaLearner> reptile, float scale) : reptile_(std::move(reptile)), scale_(scale) {}

  Result<fedmeta::StateLayout> DescribeState(const fedmeta::Model& model) const override { return reptile_->DescribeState(model); }
  Result<std::vector<float>> InitialState(const fedmeta::Model& model, fedmeta::Rng& rng) const override {
    return reptile_->InitialState(model, rng);
  }
  std::vector<Result<fedmeta::ClientUpdate>> ComputeUpdates(const fedmeta::LearnContext& context, std::span<const float> state,
                                                            std::span<fedmeta::ClientWork> work) const override {
    auto updates = reptile_->ComputeUpdates(context, state, work);
    for (auto& update : updates) {
      if (!update.ok()) continue;
      for (float& x : update->update) x = x == 0 ? 0 : std::copysign(scale_, x);
    }
    return updates;
  }
  Status Adapt(const fedmeta::LearnContext& context, const fedmeta::TaskGradients& gradients, std::span<const float> state,
               const fedmeta::TaskSet& support, const fedmeta::AdaptOptions& options,
               const std::function<void(std::uint32_t, const at::Tensor&)>& visit) const override {
    return reptile_->Adapt(context, gradients, state, support, options, visit);
  }
  double default_adaptation_rate() const override { return reptile_->default_adaptation_rate(); }

 private:
  std::unique_ptr<fedmeta::MetaLearner> reptile_;
  float scale_;
};

}  // namespace

Result<std::unique_ptr<fedmeta::MetaLearner>> CreateSignReptile(const google::protobuf::Any& any) {
  SignReptileSettings settings;
  if (!any.type_url().empty() && !any.UnpackTo(&settings)) {
    return fedmeta::Error(fedmeta::ErrorCode::kInvalidArgument, "sign_reptile: settings are not a SignReptileSettings");
  }
  fedmeta::v1::ReptileSettings reptile;
  reptile.set_inner_learning_rate(settings.has_inner_learning_rate() ? settings.inner_learning_rate() : 0.01);
  reptile.set_adaptation_steps(settings.has_adaptation_steps() ? settings.adaptation_steps() : 5);
  fedmeta::v1::Plugin choice;
  choice.set_name("reptile");
  choice.mutable_settings()->PackFrom(reptile);
  FEDMETA_ASSIGN_OR_RETURN(auto inner, fedmeta::MakeMetaLearner(fedmeta::BuiltinMetaLearners(), choice));
  const double scale = settings.has_scale() ? settings.scale() : 0.001;
  return std::unique_ptr<fedmeta::MetaLearner>(std::make_unique<SignReptile>(std::move(inner), static_cast<float>(scale)));
}

}  // namespace consumer

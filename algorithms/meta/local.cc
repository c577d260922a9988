// No federation: a site trains alone, from a fresh start, by the same inner loop that adapts
// everything else.
#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/meta/theta_learner.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {
namespace {

constexpr double kDefaultRate = 0.1;

class Local final : public ThetaLearner {
 public:
  explicit Local(const v1::LocalSettings& settings) : proximal_(settings.proximal()) {}
  std::vector<Result<ClientUpdate>> ComputeUpdates(const LearnContext& /*context*/,
                                                   std::span<const float> /*state*/,
                                                   std::span<ClientWork> work) const override {
    return {work.size(),
            Error(ErrorCode::kFailedPrecondition, "algorithm local has no training rounds")};
  }
  double default_adaptation_rate() const override { return kDefaultRate; }
  bool trains() const override { return false; }

 protected:
  InnerLoopOptions adaptation_loop() const override { return {.proximal = proximal_}; }

 private:
  double proximal_;
};

}  // namespace

Result<std::unique_ptr<MetaLearner>> CreateLocal(const google::protobuf::Any& any) {
  FEDMETA_ASSIGN_OR_RETURN(const auto settings, ReadSettings<v1::LocalSettings>(any));
  return std::unique_ptr<MetaLearner>(std::make_unique<Local>(settings));
}

}  // namespace fedmeta

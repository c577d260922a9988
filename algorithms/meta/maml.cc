// MAML (Finn, Abbeel, Levine 2017, "Model-agnostic meta-learning", eq. 1): the exact gradient of
// L_Q(phi_K(theta)). phi_{k+1} = phi_k - alpha grad L_S(phi_k), so d phi_{k+1} / d phi_k = I -
// alpha H_S(phi_k), symmetric: v_K = grad L_Q(phi_K), v_k = v_{k+1} - alpha H_S(phi_k) v_{k+1}, and
// v_0 is sent. The proximal term, clipping and learned step sizes enter in BackThroughInnerLoop.
#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/meta/query_gradient.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {
namespace {

class Maml final : public QueryGradientLearner {
 public:
  explicit Maml(const v1::MamlSettings& settings) : QueryGradientLearner(settings) {}

 protected:
  KeepSteps keep_steps() const override { return KeepSteps::kCurvature; }
};

}  // namespace

Result<std::unique_ptr<MetaLearner>> CreateMaml(const google::protobuf::Any& any) {
  FEDMETA_ASSIGN_OR_RETURN(const auto settings, ReadSettings<v1::MamlSettings>(any));
  return std::unique_ptr<MetaLearner>(std::make_unique<Maml>(settings));
}

}  // namespace fedmeta

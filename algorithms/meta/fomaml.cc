// First-order MAML (Finn 2017, section 5.2): grad L_Q at phi_K, as if phi_K did not depend on
// theta.
#include <ATen/ATen.h>

#include "fedmeta/algorithms/meta/meta_registry.h"
#include "fedmeta/algorithms/meta/query_gradient.h"
#include "fedmeta/algorithms/models/plugin_settings.h"
#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {
namespace {

class Fomaml final : public QueryGradientLearner {
 public:
  explicit Fomaml(const v1::FomamlSettings& settings) : QueryGradientLearner(settings) {}

 protected:
  KeepSteps keep_steps() const override { return KeepSteps::kNone; }
};

}  // namespace

Result<std::unique_ptr<MetaLearner>> CreateFomaml(const google::protobuf::Any& any) {
  FEDMETA_ASSIGN_OR_RETURN(const auto settings, ReadSettings<v1::FomamlSettings>(any));
  return std::unique_ptr<MetaLearner>(std::make_unique<Fomaml>(settings));
}

}  // namespace fedmeta

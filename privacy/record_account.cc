#include "fedmeta/privacy/record_account.h"

#include "fedmeta/v1/algorithms.pb.h"

namespace fedmeta {

Result<std::uint64_t> GradientsPerRecord(const v1::Plugin& algorithm) {
  const google::protobuf::Any& settings = algorithm.settings();
  if (v1::FedavgSettings fedavg; settings.UnpackTo(&fedavg)) {
    return std::uint64_t{fedavg.local_steps() > 0 ? fedavg.local_steps() : fedavg.local_epochs()};
  }
  if (v1::FomamlSettings fomaml; settings.UnpackTo(&fomaml)) {
    return std::uint64_t{fomaml.tasks_per_round()} * (fomaml.adaptation_steps() + 1U);
  }
  if (v1::ReptileSettings reptile; settings.UnpackTo(&reptile)) {
    return std::uint64_t{reptile.tasks_per_round()} * reptile.adaptation_steps();
  }
  return Error(ErrorCode::kInvalidArgument,
               "privacy.differential_privacy.mode local works with fedavg, fomaml and reptile, got "
               "algorithm " +
                   algorithm.name());
}

}  // namespace fedmeta

#pragma once

#include <google/protobuf/any.pb.h>

#include <memory>

#include "fedmeta/algorithms/meta/meta_learner.h"
#include "fedmeta/core/result.h"

namespace consumer {

/// Reptile whose update is scale x sign(theta - phi); everything else is fedmeta's Reptile. `settings`: SignReptileSettings.
fedmeta::Result<std::unique_ptr<fedmeta::MetaLearner>> CreateSignReptile(const google::protobuf::Any& settings);

}  // namespace consumer

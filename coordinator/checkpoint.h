#pragma once

#include <map>
#include <string>

#include "fedmeta/coordinator/leg.h"

namespace fedmeta {

/// Metadata of a checkpoint, whole: what the engine said (ReportCheckpoint::metadata) and what
/// `fedmeta adapt` needs to rebuild the model: "assignment" (v1::Assignment as protobuf JSON) and
/// "layout" (StateLayout::text()).
std::map<std::string, std::string> CheckpointMetadata(
    const Leg& leg, const std::map<std::string, std::string>& engine);

}  // namespace fedmeta

#include "fedmeta/coordinator/checkpoint.h"

#include <google/protobuf/util/json_util.h>

#include "fedmeta/core/check.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

std::map<std::string, std::string> CheckpointMetadata(
    const Leg& leg, const std::map<std::string, std::string>& engine) {
  std::map<std::string, std::string> metadata = engine;
  v1::Assignment assignment;
  FEDMETA_CHECK(assignment.ParseFromString(leg.assignment));
  std::string& json = metadata["assignment"];
  FEDMETA_CHECK(google::protobuf::util::MessageToJsonString(assignment, &json).ok());
  metadata["layout"] = leg.layout.text();
  return metadata;
}

}  // namespace fedmeta

#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// Reads a plug-in's settings: the message that `packed` holds, or nothing if it holds none; keys
/// that are not set take the default that their Key option states. An error for a message of
/// another type, damaged bytes, or a key without default that is not set.
Status ReadSettings(const google::protobuf::Any& packed, google::protobuf::Message& settings);

}  // namespace fedmeta

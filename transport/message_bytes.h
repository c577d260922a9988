#pragma once

#include <utility>

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// The server parses for itself: gRPC answers a message that does not parse with UNIMPLEMENTED and
/// tells nobody. kInvalidArgument.
template <typename Message>
Status ParseMessage(const grpc::ByteBuffer& bytes, Message& message) {
  grpc::ByteBuffer read = bytes;  // shared, and emptied by reading
  if (grpc::SerializationTraits<Message>::Deserialize(&read, &message).ok()) return {};
  return Error(ErrorCode::kInvalidArgument,
               "not a message of type " + Message::descriptor()->full_name());
}

template <typename Message>
grpc::ByteBuffer MessageBytes(const Message& message) {
  grpc::ByteBuffer bytes;
  bool own = false;
  (void)grpc::SerializationTraits<Message>::Serialize(message, &bytes, &own);
  return bytes;
}

}  // namespace fedmeta

#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>

#include "fedmeta/core/result.h"

namespace fedmeta {

/// Fills singular fields that are absent with the defaults of the schema (Key.default_value) and
/// holds all values against its bounds and choices: settings also arrive in a plan over the
/// network, where no loader has read them.
Status CompleteSettings(google::protobuf::Message& settings);

/// The settings message of a plug-in, complete. An absent Any means defaults. An empty repeated
/// field is a value
/// (`hidden: []` is a linear model), so its default applies only where the Any itself is absent.
template <typename Settings>
Result<Settings> ReadSettings(const google::protobuf::Any& any) {
  Settings settings;
  if (!any.type_url().empty() && !any.UnpackTo(&settings)) {
    return Error(ErrorCode::kInvalidArgument, "settings must hold a " + settings.GetTypeName() +
                                                  ", got '" + any.type_url() +
                                                  "' or bytes that do not parse");
  }
  FEDMETA_RETURN_IF_ERROR(CompleteSettings(settings));
  return settings;
}

}  // namespace fedmeta

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "fedmeta/client/data/source.h"
#include "fedmeta/v1/data.pb.h"

namespace fedmeta {

// One factory a line of registry.inc, taking its own settings message.
#define FEDMETA_SOURCE(name, message, factory) \
  Result<OpenedSource> factory(const v1::message& settings);
#define FEDMETA_TASKS(name, message, factory)                                                   \
  Result<std::unique_ptr<TaskGenerator>> factory(const v1::message& settings, DatasetView view, \
                                                 const std::string& client, std::uint64_t seed);
#define FEDMETA_SOURCE_TASKS(name, message)
#include "fedmeta/client/data/registry.inc"
#undef FEDMETA_SOURCE
#undef FEDMETA_TASKS
#undef FEDMETA_SOURCE_TASKS

}  // namespace fedmeta

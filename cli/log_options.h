#pragma once

#include <memory>

#include "fedmeta/core/logger.h"
#include "fedmeta/v1/client.pb.h"

namespace fedmeta {

/// The logger that a file's `log` block asks for.
std::unique_ptr<Logger> MakeLogger(const v1::Log& log, const Clock& clock);

}  // namespace fedmeta

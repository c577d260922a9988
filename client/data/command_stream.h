#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fedmeta/client/data/byte_stream.h"
#include "fedmeta/core/clock.h"

namespace fedmeta {

/// Runs a program of the site's own file and hands out what it writes to standard output. No shell;
/// standard input is empty, standard error goes nowhere, because it may hold data.
///
/// It has a process group of its own, which is killed whole when the time is over, when there is
/// more output than allowed, when its first process has ended, and when the stream is destroyed.
/// Errors: kDeadlineExceeded, kResourceExhausted, or kFailedPrecondition with the exit status or
/// signal.
struct CommandOptions {
  std::vector<std::string> argv;
  std::string working_directory;
  Duration timeout{};
  std::uint64_t output_bytes = 0;
};
Result<std::unique_ptr<ByteStream>> StartCommand(CommandOptions options);

}  // namespace fedmeta

#pragma once

#include <memory>
#include <stop_token>

namespace fedmeta {

/// SIGINT and SIGTERM request a stop; a second one ends the process at once (exit 130). At most one
/// exists at a time.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  struct Thread;
  std::unique_ptr<Thread> thread_;
};

}  // namespace fedmeta

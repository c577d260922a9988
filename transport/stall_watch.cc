#include "fedmeta/transport/stall_watch.h"

namespace fedmeta {

StallWatch::StallWatch(const Clock& clock, Duration interval)
    : clock_(clock),
      interval_(interval),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

StallWatch::~StallWatch() = default;  // the thread member stops first

void StallWatch::Add(std::weak_ptr<Stallable> stream) {
  const std::lock_guard lock(mutex_);
  streams_.push_back(std::move(stream));
}

void StallWatch::Run(const std::stop_token& stop) {
  std::vector<std::shared_ptr<Stallable>> open;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, interval_, [] { return false; });
      open.clear();
      std::erase_if(streams_, [&](const std::weak_ptr<Stallable>& stream) {
        auto alive = stream.lock();
        if (!alive) return true;
        open.push_back(std::move(alive));
        return false;
      });
    }
    for (const auto& stream : open) stream->EndIfStalled(clock_.Now());
    open.clear();
  }
}

}  // namespace fedmeta

#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "fedmeta/configs/source_map.h"

namespace fedmeta {

/// A configuration whose every key is set (defaults filled in), within its bounds and consistent
/// across fields. Only the loader constructs it. Copyable, immutable.
template <typename Message>
class Validated {
 public:
  const Message& operator*() const { return *message_; }
  const Message* operator->() const { return message_.get(); }
  const SourceMap& places() const { return *places_; }
  /// The file it came from.
  const std::filesystem::path& file() const { return file_; }

 private:
  friend class Loader;
  Validated(Message message, SourceMap places, std::filesystem::path file)
      : message_(std::make_shared<const Message>(std::move(message))),
        places_(std::make_shared<const SourceMap>(std::move(places))),
        file_(std::move(file)) {}
  std::shared_ptr<const Message> message_;
  std::shared_ptr<const SourceMap> places_;
  std::filesystem::path file_;
};

}  // namespace fedmeta

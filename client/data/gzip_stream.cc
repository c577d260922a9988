#include "fedmeta/client/data/gzip_stream.h"

#include <algorithm>

#include <zlib.h>

namespace fedmeta {

GzipStream::GzipStream(const std::filesystem::path& path) : file_(gzopen(path.c_str(), "rb")) {}

GzipStream::~GzipStream() {
  if (file_ != nullptr) gzclose_r(file_);
}

bool GzipStream::is_plain() { return gzdirect(file_) == 1; }

std::size_t GzipStream::Read(std::span<std::uint8_t> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const auto piece =
        static_cast<unsigned>(std::min<std::size_t>(into.size() - done, std::size_t{1} << 20));
    const int got = gzread(file_, into.data() + done, piece);
    if (got < 0) damaged_ = true;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  int code = Z_OK;
  gzerror(file_, &code);
  if (code != Z_OK && code != Z_STREAM_END) damaged_ = true;
  return done;
}

}  // namespace fedmeta

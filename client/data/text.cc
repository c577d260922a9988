// Source text: windows of characters and the character that follows each (Caldas 2018's
// Shakespeare).
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "fedmeta/client/data/factories.h"
#include "fedmeta/client/data/gzip_stream.h"

namespace fedmeta {
namespace {

namespace fs = std::filesystem;

// 0: line break; 1 to 95: the printable characters of ASCII in their order; 96: any other.
constexpr std::int64_t kAlphabet = 97;
constexpr std::size_t kLongestName = 60;

std::uint8_t CodeOf(char character) {
  if (character == '\n') return 0;
  if (character < ' ' || character > '~') return kAlphabet - 1;
  return static_cast<std::uint8_t>(character - ' ' + 1);
}

struct Windows {
  std::size_t length, stride, block;
};

class TextDataset final : public Dataset {
 public:
  /// `texts`: by owner, in the order of their names.
  TextDataset(const std::map<std::string, std::string>& texts, const Windows& windows)
      : shape_{static_cast<std::int64_t>(windows.length)} {
    DigestBuilder digest;
    for (const auto& [name, text] : texts) {
      const auto owner = static_cast<std::uint32_t>(owners_.names.size());
      owners_.names.push_back(name);
      AddWindows(text.size(), owner, windows);
      for (const char character : text) codes_.push_back(CodeOf(character));
      const std::string content = name + "\t" + text + "\n";
      digest.Add(AsBytes(content));
    }
    const std::string cuts = std::to_string(windows.length) + " " + std::to_string(windows.stride) +
                             " " + std::to_string(windows.block);
    digest.Add(AsBytes(cuts));
    fingerprint_ = digest.Finish();
  }

  std::size_t size() const override { return starts_.size(); }
  const std::vector<std::int64_t>& example_shape() const override { return shape_; }
  void Read(std::size_t row, std::span<float> example) const override {
    std::copy_n(codes_.begin() + starts_[row], example.size(), example.begin());
  }
  std::int64_t label(std::size_t row) const override {
    return codes_[starts_[row] + static_cast<std::size_t>(shape_.front())];
  }
  std::int64_t classes() const override { return kAlphabet; }
  const Digest& fingerprint() const override { return fingerprint_; }
  std::span<const std::uint32_t> groups() const override { return blocks_; }
  const Owners* owners() const override { return &owners_; }

 private:
  /// Those of the next text, which will follow what is there.
  void AddWindows(std::size_t characters, std::uint32_t owner, const Windows& windows) {
    for (std::size_t block = 0; block < characters; block += windows.block, ++block_) {
      const std::size_t end = std::min(characters, block + windows.block);
      for (std::size_t at = block; at + windows.length < end; at += windows.stride) {
        starts_.push_back(static_cast<std::uint32_t>(codes_.size() + at));
        owners_.of_row.push_back(owner);
        blocks_.push_back(block_);
      }
    }
  }

  std::vector<std::int64_t> shape_;
  std::vector<std::uint8_t> codes_;
  std::vector<std::uint32_t> starts_, blocks_;
  std::uint32_t block_ = 0;
  Owners owners_;
  Digest fingerprint_;
};

Result<std::string> ReadAll(const fs::path& path) {
  std::error_code failure;
  if (!fs::is_regular_file(path, failure)) {
    return Error(ErrorCode::kNotFound, "source.path: no such file");
  }
  GzipStream stream(path);
  if (!stream.is_open()) return Error(ErrorCode::kNotFound, "source.path: cannot be opened");
  std::string text;
  std::vector<std::uint8_t> piece(std::size_t{1} << 20);
  while (const std::size_t got = stream.Read(piece)) {
    text.append(reinterpret_cast<const char*>(piece.data()), got);
    if (text.size() > std::numeric_limits<std::uint32_t>::max()) {
      return Error(ErrorCode::kInvalidArgument,
                   "source.path: more than 4 GiB of text; divide it among clients");
    }
  }
  if (stream.damaged()) {
    return Error(ErrorCode::kInvalidArgument, "source.path: damaged or truncated compression");
  }
  return text;
}

// A client's name becomes a folder and a certificate's subject.
std::string ClientName(std::string_view owner) {
  std::string name;
  for (const char c : owner.substr(0, kLongestName)) {
    const auto byte = static_cast<unsigned char>(c);
    name.push_back(std::isalnum(byte) != 0 ? static_cast<char>(std::tolower(byte)) : '-');
  }
  return name.empty() ? "text" : name;
}

// Each owner's lines in the order of the file.
std::map<std::string, std::string> TextsByOwner(std::string_view file) {
  std::map<std::string, std::string, std::less<>> by_owner;
  for (std::size_t at = 0; at < file.size();) {
    const std::size_t end = std::min(file.find('\n', at), file.size());
    std::string_view line = file.substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t tab = line.rfind('\t');
    const std::string_view owner = tab == line.npos ? std::string_view() : line.substr(0, tab);
    if (tab != line.npos) line.remove_prefix(tab + 1);
    const auto found = by_owner.find(owner);
    std::string& text =
        found != by_owner.end() ? found->second : by_owner.emplace(owner, "").first->second;
    text.append(line).push_back('\n');
  }
  std::map<std::string, std::string> texts;
  for (auto& [owner, text] : by_owner) {
    std::string name = ClientName(owner);
    for (int number = 2; texts.contains(name); ++number) {
      name = ClientName(owner) + "-" + std::to_string(number);
    }
    texts.emplace(std::move(name), std::move(text));
  }
  return texts;
}

}  // namespace

Result<OpenedSource> OpenText(const v1::TextSettings& settings) {
  const Windows windows{.length = settings.has_window() ? settings.window() : 80,
                        .stride = settings.has_stride() ? settings.stride() : 1,
                        .block = settings.has_block() ? settings.block() : 2000};
  if (windows.block <= windows.length) {
    return Error(ErrorCode::kInvalidArgument, "source.block must be above source.window " +
                                                  std::to_string(windows.length) + ", got " +
                                                  std::to_string(windows.block));
  }
  FEDMETA_ASSIGN_OR_RETURN(const std::string file, ReadAll(settings.path()));
  OpenedSource opened;
  opened.dataset = std::make_shared<const TextDataset>(TextsByOwner(file), windows);
  if (opened.dataset->size() == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 "source.path: nobody's text is longer than source.window, " +
                     std::to_string(windows.length) + " characters");
  }
  opened.input_shape = opened.dataset->example_shape();
  opened.fingerprint = opened.dataset->fingerprint();
  return opened;
}

}  // namespace fedmeta

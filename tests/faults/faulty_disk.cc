// A disk that fails, for LD_PRELOAD: counts the calls that write under a folder and, at one of
// them, does what the environment says.
//   FAULT_FOLDER  absolute; nothing outside it is touched or counted
//   FAULT_KIND    enospc, eio: this call and the FAULT_SPAN - 1 after it fail
//                 kill: SIGKILL before the call;  torn: half of a write, then SIGKILL
//                 power: everything that was not synced is forgotten, then SIGKILL
//                 power-some: names survive, and of what was not synced every other write
//   FAULT_AT      the number of the call, from 1; 0: none
//   FAULT_COUNT   a file outside the folder that gets the number of calls at the end
// Syncs are recorded, not done: the machine itself does not lose power. For one thread.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

namespace {

namespace fs = std::filesystem;

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

struct Change {
  off_t offset;
  std::string data;
  bool truncates;  ///< to `offset`
};

/// What the disk would have of a file or folder after a loss of power.
struct Node {
  bool folder = false;
  std::string durable;
  std::vector<Change> unsynced;
};

std::string ReadWhole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Disk {
 public:
  Disk() {
    const auto variable = [](const char* name) {
      const char* const value = std::getenv(name);
      return std::string(value == nullptr ? "" : value);
    };
    folder_ = variable("FAULT_FOLDER");
    kind_ = variable("FAULT_KIND");
    at_ = std::strtol(variable("FAULT_AT").c_str(), nullptr, 10);
    span_ = std::max(1L, std::strtol(variable("FAULT_SPAN").c_str(), nullptr, 10));
    count_file_ = variable("FAULT_COUNT");
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      Node* const node = Add(entry.path().string(), entry.is_directory());
      if (!node->folder) node->durable = ReadWhole(entry.path());
    }
    durable_names_ = names_;
    on_ = true;
  }
  ~Disk() {
    on_ = false;
    if (!count_file_.empty()) std::ofstream(count_file_) << calls_ << "\n";
  }

  bool Covers(const std::string& path) const { return on_ && path.starts_with(folder_ + "/"); }
  bool CoversOpen(int fd) const { return on_ && open_.contains(fd); }

  /// Counts a call. An error number: it fails with it.
  int Fault(const char* data = nullptr, std::size_t size = 0, int fd = -1, off_t offset = 0) {
    ++calls_;
    if (at_ == 0 || calls_ < at_ || calls_ >= at_ + span_) return 0;
    if (kind_ == "enospc") return ENOSPC;
    if (kind_ == "eio") return EIO;
    on_ = false;
    if (kind_ == "torn" && data != nullptr) (void)!::pwrite(fd, data, size / 2, offset);
    if (kind_.starts_with("power")) LosePower();
    std::raise(SIGKILL);
    return EIO;
  }

  void Opened(int fd, const std::string& path, int flags) {
    if (!names_.contains(path)) Add(path, fs::is_directory(path));
    open_[fd] = names_[path];
    if ((flags & O_TRUNC) != 0) Truncated(fd, 0);
  }
  void Closed(int fd) { open_.erase(fd); }
  bool Exists(const std::string& path) const { return names_.contains(path); }
  void Made(const std::string& path) { Add(path, true); }
  void Removed(const std::string& path) { names_.erase(path); }
  void Renamed(const std::string& from, const std::string& to) {
    names_[to] = names_[from];
    names_.erase(from);
  }
  void Linked(const std::string& from, const std::string& to) { names_[to] = names_[from]; }
  void Written(int fd, off_t offset, std::string_view data) {
    nodes_[open_[fd]].unsynced.push_back({offset, std::string(data), false});
  }
  void Truncated(int fd, off_t size) { nodes_[open_[fd]].unsynced.push_back({size, "", true}); }
  void Synced(int fd) {
    const std::size_t id = open_[fd];
    Node& node = nodes_[id];
    if (!node.folder) {
      for (const Change& change : node.unsynced) Apply(change, node.durable);
      node.unsynced.clear();
      return;
    }
    std::string path = folder_;
    for (const auto& [name, named] : names_) {
      if (named == id) path = name;
    }
    const auto lies_in = [&](const auto& entry) {
      return fs::path(entry.first).parent_path() == path;
    };
    std::erase_if(durable_names_, lies_in);
    std::copy_if(names_.begin(), names_.end(), std::inserter(durable_names_, durable_names_.end()),
                 lies_in);
  }

 private:
  Node* Add(const std::string& path, bool folder) {
    names_[path] = nodes_.size();
    nodes_.push_back({.folder = folder, .durable = {}, .unsynced = {}});
    return &nodes_.back();
  }

  static void Apply(const Change& change, std::string& content) {
    const auto offset = static_cast<std::size_t>(change.offset);
    if (change.truncates) return content.resize(offset);
    content.resize(std::max(content.size(), offset + change.data.size()));
    content.replace(offset, change.data.size(), change.data);
  }

  void LosePower() {
    const bool some = kind_ == "power-some";
    const auto& left = some ? names_ : durable_names_;
    for (const auto& entry : fs::directory_iterator(folder_)) fs::remove_all(entry.path());
    for (const auto& [path, id] : left) {  // a folder comes before what lies in it
      Node& node = nodes_[id];
      if (!fs::is_directory(fs::path(path).parent_path())) continue;
      if (node.folder) {
        fs::create_directory(path);
        continue;
      }
      if (some) {
        for (std::size_t i = static_cast<std::size_t>(calls_) % 2; i < node.unsynced.size(); i += 2)
          Apply(node.unsynced[i], node.durable);
      }
      std::ofstream(path, std::ios::binary) << node.durable;
    }
  }

  std::string folder_, kind_, count_file_;
  long at_ = 0, span_ = 1, calls_ = 0;
  bool on_ = false;
  std::vector<Node> nodes_;
  std::map<std::string, std::size_t> names_, durable_names_;
  std::map<int, std::size_t> open_;
};

Disk& TheDisk() {
  static Disk disk;
  return disk;
}
// Before main: the folder as it is then is what the disk has.
[[gnu::constructor]] void Start() { TheDisk(); }

int Failed(int code) {
  errno = code;
  return -1;
}

int Open(const char* real_name, const char* path, int flags, mode_t mode) {
  auto* const real = Real<int(const char*, int, ...)>(real_name);
  Disk& disk = TheDisk();
  const std::string name = path;
  const bool covered = disk.Covers(name) || name == std::getenv("FAULT_FOLDER");
  if (covered && (flags & O_CREAT) != 0 && !disk.Exists(name)) {
    if (const int code = disk.Fault()) return Failed(code);
  }
  const int fd = real(path, flags, mode);
  if (fd >= 0 && covered) disk.Opened(fd, name, flags);
  return fd;
}

ssize_t WriteAt(int fd, const void* data, std::size_t size, off_t offset, bool positioned) {
  Disk& disk = TheDisk();
  const auto* const bytes = static_cast<const char*>(data);
  if (disk.CoversOpen(fd)) {
    if (!positioned) offset = ::lseek(fd, 0, SEEK_CUR);
    if (const int code = disk.Fault(bytes, size, fd, offset)) return Failed(code);
  }
  const ssize_t written =
      positioned
          ? Real<ssize_t(int, const void*, std::size_t, off_t)>("pwrite")(fd, data, size, offset)
          : Real<ssize_t(int, const void*, std::size_t)>("write")(fd, data, size);
  if (written > 0 && disk.CoversOpen(fd)) {
    disk.Written(fd, offset, {bytes, static_cast<std::size_t>(written)});
  }
  return written;
}

int Truncate(int fd, off_t size) {
  Disk& disk = TheDisk();
  if (disk.CoversOpen(fd)) {
    if (const int code = disk.Fault()) return Failed(code);
  }
  const int result = Real<int(int, off_t)>("ftruncate")(fd, size);
  if (result == 0 && disk.CoversOpen(fd)) disk.Truncated(fd, size);
  return result;
}

int Sync(const char* real_name, int fd) {
  Disk& disk = TheDisk();
  if (!disk.CoversOpen(fd)) return Real<int(int)>(real_name)(fd);
  if (const int code = disk.Fault()) return Failed(code);
  disk.Synced(fd);
  return 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return Open("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return Open("open64", path, flags, mode);
}
int close(int fd) {
  TheDisk().Closed(fd);
  return Real<int(int)>("close")(fd);
}
ssize_t write(int fd, const void* data, std::size_t size) {
  return WriteAt(fd, data, size, 0, false);
}
ssize_t pwrite(int fd, const void* data, std::size_t size, off_t offset) {
  return WriteAt(fd, data, size, offset, true);
}
ssize_t pwrite64(int fd, const void* data, std::size_t size, off_t offset) {
  return WriteAt(fd, data, size, offset, true);
}
int ftruncate(int fd, off_t size) noexcept { return Truncate(fd, size); }
int ftruncate64(int fd, off_t size) noexcept { return Truncate(fd, size); }
int fsync(int fd) { return Sync("fsync", fd); }
int fdatasync(int fd) { return Sync("fdatasync", fd); }

int unlink(const char* path) noexcept {
  Disk& disk = TheDisk();
  const bool covered = disk.Covers(path) && disk.Exists(path);
  if (covered) {
    if (const int code = disk.Fault()) return Failed(code);
  }
  const int result = Real<int(const char*)>("unlink")(path);
  if (result == 0 && covered) disk.Removed(path);
  return result;
}
int mkdir(const char* path, mode_t mode) noexcept {
  Disk& disk = TheDisk();
  const bool covered = disk.Covers(path) && !disk.Exists(path);
  if (covered) {
    if (const int code = disk.Fault()) return Failed(code);
  }
  const int result = Real<int(const char*, mode_t)>("mkdir")(path, mode);
  if (result == 0 && covered) disk.Made(path);
  return result;
}
int rename(const char* from, const char* to) noexcept {
  Disk& disk = TheDisk();
  const bool covered = disk.Covers(from);
  if (covered) {
    if (const int code = disk.Fault()) return Failed(code);
  }
  const int result = Real<int(const char*, const char*)>("rename")(from, to);
  if (result == 0 && covered) disk.Renamed(from, to);
  return result;
}
int link(const char* from, const char* to) noexcept {
  Disk& disk = TheDisk();
  const bool covered = disk.Covers(to);
  if (covered) {
    if (const int code = disk.Fault()) return Failed(code);
  }
  const int result = Real<int(const char*, const char*)>("link")(from, to);
  if (result == 0 && covered) disk.Linked(from, to);
  return result;
}

}  // extern "C"

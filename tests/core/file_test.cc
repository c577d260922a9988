#include "fedmeta/core/file.h"

#include <csignal>
#include <cstdlib>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A folder that goes with the test.
class FileTest : public ::testing::Test {
 protected:
  std::string Read(const fs::path& path) { return ReadFile(path).value(); }
  std::size_t Entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  const TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

/// The system refuses to grow any file of this process beyond `bytes`, as a full disk would.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST_F(FileTest, ReadsBackWhatWasWritten) {
  const std::string content("a\0b\n", 4);
  ASSERT_TRUE(WriteFileAtomically(folder_ / "f", content).ok());
  EXPECT_EQ(Read(folder_ / "f"), content);
  EXPECT_EQ(Entries(), 1U);
}

TEST_F(FileTest, ReplacesTheOldContent) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "f", "a longer old content").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ / "f", "new").ok());
  EXPECT_EQ(Read(folder_ / "f"), "new");
}

TEST_F(FileTest, KeepsTheOldContentAndNoPartWhenTheWriteFails) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "f", "old").ok());
  Status status;
  {
    const FileSizeLimit limit(10);
    status = WriteFileAtomically(folder_ / "f", std::string(100, 'x'));
  }
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message(), HasSubstr((folder_ / "f").string()));
  EXPECT_EQ(Read(folder_ / "f"), "old");
  EXPECT_EQ(Entries(), 1U);
}

TEST_F(FileTest, LeavesNothingWhereTheFolderIsMissing) {
  const Status status = WriteFileAtomically(folder_ / "missing" / "f", "x");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(status.error().message(), HasSubstr("missing"));
  EXPECT_EQ(Entries(), 0U);
}

TEST_F(FileTest, LeavesNoPartWhenTheTargetCannotBeReplaced) {
  fs::create_directories(folder_ / "f" / "child");  // a folder in the way: rename(2) fails
  ASSERT_FALSE(WriteFileAtomically(folder_ / "f", "x").ok());
  EXPECT_EQ(Entries(), 1U);
}

TEST_F(FileTest, ANewFileHasTheGivenPermission) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "key", "secret", 0600).ok());
  struct stat info {};
  ASSERT_EQ(::stat((folder_ / "key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(FileTest, DoesNotWriteThroughALinkLeftUnderTheTemporaryName) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "victim", "untouched").ok());
  fs::create_symlink(folder_ / "victim", folder_ / ("f.tmp" + std::to_string(::gettid())));
  ASSERT_TRUE(WriteFileAtomically(folder_ / "f", "new").ok());
  EXPECT_EQ(Read(folder_ / "victim"), "untouched");
  EXPECT_EQ(Read(folder_ / "f"), "new");
}

TEST_F(FileTest, ReadingAMissingFileNamesIt) {
  const auto read = ReadFile(folder_ / "absent");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(read.error().message(), HasSubstr((folder_ / "absent").string()));
}

TEST_F(FileTest, ReadingAFolderIsAnError) { EXPECT_FALSE(ReadFile(folder_).ok()); }

TEST_F(FileTest, AppendsLines) {
  ASSERT_TRUE(AppendFile(folder_ / "log", "one\n").ok());
  ASSERT_TRUE(AppendFile(folder_ / "log", "two\n").ok());
  EXPECT_EQ(Read(folder_ / "log"), "one\ntwo\n");
}

TEST_F(FileTest, ARecordEndsWithAWholeLineWhenTheDiskIsFull) {
  ASSERT_TRUE(AppendFile(folder_ / "log", "one\n").ok());
  Status status;
  {
    const FileSizeLimit limit(10);
    status = AppendFile(folder_ / "log", std::string(100, 'x') + "\n");
  }
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Read(folder_ / "log"), "one\n");
}

TEST_F(FileTest, MakesAFolderWithItsParents) {
  ASSERT_TRUE(MakeWritableFolder(folder_ / "a" / "b", 0700).ok());
  struct stat info {};
  ASSERT_EQ(::stat((folder_ / "a" / "b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  EXPECT_TRUE(MakeWritableFolder(folder_ / "a" / "b").ok());
}

TEST_F(FileTest, RefusesAFolderBelowAFile) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "f", "x").ok());
  const Status status = MakeWritableFolder(folder_ / "f" / "sub");
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message(), HasSubstr((folder_ / "f" / "sub").string()));
}

TEST_F(FileTest, RefusesAFolderThatIsAFile) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "f", "x").ok());
  EXPECT_FALSE(MakeWritableFolder(folder_ / "f").ok());
}

TEST_F(FileTest, RefusesAFolderThatIsNotWritable) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  ASSERT_TRUE(MakeWritableFolder(folder_ / "closed", 0500).ok() == false);
  EXPECT_FALSE(WriteFileAtomically(folder_ / "closed" / "f", "x").ok());
}

}  // namespace
}  // namespace fedmeta

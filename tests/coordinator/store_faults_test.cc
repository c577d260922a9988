// Every write of a run's first rounds fails once, in every way; what was acknowledged must be
// there.
#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "fedmeta/core/file.h"
#include "fedmeta/tests/faults/store_run.h"

namespace fedmeta {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr int kRounds = 2;

struct Written {
  int status;  ///< of waitpid
  std::vector<std::string> lines;
  bool failed = false;

  int LastCommitted() const {
    int last = 0;
    for (const std::string& line : lines) {
      if (line.starts_with("committed ")) last = std::stoi(line.substr(10));
    }
    return last;
  }
};

// In memory where the system has such a folder: no test waits for a disk.
class StoreFaults : public ::testing::Test {
 protected:
  StoreFaults() {
    const fs::path shared = "/dev/shm";
    const fs::path top = ::access(shared.c_str(), W_OK) == 0 ? shared : fs::temp_directory_path();
    std::string name = (top / "fedmeta-faults-XXXXXX").string();
    top_ = ::mkdtemp(name.data());
    StartAnew();
  }
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the faulty disk and the sanitizer both want the system calls";
#endif
  }
  ~StoreFaults() override { fs::remove_all(top_); }

  fs::path folder() const { return top_ / "disk"; }
  fs::path store() const { return folder() / "store.db"; }

  void StartAnew() {
    fs::remove_all(folder());
    fs::create_directory(folder());
  }

  Written Write(const std::string& durability, const std::string& kind, long at, long span = 1,
                int tries = 1, int rounds = kRounds) {
    const fs::path output = top_ / "output";
    const pid_t child = ::fork();
    if (child == 0) {
      ::setenv("LD_PRELOAD", FEDMETA_BIN_DIR "/libfaulty-disk.so", 1);
      ::setenv("FAULT_FOLDER", folder().c_str(), 1);
      ::setenv("FAULT_KIND", kind.c_str(), 1);
      ::setenv("FAULT_AT", std::to_string(at).c_str(), 1);
      ::setenv("FAULT_SPAN", std::to_string(span).c_str(), 1);
      ::setenv("FAULT_COUNT", (top_ / "count").c_str(), 1);
      ::dup2(::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
      ::execl(FEDMETA_BIN_DIR "/store-writer", "store-writer", store().c_str(), durability.c_str(),
              std::to_string(rounds).c_str(), std::to_string(tries).c_str(), nullptr);
      ::_exit(127);
    }
    Written written{};
    ::waitpid(child, &written.status, 0);
    std::istringstream lines(ReadFile(output).value());
    for (std::string line; std::getline(lines, line);) written.lines.push_back(line);
    return written;
  }

  long Calls(const std::string& durability) {
    StartAnew();
    EXPECT_EQ(Write(durability, "", 0).status, 0);
    std::ifstream file(top_ / "count");
    long calls = 0;
    file >> calls;
    EXPECT_GT(calls, 50);
    return calls;
  }

  std::string HeadOfWholeRun() {
    const std::unique_ptr<RoundStore> store = MakeMemoryStore();
    EXPECT_TRUE(GoOn(*store, {.rounds = kRounds}).ok());
    return HeadText(*store);
  }

  // Every blob has as many names as columns that name it, and a file where it has no row.
  void CheckBlobs() {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open_v2(store().c_str(), &database, SQLITE_OPEN_READONLY, nullptr), 0);
    sqlite3_stmt* statement = nullptr;
    ASSERT_EQ(sqlite3_prepare_v2(database,
                                 "SELECT count(*) FROM blob WHERE names = 0 OR names <>"
                                 " (SELECT count(*) FROM leg WHERE state = blob.id)"
                                 " + (SELECT count(*) FROM leg WHERE optimizer_state = blob.id)"
                                 " + (SELECT count(*) FROM client_state WHERE blob = blob.id)"
                                 " + (SELECT count(*) FROM kept WHERE blob = blob.id)"
                                 " + (SELECT count(*) FROM charge WHERE masked_sum = blob.id)"
                                 " + (SELECT count(*) FROM charge WHERE receipts = blob.id)",
                                 -1, &statement, nullptr),
              SQLITE_OK);
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
    EXPECT_EQ(sqlite3_column_int(statement, 0), 0) << "blobs whose names are miscounted";
    sqlite3_finalize(statement);
    ASSERT_EQ(
        sqlite3_prepare_v2(database, "SELECT lower(hex(sha256)) FROM blob WHERE content IS NULL",
                           -1, &statement, nullptr),
        SQLITE_OK);
    std::set<fs::path> files;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      files.insert(reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
    }
    sqlite3_finalize(statement);
    sqlite3_close(database);
    std::set<fs::path> there;
    for (const auto& entry : fs::directory_iterator(store().string() + ".blobs")) {
      there.insert(entry.path().filename());
    }
    EXPECT_EQ(files, there);
  }

  // After the writer's end: opens the store without the faulty disk, checks it, goes on to the end.
  void CheckAndGoOn(const Written& written) {
    auto opened = OpenSqliteStore(store(), Durability::kProcess);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    ASSERT_EQ(Faults(**opened), "");
    CheckBlobs();
    const int committed = std::stoi("0" + HeadText(**opened).substr(0, 1));
    const int acknowledged = written.LastCommitted();
    EXPECT_TRUE(committed == acknowledged || committed == acknowledged + 1)
        << "head " << committed << ", acknowledged " << acknowledged;
    std::set<std::string> charged;
    const auto charges = (*opened)->PrivacyCharges(ExperimentId("demo"));
    for (const PrivacyCharge& charge : *charges) {
      charged.insert("charged " + charge.session.ToString());
    }
    std::set<std::string> begun;
    for (const std::string& line : written.lines) {
      if (line.starts_with("begun ")) begun.insert(line);
      EXPECT_TRUE(!line.starts_with("charged ") || charged.contains(line)) << line;
    }
    const auto acknowledged_now = [&](const std::string& what) {
      EXPECT_TRUE(!what.starts_with("begun ") || begun.insert(what).second) << what << " again";
    };
    const Status status = GoOn(**opened, {.rounds = kRounds, .acknowledged = acknowledged_now});
    EXPECT_TRUE(status.ok()) << status.error().message();
    EXPECT_EQ(HeadText(**opened), head_of_whole_run_);
    EXPECT_EQ(Faults(**opened), "");
  }

  void EndsAtEveryCall(const std::string& durability, const std::string& kind) {
    const long calls = Calls(durability);
    for (long at = 1; at <= calls && !HasFailure(); ++at) {
      SCOPED_TRACE(kind + " at call " + std::to_string(at) + " of " + std::to_string(calls));
      StartAnew();
      const Written written = Write(durability, kind, at);
      EXPECT_TRUE(WIFSIGNALED(written.status) && WTERMSIG(written.status) == SIGKILL);
      CheckAndGoOn(written);
    }
  }

  // The same process goes on, as it does after somebody made room.
  void GoesOnAfterErrors(const std::string& kind, long span) {
    const long calls = Calls("power");
    for (long at = 1; at <= calls && !HasFailure(); ++at) {
      SCOPED_TRACE(kind + " from call " + std::to_string(at) + " of " + std::to_string(calls));
      StartAnew();
      const Written written = Write("power", kind, at, span, 20);
      EXPECT_EQ(written.status, 0) << (written.lines.empty() ? "" : written.lines.back());
      EXPECT_EQ(written.LastCommitted(), kRounds);
      CheckAndGoOn(written);
    }
  }

  fs::path top_;
  const std::string head_of_whole_run_ = HeadOfWholeRun();
};

TEST_F(StoreFaults, AKilledProcessLosesNothing) { EndsAtEveryCall("process", "kill"); }
TEST_F(StoreFaults, AHalfWrittenPageLosesNothing) { EndsAtEveryCall("process", "torn"); }
TEST_F(StoreFaults, PowerLossLosesNothingThatWasAcknowledged) { EndsAtEveryCall("power", "power"); }
TEST_F(StoreFaults, PowerLossThatKeepsSomeWritesLosesNothingThatWasAcknowledged) {
  EndsAtEveryCall("power", "power-some");
}
TEST_F(StoreFaults, AFullDiskStopsNothingForEver) { GoesOnAfterErrors("enospc", 1); }
TEST_F(StoreFaults, ADiskThatStaysFullForAWhileStopsNothingForEver) {
  GoesOnAfterErrors("enospc", 5);
}
TEST_F(StoreFaults, AFaultyDiskStopsNothingForEver) { GoesOnAfterErrors("eio", 1); }

// Without this the tests above would show nothing: what is not synced is lost.
TEST_F(StoreFaults, ThePowerLossIsReal) {
  bool lost = false;
  for (long at = Calls("process"); at > 0 && !lost; --at) {
    StartAnew();
    const Written written = Write("process", "power", at);
    const auto opened = OpenSqliteStore(store(), Durability::kProcess);
    lost = written.LastCommitted() == kRounds && opened.ok() && HeadText(**opened) == "none";
  }
  EXPECT_TRUE(lost);
}

class LogTail : public StoreFaults {
 protected:
  // A store whose process was killed just after its last commit, with all rounds in the log.
  void SetUp() override {
    StoreFaults::SetUp();
    if (IsSkipped()) return;
    const long calls = Calls("process");
    for (long at = calls / 2; at <= calls; ++at) {
      StartAnew();
      if (Write("process", "kill", at).LastCommitted() == kRounds) break;
    }
    ASSERT_TRUE(fs::exists(log_));
    fs::copy(folder(), top_ / "killed", fs::copy_options::recursive);
    content_ = ReadFile(log_).value();
  }
  std::unique_ptr<RoundStore> OpenWithLog(const std::string& content) {
    fs::remove_all(folder());
    fs::copy(top_ / "killed", folder(), fs::copy_options::recursive);
    std::ofstream(log_, std::ios::binary) << content;
    auto opened = OpenSqliteStore(store(), Durability::kProcess);
    EXPECT_TRUE(opened.ok()) << opened.error().message();
    return opened.ok() ? std::move(*opened) : nullptr;
  }

  const fs::path log_ = store().string() + "-wal";
  std::string content_;
};

TEST_F(LogTail, WhatFollowsTheLastCommitIsIgnored) {
  constexpr std::size_t kFrame = 4096 + 24;
  const std::string frames = content_.substr(32, 3 * kFrame);  // valid once, at another place
  for (const std::size_t length :
       {1UL, 23UL, 24UL, 100UL, kFrame - 1, kFrame, kFrame + 30, 3 * kFrame}) {
    for (const std::string& tail :
         {frames.substr(0, length), std::string(length, '\0'), std::string(length, '\xff')}) {
      const auto opened = OpenWithLog(content_ + tail);
      ASSERT_TRUE(opened);
      EXPECT_EQ(HeadText(*opened), head_of_whole_run_);
      EXPECT_EQ(Faults(*opened), "");
    }
  }
}

// Of a log that lost what was promised no round is half there: an earlier head, or damage told.
TEST_F(LogTail, ACutOrGarbledLogLeavesWholeRounds) {
  for (std::size_t length = 0; length < content_.size(); length += 3001) {
    SCOPED_TRACE(length);
    std::string garbled = content_;
    garbled[length] = static_cast<char>(garbled[length] ^ 0x10);
    for (const std::string& log : {content_.substr(0, length), garbled}) {
      const auto opened = OpenWithLog(log);
      ASSERT_TRUE(opened);
      EXPECT_THAT(Faults(*opened), AnyOf("", HasSubstr("is damaged")));
    }
  }
}

}  // namespace
}  // namespace fedmeta

// What the SQLite store promises beyond round_store_test.cc: files, processes, versions, damage.
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/sqlite_database.h"
#include "fedmeta/coordinator/store_schema.h"
#include "fedmeta/core/file.h"
#include "fedmeta/tests/faults/store_run.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SqliteStoreTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<RoundStore>> Open(Durability durability = Durability::kProcess) const {
    return OpenSqliteStore(path_, durability);
  }
  std::string GoOnTo(std::uint64_t rounds) const {
    const auto store = Open();
    if (!store.ok()) return store.error().message();
    const Status status = GoOn(**store, {.rounds = rounds});
    return status.ok() ? HeadText(**store) : status.error().message();
  }
  std::vector<fs::path> BlobFiles() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(blobs_)) files.push_back(entry.path());
    return files;
  }
  Error ErrorOfOpening() const {
    const auto store = Open();
    return store.ok() ? Error(ErrorCode::kCancelled, "it opened") : store.error();
  }

  TemporaryFolder folder_;
  const fs::path path_ = folder_.path() / "store.db";
  const fs::path blobs_ = folder_.path() / "store.db.blobs";
};

TEST_F(SqliteStoreTest, GoesOnAfterItWasClosed) {
  const std::unique_ptr<RoundStore> memory = MakeMemoryStore();
  ASSERT_TRUE(GoOn(*memory, {.rounds = 4}).ok());
  GoOnTo(1);
  GoOnTo(3);
  EXPECT_EQ(GoOnTo(4), HeadText(*memory));
  const auto store = Open(Durability::kPower);
  EXPECT_EQ((*store)->Presence(ExperimentId("demo")).value(), "in 4");
  EXPECT_EQ((*store)->Acquire(ExperimentId("demo")).value().epoch, 4U);
  EXPECT_EQ(Faults(**store), "");
}

TEST_F(SqliteStoreTest, ASecondProcessIsRefusedByTheNumberOfTheFirst) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = Open();
    (void)!::write(pipe[1], held.ok() ? "y" : "n", 1);
    ::pause();
  }
  char opened = 0;
  ASSERT_EQ(::read(pipe[0], &opened, 1), 1);
  ASSERT_EQ(opened, 'y');
  const Error error = ErrorOfOpening();
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.message(),
              HasSubstr(path_.string() + " is open in process " + std::to_string(child) + ":"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(Open().ok()) << "the lock ends with the process";
}

TEST_F(SqliteStoreTest, TheSameProcessIsRefusedToo) {
  const auto first = Open();
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(ErrorOfOpening().code(), ErrorCode::kUnavailable);
}

TEST_F(SqliteStoreTest, NobodyElseMayReadIt) {
  GoOnTo(1);
  constexpr auto kOthers = fs::perms::group_all | fs::perms::others_all;
  for (const fs::path& path : {path_, blobs_, BlobFiles().front()}) {
    EXPECT_EQ(fs::status(path).permissions() & kOthers, fs::perms::none) << path;
  }
}

TEST_F(SqliteStoreTest, RemovesWhatNothingNamesWhenItOpens) {
  GoOnTo(1);
  const std::size_t before = BlobFiles().size();
  ASSERT_EQ(before, 1U);
  const std::string name = Digest::Of("orphan").hex();
  std::ofstream(blobs_ / name) << "orphan";
  std::ofstream(blobs_ / "notes.txt") << "not ours";
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(BlobFiles(), SizeIs(before + 1));
  EXPECT_TRUE(fs::exists(blobs_ / "notes.txt"));
}

TEST_F(SqliteStoreTest, TidyRemovesWhatLostItsNameAndNothingThatHasOneAgain) {
  const auto store = Open();
  const Lease lease = (*store)->Acquire(ExperimentId("demo")).value();
  const auto keep = [&](char content) {
    const std::string large(std::size_t{1} << 20, content);
    const BlobRef blob = (*store)->PutBlob(AsBytes(large)).value();
    EXPECT_TRUE((*store)->Keep(lease, "maml/last", blob).ok());
    return blob;
  };
  const BlobRef first = keep('1');
  const BlobRef second = keep('2');
  EXPECT_THAT(BlobFiles(), SizeIs(2)) << "nobody waits for the removal";
  EXPECT_EQ(keep('1').sha256, first.sha256);
  (*store)->Tidy();
  EXPECT_THAT(BlobFiles(), SizeIs(1));
  EXPECT_TRUE((*store)->GetBlob(first).ok());
  EXPECT_EQ((*store)->GetBlob(second).error().code(), ErrorCode::kNotFound);
}

TEST_F(SqliteStoreTest, ADamagedBlobIsDataLoss) {
  GoOnTo(1);
  const fs::path file = BlobFiles().front();
  const auto of_moments = [this] {
    const auto store = Open();
    const BlobRef blob = (*store)->Head(ExperimentId("demo/maml")).value()->optimizer_state;
    return (*store)->GetBlob(blob);
  };
  ASSERT_TRUE(of_moments().ok());
  std::string content = ReadFile(file).value();
  content[100] = static_cast<char>(content[100] ^ 1);
  std::ofstream(file, std::ios::binary) << content;
  const auto damaged = of_moments();
  EXPECT_EQ(damaged.error().code(), ErrorCode::kDataLoss);
  EXPECT_THAT(damaged.error().message(), HasSubstr(file.string()));
  fs::resize_file(file, 5);
  EXPECT_EQ(of_moments().error().code(), ErrorCode::kDataLoss);
  fs::remove(file);
  EXPECT_EQ(of_moments().error().code(), ErrorCode::kDataLoss);
}

TEST_F(SqliteStoreTest, ADamagedRowIsDataLoss) {
  GoOnTo(1);
  {
    auto database = SqliteDatabase::Open(path_);
    ASSERT_TRUE(
        database->Execute("UPDATE blob SET content = x'00' WHERE content IS NOT NULL").ok());
  }
  const auto store = Open();
  const BlobRef blob = (*store)->Head(ExperimentId("demo/maml")).value()->state;
  const auto damaged = (*store)->GetBlob(blob);
  EXPECT_EQ(damaged.error().code(), ErrorCode::kDataLoss);
  EXPECT_THAT(damaged.error().message(), HasSubstr(path_.string()));
}

TEST_F(SqliteStoreTest, AFileOfAnotherKindIsRefusedAndLeftAlone) {
  const std::string text(5000, 'x');
  ASSERT_TRUE(WriteFileAtomically(path_, text).ok());
  EXPECT_EQ(ErrorOfOpening().code(), ErrorCode::kDataLoss);
  EXPECT_EQ(ReadFile(path_).value(), text);
  fs::remove(path_);
  {
    auto other = SqliteDatabase::Open(path_);
    ASSERT_TRUE(other->Execute("CREATE TABLE patients (id INTEGER)").ok());
  }
  const std::string before = ReadFile(path_).value();
  EXPECT_THAT(ErrorOfOpening().message(), HasSubstr("a database of another program"));
  EXPECT_EQ(ReadFile(path_).value(), before);
}

TEST_F(SqliteStoreTest, AMissingFolderIsNamed) {
  const auto store = OpenSqliteStore(folder_.path() / "absent/store.db", Durability::kProcess);
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(store.error().message(), HasSubstr("absent/store.db"));
  EXPECT_THAT(store.error().message(), HasSubstr("its folder must exist"));
}

TEST_F(SqliteStoreTest, ANewerSchemaIsRefusedAndLeftAlone) {
  GoOnTo(1);
  {
    auto database = SqliteDatabase::Open(path_);
    ASSERT_TRUE(database->Execute("PRAGMA user_version = 1000").ok());
  }
  const std::string before = ReadFile(path_).value();
  const Error error = ErrorOfOpening();
  EXPECT_EQ(error.code(), ErrorCode::kFailedPrecondition);
  EXPECT_THAT(error.message(), HasSubstr("schema version 1000, this program knows versions up to"));
  EXPECT_THAT(error.message(), HasSubstr("use the newer program"));
  EXPECT_EQ(ReadFile(path_).value(), before);
}

class MigrationTest : public SqliteStoreTest {
 protected:
  // This program's schema and further steps, as a later program has them.
  Status Migrate(const std::vector<SchemaStep>& further) const {
    std::vector<SchemaStep> steps(StoreSchema().begin(), StoreSchema().end());
    steps.insert(steps.end(), further.begin(), further.end());
    auto database = SqliteDatabase::Open(path_);
    return MigrateStore(*database, steps);
  }
  std::int64_t Query(const std::string& sql) const {
    auto database = SqliteDatabase::Open(path_);
    return database->QueryInteger(sql).value();
  }
  const std::int64_t version_ = static_cast<std::int64_t>(StoreSchema().size());
  const fs::path copy_ = path_.string() + ".version-" + std::to_string(version_);
};

TEST_F(MigrationTest, GoesForwardAfterACopyThatTheOlderProgramOpens) {
  const std::string head = GoOnTo(2);
  const Status status =
      Migrate({"ALTER TABLE run ADD COLUMN colour TEXT; UPDATE run SET colour = 'red';",
               "CREATE TABLE extra (id INTEGER)"});
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(Query("PRAGMA user_version"), version_ + 2);
  EXPECT_EQ(Query("SELECT count(*) FROM run WHERE colour = 'red'"), 1);
  EXPECT_EQ(ErrorOfOpening().code(), ErrorCode::kFailedPrecondition);

  const auto older = OpenSqliteStore(copy_, Durability::kProcess);
  ASSERT_TRUE(older.ok()) << older.error().message();
  EXPECT_EQ(HeadText(**older), head);
  EXPECT_EQ(Faults(**older), "");
  ASSERT_TRUE(GoOn(**older, {.rounds = 3}).ok());
  EXPECT_THAT(BlobFiles(), SizeIs(1)) << "going back takes nothing from the migrated one";
}

TEST_F(MigrationTest, AStepThatFailsChangesNothing) {
  const std::string head = GoOnTo(1);
  EXPECT_FALSE(Migrate({"CREATE TABLE extra (id INTEGER)", "INSERT INTO absent VALUES (1)"}).ok());
  EXPECT_EQ(Query("PRAGMA user_version"), version_);
  EXPECT_EQ(Query("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'"), 0);
  EXPECT_EQ(GoOnTo(1), head);
}

TEST_F(MigrationTest, WithoutACopyNothingIsMigrated) {
  GoOnTo(1);
  fs::create_directory(copy_);  // a folder where the copy should be
  fs::create_directory(copy_ / "full");
  EXPECT_FALSE(Migrate({"CREATE TABLE extra (id INTEGER)"}).ok());
  EXPECT_EQ(Query("PRAGMA user_version"), version_);
}

}  // namespace
}  // namespace fedmeta

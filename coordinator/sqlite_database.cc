#include "fedmeta/coordinator/sqlite_database.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <utility>

#include "fedmeta/core/file_descriptor.h"

namespace fedmeta {
namespace {

struct Cause {
  ErrorCode code;
  const char* advice;
};

Cause CauseOf(int code, int system_error) {
  const bool full = system_error == ENOSPC || system_error == EDQUOT;
  switch (code & 0xff) {
    case SQLITE_FULL:
      return {ErrorCode::kResourceExhausted, "make room on its disk, then try again"};
    case SQLITE_IOERR:
      if (full) return {ErrorCode::kResourceExhausted, "make room on its disk, then try again"};
      return {ErrorCode::kInternal, "check the disk (the system's log names its faults)"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {ErrorCode::kDataLoss, "it is damaged or no store: put back a copy of it"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorCode::kUnavailable, "another program holds it: end that program"};
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return {ErrorCode::kInternal, "its folder must exist and be writable"};
    default:
      return {ErrorCode::kInternal, "this is a fault of the program or of its environment"};
  }
}

Error ErrorOf(sqlite3* handle) {
  const int code = sqlite3_extended_errcode(handle);
  const int system_error = sqlite3_system_errno(handle);
  const Cause cause = CauseOf(code, system_error);
  const char* const path = sqlite3_db_filename(handle, "main");
  std::string text = "store " + std::string(path ? path : "") + ": " + sqlite3_errmsg(handle);
  if ((code & 0xff) == SQLITE_IOERR && system_error != 0) {
    text += ": " + std::string(std::strerror(system_error));
  }
  return {cause.code, text + ": " + cause.advice};
}

}  // namespace

Result<bool> SqliteRows::Next() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return ErrorOf(sqlite3_db_handle(statement_));
}

bool SqliteRows::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::int64_t SqliteRows::Integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double SqliteRows::Real(int column) const { return sqlite3_column_double(statement_, column); }

std::string_view SqliteRows::Content(int column) const {
  const void* const content = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return {static_cast<const char*>(content), static_cast<std::size_t>(size)};
}

// Binding fails only for an index or a size that the program gets wrong.
void SqliteStatement::Bind(int index, std::int64_t value) {
  FEDMETA_CHECK(sqlite3_bind_int64(statement_.get(), index, value) == SQLITE_OK);
}
void SqliteStatement::Bind(int index, double value) {
  FEDMETA_CHECK(sqlite3_bind_double(statement_.get(), index, value) == SQLITE_OK);
}
void SqliteStatement::Bind(int index, std::string_view value) {
  FEDMETA_CHECK(sqlite3_bind_text64(statement_.get(), index, value.data() ? value.data() : "",
                                    value.size(), SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
}
void SqliteStatement::Bind(int index, std::span<const std::byte> value) {
  const void* const data = value.data() ? static_cast<const void*>(value.data()) : "";
  FEDMETA_CHECK(sqlite3_bind_blob64(statement_.get(), index, data, value.size(), SQLITE_STATIC) ==
                SQLITE_OK);
}
void SqliteStatement::Bind(int index, std::nullptr_t) {
  FEDMETA_CHECK(sqlite3_bind_null(statement_.get(), index) == SQLITE_OK);
}

Result<SqliteDatabase> SqliteDatabase::Open(const std::filesystem::path& path) {
  // SQLite gives its further files the permissions of this one.
  if (FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)).get() < 0) {
    const Error error = SystemError("cannot open store", path);
    return Error(error.code(), error.message() + ": its folder must exist and be writable");
  }
  SqliteDatabase database;
  database.path_ = path;
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  database.handle_.reset(handle);
  if (code != SQLITE_OK) return ErrorOf(handle);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, 10'000);  // somebody looks at the file with another program
  FEDMETA_ASSIGN_OR_RETURN(database.begin_, database.Prepare("BEGIN IMMEDIATE"));
  FEDMETA_ASSIGN_OR_RETURN(database.commit_, database.Prepare("COMMIT"));
  FEDMETA_ASSIGN_OR_RETURN(database.rollback_, database.Prepare("ROLLBACK"));
  return database;
}

Status SqliteDatabase::UseWriteAheadLog() {
  FEDMETA_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare("PRAGMA journal_mode = WAL"));
  SqliteRows rows = statement.Start();
  FEDMETA_RETURN_IF_ERROR(rows.Next());
  if (rows.Content(0) == "wal") return {};
  return Error(ErrorCode::kInternal, "store " + path_.string() +
                                         ": its file system cannot share memory between programs"
                                         " (network folders cannot): name a local disk");
}

Status SqliteDatabase::Execute(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return ErrorOf(handle_.get());
}

Result<SqliteStatement> SqliteDatabase::Prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return ErrorOf(handle_.get());
  SqliteStatement statement;
  statement.statement_.reset(raw);
  return statement;
}

Result<std::int64_t> SqliteDatabase::QueryInteger(std::string_view sql) {
  FEDMETA_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  SqliteRows rows = statement.Start();
  FEDMETA_ASSIGN_OR_RETURN(const bool found, rows.Next());
  return found ? rows.Integer(0) : 0;
}

void SqliteDatabase::Rollback() {
  // Some errors (a full disk) roll back by themselves. What fails here shows at the next call.
  if (sqlite3_get_autocommit(handle_.get()) == 0) (void)rollback_.Run();
}

}  // namespace fedmeta

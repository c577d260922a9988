#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "fedmeta/core/result.h"

namespace fedmeta {

class SqliteDatabase;

/// The rows of one execution; ends it when destroyed. At most one a statement at a time.
class SqliteRows {
 public:
  explicit SqliteRows(sqlite3_stmt* statement) : statement_(statement) {}
  ~SqliteRows() { sqlite3_reset(statement_); }
  SqliteRows(const SqliteRows&) = delete;
  SqliteRows& operator=(const SqliteRows&) = delete;

  /// To the next row; false: there is none.
  Result<bool> Next();
  bool IsNull(int column) const;
  std::int64_t Integer(int column) const;
  double Real(int column) const;
  /// Text or a blob, valid until Next().
  std::string_view Content(int column) const;

 private:
  sqlite3_stmt* statement_;
};

/// A prepared statement with parameters ?1, ?2, ... Lives no longer than its database.
class SqliteStatement {
 public:
  /// Binds the parameters, which must outlive the rows: std::int64_t, double, std::string_view
  /// (text), std::span<const std::byte> (blob) or nullptr.
  template <typename... Values>
  [[nodiscard]] SqliteRows Start(const Values&... values) {
    int index = 0;
    (Bind(++index, values), ...);
    return SqliteRows(statement_.get());
  }
  /// Executes what gives no rows.
  template <typename... Values>
  Status Run(const Values&... values) {
    SqliteRows rows = Start(values...);
    FEDMETA_RETURN_IF_ERROR(rows.Next());
    return {};
  }

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  void Bind(int index, std::int64_t value);
  void Bind(int index, double value);
  void Bind(int index, std::string_view value);
  void Bind(int index, std::span<const std::byte> value);
  void Bind(int index, std::nullptr_t);

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// One connection to a database file. Not thread-safe. Errors name the file, what SQLite and the
/// system said, and what to do: kResourceExhausted for a full disk, kDataLoss for damage,
/// kUnavailable when another program holds it.
class SqliteDatabase {
 public:
  /// Makes an empty database, of the owner only, where there is none.
  static Result<SqliteDatabase> Open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  /// Readers then never wait for the writer, and a commit syncs one file.
  Status UseWriteAheadLog();
  /// SQL of this program, several statements if need be.
  Status Execute(const std::string& sql);
  /// `sql`: a literal.
  Result<SqliteStatement> Prepare(std::string_view sql);
  /// The first column of the first row of what Prepare takes.
  Result<std::int64_t> QueryInteger(std::string_view sql);
  std::int64_t LastInsertedRow() const { return sqlite3_last_insert_rowid(handle_.get()); }
  std::int64_t ChangedRows() const { return sqlite3_changes64(handle_.get()); }

  /// Everything `body` writes, or nothing.
  template <typename Body>
  Status Transaction(const Body& body) {
    FEDMETA_RETURN_IF_ERROR(begin_.Run());
    Status status = body();
    if (status.ok()) status = commit_.Run();
    if (!status.ok()) Rollback();
    return status;
  }

 private:
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  void Rollback();

  std::filesystem::path path_;
  std::unique_ptr<sqlite3, Close> handle_;
  SqliteStatement begin_, commit_, rollback_;
};

}  // namespace fedmeta

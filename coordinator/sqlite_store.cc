#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/coordinator/sqlite_blobs.h"
#include "fedmeta/coordinator/sqlite_database.h"
#include "fedmeta/coordinator/store_checks.h"
#include "fedmeta/coordinator/store_schema.h"
#include "fedmeta/coordinator/store_statements.h"
#include "fedmeta/core/file_descriptor.h"
#include "fedmeta/core/file_lock.h"

namespace fedmeta {
namespace {

std::int64_t Number(std::uint64_t value) { return static_cast<std::int64_t>(value); }
std::int64_t Number(Purpose purpose) { return static_cast<std::int64_t>(purpose); }

// Four columns from `first`: leg's name, purpose, round, attempt.
RoundKey KeyAt(const SqliteRows& rows, int first) {
  return {.experiment = ExperimentId(std::string(rows.Content(first))),
          .purpose = static_cast<Purpose>(rows.Integer(first + 1)),
          .round = static_cast<std::uint64_t>(rows.Integer(first + 2)),
          .attempt = static_cast<std::uint32_t>(rows.Integer(first + 3))};
}

class SqliteStore final : public RoundStore {
 public:
  static Result<std::unique_ptr<RoundStore>> Open(const std::filesystem::path& path,
                                                  Durability durability);

  Result<Lease> Acquire(const ExperimentId& run) override {
    Lease lease{.run = run, .epoch = 0};
    const Status status = database_->Transaction([&]() -> Status {
      SqliteRows row = sql_.acquire.Start(run.value());
      FEDMETA_RETURN_IF_ERROR(row.Next());
      lease.epoch = static_cast<std::uint64_t>(row.Integer(0));
      return {};
    });
    if (!status.ok()) return status.error();
    return lease;
  }

  Status Describe(const Lease& lease, std::string_view description) override {
    return Write(lease,
                 [&](std::int64_t run) { return sql_.describe.Run(run, AsBytes(description)); });
  }

  Result<std::optional<std::string>> Description(const ExperimentId& run) override {
    SqliteRows row = sql_.description.Start(run.value());
    FEDMETA_ASSIGN_OR_RETURN(const bool found, row.Next());
    if (!found || row.IsNull(0)) return std::optional<std::string>();
    return std::optional(std::string(row.Content(0)));
  }

  Result<BlobRef> PutBlob(std::span<const std::byte> bytes) override { return blobs_.Put(bytes); }
  Result<Bytes> GetBlob(const BlobRef& blob) override { return blobs_.Get(blob); }

  Status BeginAttempt(const Lease& lease, const RoundPlan& plan) override {
    const RoundKey& key = plan.key();
    FEDMETA_RETURN_IF_ERROR(CheckAttemptOfRun(lease, key));
    return Write(lease, [&](std::int64_t run) -> Status {
      FEDMETA_RETURN_IF_ERROR(sql_.add_leg.Run(run, key.experiment.value()));
      FEDMETA_RETURN_IF_ERROR(sql_.begin_attempt.Run(key.experiment.value(), Number(key.purpose),
                                                     Number(key.round), Number(key.attempt)));
      return database_->ChangedRows() == 1 ? Status() : BegunBefore(key);
    });
  }

  Result<std::vector<RoundKey>> OpenAttempts(const ExperimentId& run) override {
    std::vector<RoundKey> open;
    SqliteRows rows = sql_.open_attempts.Start(run.value());
    for (;;) {
      FEDMETA_ASSIGN_OR_RETURN(const bool another, rows.Next());
      if (!another) return open;
      open.push_back(KeyAt(rows, 0));
    }
  }

  Status ChargePrivacy(const Lease& lease, const PrivacyCharge& charge) override {
    const RoundKey& key = charge.session;
    FEDMETA_RETURN_IF_ERROR(CheckSessionOfRun(lease, key));
    return Write(lease, [&](std::int64_t) -> Status {
      FEDMETA_RETURN_IF_ERROR(CheckRunning(AttemptOf(key)));
      FEDMETA_ASSIGN_OR_RETURN(const std::int64_t masked_sum, blobs_.Name(charge.masked_sum));
      FEDMETA_ASSIGN_OR_RETURN(const std::int64_t receipts, blobs_.Name(charge.receipts));
      FEDMETA_RETURN_IF_ERROR(sql_.add_charge.Run(
          key.experiment.value(), Number(key.purpose), Number(key.round), Number(key.attempt),
          Number(key.session), charge.epsilon, charge.delta, masked_sum, receipts));
      return database_->ChangedRows() == 1 ? Status() : ChargedBefore(key);
    });
  }

  Result<std::vector<PrivacyCharge>> PrivacyCharges(const ExperimentId& run) override {
    std::vector<PrivacyCharge> charges;
    SqliteRows rows = sql_.charges.Start(run.value());
    for (;;) {
      FEDMETA_ASSIGN_OR_RETURN(const bool another, rows.Next());
      if (!another) return charges;
      PrivacyCharge charge{.session = KeyAt(rows, 0),
                           .epsilon = rows.Real(5),
                           .delta = rows.Real(6),
                           .masked_sum = {},
                           .receipts = {}};
      charge.session.session = static_cast<std::uint32_t>(rows.Integer(4));
      FEDMETA_ASSIGN_OR_RETURN(charge.masked_sum, blobs_.Ref(rows.Integer(7)));
      FEDMETA_ASSIGN_OR_RETURN(charge.receipts, blobs_.Ref(rows.Integer(8)));
      charges.push_back(charge);
    }
  }

  Status EndAttempt(const Lease& lease, const JournalEntry& entry) override {
    FEDMETA_RETURN_IF_ERROR(CheckAttemptOfRun(lease, entry.key));
    return Write(lease, [&](std::int64_t) -> Status {
      FEDMETA_RETURN_IF_ERROR(CheckRunning(entry.key));
      return End(entry.key, entry.outcome);
    });
  }

  Status CommitRound(const Lease& lease, const RoundPlan& plan, const CommittedRound& round,
                     std::string_view outcome) override {
    FEDMETA_RETURN_IF_ERROR(CheckAttemptOfRun(lease, plan.key()));
    FEDMETA_RETURN_IF_ERROR(CheckCommit(plan, round));
    return Write(lease, [&](std::int64_t) -> Status {
      FEDMETA_RETURN_IF_ERROR(CheckRunning(plan.key()));
      // Old names go last: what one client had may be what another has now.
      std::vector<std::int64_t> old;
      FEDMETA_RETURN_IF_ERROR(MoveHead(plan, round, old));
      for (const auto& [client, blob] : round.client_states) {
        FEDMETA_RETURN_IF_ERROR(SetClientState(round.key, client, blob, old));
      }
      for (const std::int64_t blob : old) FEDMETA_RETURN_IF_ERROR(blobs_.Unname(blob));
      return End(plan.key(), outcome);
    });
  }

  Status Keep(const Lease& lease, std::string_view name, const BlobRef& blob) override {
    return Write(lease, [&](std::int64_t run) -> Status {
      FEDMETA_ASSIGN_OR_RETURN(const std::int64_t row, blobs_.Name(blob));
      FEDMETA_ASSIGN_OR_RETURN(const std::optional<std::int64_t> before,
                               First(sql_.kept, run, name));
      FEDMETA_RETURN_IF_ERROR(sql_.keep.Run(run, name, row));
      return before ? blobs_.Unname(*before) : Status();
    });
  }

  Status SetPresence(const Lease& lease, std::string_view presence) override {
    return Write(lease,
                 [&](std::int64_t run) { return sql_.set_presence.Run(run, AsBytes(presence)); });
  }

  void Tidy() override { blobs_.Tidy(); }

  Result<std::optional<CommittedRound>> Head(const ExperimentId& leg) override {
    SqliteRows row = sql_.head.Start(leg.value());
    FEDMETA_ASSIGN_OR_RETURN(const bool found, row.Next());
    if (!found) return std::optional<CommittedRound>();
    CommittedRound head{
        .key = KeyAt(row, 0), .state = {}, .optimizer_state = {}, .client_states = {}};
    FEDMETA_ASSIGN_OR_RETURN(head.state, blobs_.Ref(row.Integer(4)));
    FEDMETA_ASSIGN_OR_RETURN(head.optimizer_state, blobs_.Ref(row.Integer(5)));
    SqliteRows states =
        sql_.changed_states.Start(leg.value(), Number(head.key.round), Number(head.key.attempt));
    for (;;) {
      FEDMETA_ASSIGN_OR_RETURN(const bool another, states.Next());
      if (!another) return std::optional(std::move(head));
      FEDMETA_ASSIGN_OR_RETURN(const BlobRef blob, blobs_.Ref(states.Integer(1)));
      head.client_states.emplace_back(ClientId(std::string(states.Content(0))), blob);
    }
  }

  Result<std::optional<BlobRef>> ClientState(const ExperimentId& leg,
                                             const ClientId& client) override {
    FEDMETA_ASSIGN_OR_RETURN(const std::optional<std::int64_t> row,
                             First(sql_.client_state, leg.value(), client.value()));
    if (!row) return std::optional<BlobRef>();
    FEDMETA_ASSIGN_OR_RETURN(const BlobRef blob, blobs_.Ref(*row));
    return std::optional(blob);
  }

  Result<std::vector<JournalEntry>> Journal(const ExperimentId& run) override {
    std::vector<JournalEntry> journal;
    SqliteRows rows = sql_.journal.Start(run.value());
    for (;;) {
      FEDMETA_ASSIGN_OR_RETURN(const bool another, rows.Next());
      if (!another) return journal;
      journal.push_back({.key = KeyAt(rows, 0), .outcome = std::string(rows.Content(4))});
    }
  }

  Result<std::string> Presence(const ExperimentId& run) override {
    SqliteRows row = sql_.presence.Start(run.value());
    FEDMETA_ASSIGN_OR_RETURN(const bool found, row.Next());
    return found ? std::string(row.Content(0)) : std::string();
  }

 private:
  SqliteStore(FileLock lock, std::unique_ptr<SqliteDatabase> database, SqliteBlobs blobs,
              StoreStatements sql)
      : lock_(std::move(lock)),
        database_(std::move(database)),
        blobs_(std::move(blobs)),
        sql_(std::move(sql)) {}

  // One transaction of the lease's holder; `body` gets the run's row.
  template <typename Body>
  Status Write(const Lease& lease, const Body& body) {
    const Status status = database_->Transaction([&]() -> Status {
      FEDMETA_ASSIGN_OR_RETURN(const std::optional<std::int64_t> run,
                               First(sql_.held, lease.run.value(), Number(lease.epoch)));
      return run ? body(*run) : StaleLease(lease);
    });
    status.ok() ? blobs_.Committed() : blobs_.RolledBack();
    return status;
  }

  // The first column of the first row; none: no row.
  template <typename... Values>
  Result<std::optional<std::int64_t>> First(SqliteStatement& statement, const Values&... values) {
    SqliteRows row = statement.Start(values...);
    FEDMETA_ASSIGN_OR_RETURN(const bool found, row.Next());
    return found ? std::optional(row.Integer(0)) : std::nullopt;
  }

  Status CheckRunning(const RoundKey& key) {
    FEDMETA_ASSIGN_OR_RETURN(const std::optional<std::int64_t> ended,
                             First(sql_.ended, key.experiment.value(), Number(key.purpose),
                                   Number(key.round), Number(key.attempt)));
    if (!ended) return NeverBegun(key);
    if (*ended != 0) return EndedBefore(key);
    return {};
  }

  /// The sums of an attempt's sessions, and what opens them, have served.
  Status EmptyCharges(const RoundKey& key) {
    std::vector<std::int64_t> old;
    {
      SqliteRows rows = sql_.charged_blobs.Start(key.experiment.value(), Number(key.purpose),
                                                 Number(key.round), Number(key.attempt));
      for (;;) {
        FEDMETA_ASSIGN_OR_RETURN(const bool another, rows.Next());
        if (!another) break;
        old.insert(old.end(), {rows.Integer(0), rows.Integer(1)});
      }
    }
    if (old.empty()) return {};
    FEDMETA_ASSIGN_OR_RETURN(const BlobRef nothing, blobs_.Put({}));
    std::int64_t empty = 0;
    for (std::size_t i = 0; i < old.size(); ++i) {
      FEDMETA_ASSIGN_OR_RETURN(empty, blobs_.Name(nothing));
    }
    FEDMETA_RETURN_IF_ERROR(sql_.empty_charges.Run(key.experiment.value(), Number(key.purpose),
                                                   Number(key.round), Number(key.attempt), empty));
    for (const std::int64_t blob : old) FEDMETA_RETURN_IF_ERROR(blobs_.Unname(blob));
    return {};
  }

  Status End(const RoundKey& key, std::string_view outcome) {
    FEDMETA_RETURN_IF_ERROR(EmptyCharges(key));
    FEDMETA_RETURN_IF_ERROR(sql_.end_attempt.Run(key.experiment.value(), Number(key.purpose),
                                                 Number(key.round), Number(key.attempt)));
    return sql_.add_entry.Run(key.experiment.value(), Number(key.purpose), Number(key.round),
                              Number(key.attempt), AsBytes(outcome));
  }

  // Adds the blobs that lose a name to `old`.
  Status MoveHead(const RoundPlan& plan, const CommittedRound& round,
                  std::vector<std::int64_t>& old) {
    const std::string& leg = round.key.experiment.value();
    std::optional<RoundKey> head;
    {
      SqliteRows row = sql_.head.Start(leg);
      FEDMETA_ASSIGN_OR_RETURN(const bool found, row.Next());
      if (found) {
        head = KeyAt(row, 0);
        old.insert(old.end(), {row.Integer(4), row.Integer(5)});
      }
    }
    if (plan.parent() != head) return NotOnHead(plan, head);
    FEDMETA_ASSIGN_OR_RETURN(const std::int64_t state, blobs_.Name(round.state));
    FEDMETA_ASSIGN_OR_RETURN(const std::int64_t optimizer, blobs_.Name(round.optimizer_state));
    return sql_.set_head.Run(leg, Number(round.key.round), Number(round.key.attempt), state,
                             optimizer);
  }

  Status SetClientState(const RoundKey& key, const ClientId& client, const BlobRef& blob,
                        std::vector<std::int64_t>& old) {
    const std::string& leg = key.experiment.value();
    FEDMETA_ASSIGN_OR_RETURN(const std::optional<std::int64_t> before,
                             First(sql_.client_state, leg, client.value()));
    if (before) old.push_back(*before);
    FEDMETA_ASSIGN_OR_RETURN(const std::int64_t row, blobs_.Name(blob));
    return sql_.set_client_state.Run(leg, client.value(), Number(key.round), Number(key.attempt),
                                     row);
  }

  FileLock lock_;
  std::unique_ptr<SqliteDatabase> database_;
  SqliteBlobs blobs_;
  StoreStatements sql_;
};

// Of an older program's file nothing is changed before it is known to be ours and was copied.
Result<std::unique_ptr<RoundStore>> SqliteStore::Open(const std::filesystem::path& path,
                                                      Durability durability) {
  FEDMETA_ASSIGN_OR_RETURN(FileLock lock, FileLock::Acquire(path));
  FEDMETA_ASSIGN_OR_RETURN(SqliteDatabase opened, SqliteDatabase::Open(path));
  auto database = std::make_unique<SqliteDatabase>(std::move(opened));
  FEDMETA_RETURN_IF_ERROR(MigrateStore(*database, StoreSchema()));
  FEDMETA_RETURN_IF_ERROR(database->UseWriteAheadLog());
  FEDMETA_RETURN_IF_ERROR(database->Execute(durability == Durability::kPower
                                                ? "PRAGMA synchronous = FULL"
                                                : "PRAGMA synchronous = NORMAL"));
  FEDMETA_ASSIGN_OR_RETURN(SqliteBlobs blobs,
                           SqliteBlobs::Open(*database, BlobFolderOf(path), durability));
  FEDMETA_ASSIGN_OR_RETURN(StoreStatements sql, StoreStatements::Prepare(*database));
  // The names of the database and of the blob folder.
  if (durability == Durability::kPower) FEDMETA_RETURN_IF_ERROR(SyncFolder(FolderOf(path)));
  return std::unique_ptr<RoundStore>(
      new SqliteStore(std::move(lock), std::move(database), std::move(blobs), std::move(sql)));
}

}  // namespace

Result<std::unique_ptr<RoundStore>> OpenSqliteStore(const std::filesystem::path& path,
                                                    Durability durability) {
  return SqliteStore::Open(path, durability);
}

}  // namespace fedmeta

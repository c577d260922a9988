#pragma once

#include "fedmeta/coordinator/sqlite_database.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

/// What a SQLite store asks of its database, prepared once. "key": leg's name, purpose, round,
/// attempt, as ?1 to ?4 or as the first four columns.
struct StoreStatements {
  static Result<StoreStatements> Prepare(SqliteDatabase& database);

  SqliteStatement acquire;                 ///< run's name -> epoch
  SqliteStatement held;                    ///< run's name, epoch -> run
  SqliteStatement describe, set_presence;  ///< run, content
  SqliteStatement description, presence;   ///< run's name -> content
  SqliteStatement add_leg;                 ///< run, leg's name
  SqliteStatement begin_attempt;           ///< key
  SqliteStatement end_attempt;             ///< key
  SqliteStatement ended;                   ///< key -> 0 or 1
  SqliteStatement open_attempts;           ///< run's name -> keys
  SqliteStatement add_entry;               ///< key, outcome
  SqliteStatement journal;                 ///< run's name -> key, outcome
  SqliteStatement head;                    ///< leg's name -> key, state, optimizer state
  SqliteStatement set_head;                ///< leg's name, round, attempt, state, optimizer state
  SqliteStatement client_state;            ///< leg's name, client -> blob
  SqliteStatement set_client_state;        ///< leg's name, client, round, attempt, blob
  SqliteStatement changed_states;          ///< leg's name, round, attempt -> client, blob
  SqliteStatement add_charge;              ///< key, session, epsilon, delta, masked sum, receipts
  SqliteStatement charges;                 ///< run's name -> key and the rest
  SqliteStatement charged_blobs;           ///< key -> masked sum, receipts; without empty ones
  SqliteStatement empty_charges;           ///< key, what takes the place of those
  SqliteStatement kept;                    ///< run, name -> blob
  SqliteStatement keep;                    ///< run, name, blob
};

}  // namespace fedmeta

#include "fedmeta/coordinator/store_statements.h"

#include <string_view>
#include <utility>

namespace fedmeta {

Result<StoreStatements> StoreStatements::Prepare(SqliteDatabase& database) {
  StoreStatements s;
  const std::pair<SqliteStatement*, std::string_view> all[] = {
      {&s.acquire,
       "INSERT INTO run (name, epoch) VALUES (?1, 1)"
       " ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch"},
      {&s.held, "SELECT id FROM run WHERE name = ?1 AND epoch = ?2"},
      {&s.describe, "UPDATE run SET description = ?2 WHERE id = ?1"},
      {&s.set_presence, "UPDATE run SET presence = ?2 WHERE id = ?1"},
      {&s.description, "SELECT description FROM run WHERE name = ?1"},
      {&s.presence, "SELECT presence FROM run WHERE name = ?1"},
      {&s.add_leg, "INSERT INTO leg (run, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING"},
      {&s.begin_attempt,
       "INSERT INTO attempt (leg, purpose, round, attempt)"
       " SELECT id, ?2, ?3, ?4 FROM leg WHERE name = ?1 ON CONFLICT DO NOTHING"},
      {&s.end_attempt,
       "UPDATE attempt SET ended = 1 WHERE leg = (SELECT id FROM leg WHERE name = ?1)"
       " AND purpose = ?2 AND round = ?3 AND attempt = ?4"},
      {&s.ended,
       "SELECT ended FROM attempt WHERE leg = (SELECT id FROM leg WHERE name = ?1)"
       " AND purpose = ?2 AND round = ?3 AND attempt = ?4"},
      {&s.open_attempts,
       "SELECT leg.name, purpose, attempt.round, attempt.attempt FROM attempt"
       " JOIN leg ON leg.id = attempt.leg JOIN run ON run.id = leg.run"
       " WHERE run.name = ?1 AND NOT ended"
       " ORDER BY leg.name, purpose, attempt.round, attempt.attempt"},
      {&s.add_entry,
       "INSERT INTO journal (leg, purpose, round, attempt, outcome)"
       " SELECT id, ?2, ?3, ?4, ?5 FROM leg WHERE name = ?1"},
      {&s.journal,
       "SELECT leg.name, purpose, journal.round, journal.attempt, outcome FROM journal"
       " JOIN leg ON leg.id = journal.leg JOIN run ON run.id = leg.run"
       " WHERE run.name = ?1 ORDER BY sequence"},
      {&s.head,
       "SELECT name, 1, round, attempt, state, optimizer_state FROM leg"
       " WHERE name = ?1 AND round IS NOT NULL"},
      {&s.set_head,
       "UPDATE leg SET round = ?2, attempt = ?3, state = ?4, optimizer_state = ?5 WHERE name = ?1"},
      {&s.client_state,
       "SELECT blob FROM client_state WHERE leg = (SELECT id FROM leg WHERE name = ?1)"
       " AND client = ?2"},
      {&s.set_client_state,
       "INSERT OR REPLACE INTO client_state (leg, client, round, attempt, blob)"
       " SELECT id, ?2, ?3, ?4, ?5 FROM leg WHERE name = ?1"},
      {&s.changed_states,
       "SELECT client, blob FROM client_state WHERE leg = (SELECT id FROM leg WHERE name = ?1)"
       " AND round = ?2 AND attempt = ?3 ORDER BY client"},
      {&s.add_charge,
       "INSERT INTO charge"
       " (leg, purpose, round, attempt, session, epsilon, delta, masked_sum, receipts)"
       " SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM leg WHERE name = ?1"
       " ON CONFLICT DO NOTHING"},
      {&s.charges,
       "SELECT leg.name, purpose, charge.round, charge.attempt, session, epsilon, delta,"
       " masked_sum, receipts FROM charge"
       " JOIN leg ON leg.id = charge.leg JOIN run ON run.id = leg.run"
       " WHERE run.name = ?1 ORDER BY sequence"},
      {&s.charged_blobs,
       "SELECT masked_sum, receipts FROM charge JOIN blob ON blob.id = receipts"
       " WHERE leg = (SELECT id FROM leg WHERE name = ?1)"
       " AND purpose = ?2 AND round = ?3 AND attempt = ?4 AND size > 0"},
      {&s.empty_charges,
       "UPDATE charge SET masked_sum = ?5, receipts = ?5"
       " WHERE leg = (SELECT id FROM leg WHERE name = ?1)"
       " AND purpose = ?2 AND round = ?3 AND attempt = ?4"
       " AND (SELECT size FROM blob WHERE id = receipts) > 0"},
      {&s.kept, "SELECT blob FROM kept WHERE run = ?1 AND name = ?2"},
      {&s.keep, "INSERT OR REPLACE INTO kept (run, name, blob) VALUES (?1, ?2, ?3)"},
  };
  for (const auto& [statement, sql] : all) {
    FEDMETA_ASSIGN_OR_RETURN(*statement, database.Prepare(sql));
  }
  return s;
}

}  // namespace fedmeta

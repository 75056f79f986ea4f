// Which rows of a journal move an event to another id, and whether its list of them is whole.
#include <string>

#include "shared/base/text.h"
#include "shared/spill/sqlite_file_impl.h"

namespace sprockets {

Result<std::vector<SqliteFile::Move>> SqliteFile::Moves() {
  std::vector<Move> moves;
  if (!impl_->names_entries) return moves;
  ASSIGN_OR_RETURN(Statement row,
                   impl_->database->Prepare("SELECT stream_id, ticket, origin FROM _moves ORDER BY stream_id, ticket"));
  while (true) {
    ASSIGN_OR_RETURN(const bool found, row.Step());
    if (!found) return moves;
    moves.push_back({row.Integer(0), row.Integer(1), row.Integer(2)});
  }
}

/// How many moves of a stream's rows above `after` are listed.
Result<int64_t> SqliteFile::Impl::ListedMoves(int64_t stream_id, int64_t after) {
  if (!names_entries) return 0;
  ASSIGN_OR_RETURN(Statement row,
                   database->Prepare("SELECT count(*) FROM _moves WHERE stream_id = ?1 AND ticket > ?2"));
  row.BindInteger(1, stream_id);
  row.BindInteger(2, after);
  ASSIGN_OR_RETURN(const bool found, row.Step());
  SPROCKETS_ASSERT(found);
  return row.Integer(0);
}

/// Is each listed move in its row? With as many rows that have an origin as are listed, none is missing either.
Status SqliteFile::Impl::CompareMoves() {
  if (!names_entries) return {};
  ASSIGN_OR_RETURN(Statement stream, database->Prepare("SELECT id FROM _streams"));
  while (true) {
    ASSIGN_OR_RETURN(const bool found, stream.Step());
    if (!found) return {};
    RETURN_IF_ERROR(CompareMoves(stream.Integer(0)));
  }
}

Status SqliteFile::Impl::CompareMoves(int64_t stream_id) {
  ASSIGN_OR_RETURN(const StreamTableInfo* table, TableOf(stream_id));
  ASSIGN_OR_RETURN(
      Statement wrong,
      database->Prepare("SELECT ticket FROM _moves AS listed WHERE stream_id = ?1 AND NOT EXISTS (SELECT "
                        "1 FROM " +
                        table->table + " WHERE _ticket = listed.ticket AND _origin = listed.origin) LIMIT 1"));
  wrong.BindInteger(1, stream_id);
  ASSIGN_OR_RETURN(const bool found, wrong.Step());
  if (!found) return {};
  return Error{ErrorCode::kCorrupt, "stream " + Escape(table->name) + ": row " + std::to_string(wrong.Integer(0)) +
                                        " does not say what _moves says of it"};
}

Error SqliteFile::Impl::MovesDiffer(std::string_view stream, int64_t moved, int64_t listed) {
  return {ErrorCode::kCorrupt, "stream " + Escape(stream) + ": " + std::to_string(moved) +
                                   " rows are moved ones, and " + std::to_string(listed) + " are listed in _moves"};
}

}  // namespace sprockets

#include "replayer/archive/pending_scores.h"

namespace sprockets {

Result<PendingScores> PendingScores::Read(Postgres& postgres) {
  PendingScores pending;
  // A user who may not see it verifies as if there was none.
  ASSIGN_OR_RETURN(
      const Postgres::Rows has,
      postgres.Query("SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n "
                     "ON n.oid = c.relnamespace WHERE nspname = 'sprockets' AND relname = 'outbox' AND "
                     "has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))"));
  if (has[0][0] != "t") return pending;
  RETURN_IF_ERROR(postgres.CopyOut("SELECT key, member FROM sprockets.outbox",
                                   [&](std::span<const Postgres::ValueView> row) -> Status {
                                     pending.scores_.emplace(row[0].value_or(""), row[1].value_or(""));
                                     return {};
                                   }));
  return pending;
}

bool PendingScores::Covers(const std::string& key, const std::optional<std::string>& member) const {
  if (member) return scores_.contains({key, *member});
  const auto first = scores_.lower_bound({key, ""});
  return first != scores_.end() && first->first == key;
}

}  // namespace sprockets

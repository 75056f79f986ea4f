#include "replayer/archive/own_migrations.h"

#include "replayer/archive/own_migrations_sql.h"

namespace sprockets {

std::vector<Migration> OwnMigrations() {
  return {{1, "001_log.sql", kArchive001Log}, {2, "002_snapshots.sql", kArchive002Snapshots}};
}

}  // namespace sprockets

// Whose fault an error of PostgreSQL is. Pure.
#pragma once

#include <string_view>

#include "shared/base/result.h"

namespace sprockets {

enum class SqlFault {
  kEntry,   // of what an entry holds: the entry is put aside, the others go on
  kPasses,  // of the moment: the same again, later
  kSet,     // of a table or a handler: the stream stops, and nothing of it is put aside
};

/// By SQLSTATE. The entry's: 22 (data), 23 (constraints), P0 (a RAISE of a handler), 21 (more rows than may be), 54
/// (limits). The moment's: 08, 40, 53, 57, 58, 55P03 (a lock) and 25006 (a standby, until it is promoted), and a
/// connection that is gone. Everything else, 42 (a table that was altered) among it, is the set's.
SqlFault FaultOf(const Error& error);

}  // namespace sprockets

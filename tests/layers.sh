#!/bin/sh
# Who may include whom. shared/ knows neither program, the programs do not know each other, and each library is spoken to in one place.
set -eu
cd "$(dirname "$0")/.."

failed=0
# only PATTERN WHERE...: lines that include PATTERN may stand in WHERE alone.
only() {
  pattern=$1
  shift
  found=$(grep -rnE "^#include [<\"]$pattern" shared sidecar replayer || :)
  for where in "$@"; do
    found=$(printf '%s\n' "$found" | grep -v "^$where" || :)
  done
  [ -z "$found" ] && return
  printf 'may not be included here:\n%s\n' "$found"
  failed=1
}

only 'sidecar/' sidecar/
only 'replayer/' replayer/
only 'tests/'
only 'uv\.h' sidecar/
only 'sqlite3\.h' shared/spill/sqlite.cc
only 'hiredis/' sidecar/redis/ replayer/redis/
only 'sodium\.h' shared/redis/event.cc sidecar/sidecar.cc
only 'xxhash\.h' shared/spill/layout.cc
only 'spdlog/' shared/base/log.cc
only 'cxxopts' shared/base/options.cc
only 'libpq-fe\.h' replayer/postgres/
exit $failed

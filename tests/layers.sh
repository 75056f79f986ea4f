#!/bin/sh
# Who may include whom. Prints each folder with what it may know, and fails where an include goes beyond that.
set -eu
cd "$(dirname "$0")/.."

failed=0
fail() {
  printf '%s:\n%s\n' "$1" "$2"
  failed=1
}

# may FOLDER WHAT...: beside itself, files of FOLDER include only what begins with one of these.
may() {
  folder=$1
  shift
  [ -d "$folder" ] || fail 'no such folder' "$folder"
  printf '%-21s %s\n' "$folder" "${*:-nothing}"
  found=$(grep -rn '^#include "' "$folder" | grep -v "#include \"$folder/" || :)
  for what in "$@"; do
    found=$(printf '%s\n' "$found" | grep -v "#include \"$what" || :)
  done
  [ -z "$found" ] || fail "$folder may not know" "$found"
}

# only PATTERN WHERE...: lines that include PATTERN stand in WHERE alone.
only() {
  pattern=$1
  shift
  found=$(grep -rnE "^#include [<\"]$pattern" shared sidecar replayer || :)
  for where in "$@"; do
    found=$(printf '%s\n' "$found" | grep -v "^$where" || :)
  done
  [ -z "$found" ] || fail 'may not be included here' "$found"
}

# pure FILE...: nothing that these files reach over any number of headers speaks to the outside or reads a clock.
pure() {
  reached=$*
  next=$*
  while [ -n "$next" ]; do
    # shellcheck disable=SC2086 # a list of files
    includes=$(sed -n 's/^#include "\(.*\)"$/\1/p' $next | sort -u)
    next=
    for file in $includes; do
      case " $reached " in *" $file "*) continue ;; esac
      reached="$reached $file"
      next="$next $file"
    done
  done
  # shellcheck disable=SC2086
  found=$(grep -nE '^#include (<(uv|sqlite3|sodium|libpq-fe)\.h>|<(hiredis|spdlog|nlohmann|sys)/|<(chrono|ctime|thread|mutex|fstream|iostream|filesystem|unistd\.h|time\.h)>|"shared/(base/(clock|log|files|process)|spill/(file|folder|disk_folder|sqlite|sqlite_[a-z]+|state_file))\.h")' $reached || :)
  [ -z "$found" ] || fail 'not pure any more' "$found"
}

# shared/ knows neither program, and the programs do not know each other.
may shared/base
may shared/http shared/base/
may shared/redis shared/base/
may shared/spill shared/base/ shared/redis/
may shared/ahead shared/base/ shared/redis/ shared/spill/spilled.h
may shared/journal shared/base/ shared/redis/ shared/spill/ shared/ahead/

# Whoever brings events or takes them knows what travels, not who decides; only the link's side speaks to the router.
loop='sidecar/loop_clock.h sidecar/uv_handles.h'
may sidecar/core shared/ahead/ shared/redis/ shared/spill/spilled.h shared/base/
may sidecar/door shared/base/ shared/redis/ sidecar/core/traffic.h sidecar/core/relay sidecar/core/skip_rules.h $loop
may sidecar/redis shared/base/ shared/redis/ shared/ahead/ sidecar/core/ $loop
may sidecar/disk shared/ sidecar/core/traffic.h sidecar/core/stream_state.h sidecar/core/window.h \
  sidecar/core/seal_policy.h sidecar/core/skip_rules.h $loop
may sidecar/delivery shared/ sidecar/core/ sidecar/disk/ sidecar/redis/ $loop
may sidecar/admin shared/ sidecar/core/ sidecar/disk/ sidecar/door/ sidecar/redis/ sidecar/delivery/ $loop

# The drain never sees PostgreSQL, and PostgreSQL never sees a spill file.
may replayer/terminal shared/base/
may replayer/postgres shared/base/ replayer/terminal/
may replayer/redis shared/base/ shared/redis/ replayer/terminal/
may replayer/schema_set shared/base/ shared/redis/
may replayer/admin shared/base/ shared/http/ replayer/postgres/
may replayer/boards shared/base/ shared/http/ shared/redis/ replayer/admin/ replayer/postgres/ replayer/redis/ \
  replayer/schema_set/
may replayer/drain shared/ replayer/redis/ replayer/terminal/ replayer/exit_code.h
may replayer/ahead shared/ replayer/drain/ replayer/redis/ replayer/terminal/
may replayer/access shared/base/ shared/redis/ replayer/redis/ replayer/schema_set/ replayer/structure/
may replayer/archive shared/base/ shared/http/ shared/redis/ replayer/admin/ replayer/postgres/ replayer/redis/ replayer/schema_set/ replayer/access/ \
  replayer/terminal/
may replayer/structure shared/base/ shared/redis/ replayer/postgres/ replayer/redis/ replayer/schema_set/ replayer/access/ \
  replayer/terminal/
may replayer/snapshot shared/base/ shared/redis/ replayer/postgres/ replayer/redis/ replayer/schema_set/ replayer/structure/ \
  replayer/terminal/
may replayer/commands shared/ replayer/

# Decisions, and the values that they are about.
pure sidecar/core/*.* shared/ahead/*
pure replayer/archive/entry_rows.h replayer/archive/sort_out.* replayer/archive/sql_state.* replayer/archive/bisection.* replayer/archive/read_size.* \
  replayer/postgres/binary.*
pure replayer/drain/batch.h replayer/drain/searches.h sidecar/door/local_commands.* sidecar/door/routes.* sidecar/admin/status.h \
  sidecar/admin/snapshot.h sidecar/admin/chronicle.* sidecar/admin/verdict.* sidecar/admin/figures.h sidecar/admin/page_json.h
pure shared/redis/*.h shared/redis/settle.cc shared/spill/spilled.h shared/spill/skipped_key.h shared/spill/known_connections.* shared/spill/file_names.*

# Whoever works with spill files is handed a folder, and does not know what it lies on.
only 'shared/spill/(disk_folder|sqlite)' shared/spill/ sidecar/sidecar.h replayer/commands/

# Each library is spoken to in one place.
only 'tests/'
only 'sidecar/sidecar\.h' sidecar/main.cc sidecar/sidecar.cc
only 'uv\.h' sidecar/
only 'sqlite3\.h' shared/spill/sqlite.cc shared/spill/sqlite_batch.cc
only 'hiredis/' sidecar/redis/ replayer/redis/
only 'sodium\.h' replayer/archive/entry_rows.cc shared/redis/event.cc shared/journal/entry_tags.cc sidecar/sidecar.cc
only 'nlohmann/' sidecar/admin/status.cc sidecar/admin/page_json.cc replayer/
only 'civetweb\.h' shared/http/server.cc
only 'prometheus/' shared/http/metrics.cc
only 'xxhash\.h' shared/spill/layout.cc
only 'spdlog/' shared/base/log.cc
only 'cxxopts' shared/base/options.cc
only 'libpq-fe\.h' replayer/postgres/
exit $failed

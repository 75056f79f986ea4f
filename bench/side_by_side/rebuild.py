"""Rebuilding sorted sets from PostgreSQL."""

import contextlib
import json
import subprocess
import time

from clients import redis_cli
from postgres import Postgres
from processes import BenchmarkFailed, children_cpu_seconds, peak_memory_mib, run_tool
from table import Row, Sample, rate_row

AS_ZADD = r"""BEGIN { FS = "\t" } { printf "*4\r\n$4\r\nZADD\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", \
length($1), $1, length($3), $3, length($2), $2 }"""


def rebuild(table_sql, query, directives):
    """Sorted sets out of PostgreSQL against COPY piped through awk into redis-cli --pipe, one ZADD a member."""

    @contextlib.contextmanager
    def subject(lab):
        with lab.redis() as redis, lab.new_folder() as folder:
            postgres = Postgres(folder)
            try:
                postgres.execute(table_sql.format(rows=int(2_000_000 * lab.scale)))
                postgres.execute("VACUUM ANALYZE")
                (folder / "set" / "rebuild").mkdir(parents=True)
                (folder / "set" / "rebuild" / "boards.sql").write_text(f"{directives}\n{query}\n")
                replayer = [str(lab.programs / "sprockets-replayer")]
                stores = ["--schema", str(folder / "set"), "--postgres", postgres.url(), "--redis", f"unix://{redis.socket}",
                          "--json", "--progress", "none"]

                def ours():
                    redis_cli(redis.socket, "FLUSHALL", "SYNC")
                    begun, cpu, redis_cpu = time.monotonic(), children_cpu_seconds(), redis.cpu_seconds()
                    process = subprocess.Popen([*replayer, "rebuild", *stores], stdout=subprocess.PIPE, text=True)
                    peak = peak_memory_mib(process)
                    seconds = time.monotonic() - begun
                    cpu, redis_cpu = children_cpu_seconds() - cpu, redis.cpu_seconds() - redis_cpu
                    text = process.stdout.read()
                    if process.returncode != 0:
                        raise BenchmarkFailed(f"rebuild: exit code {process.returncode}")
                    told = json.loads(text)
                    # Loaded and swapped; the comparison by value, which the other side does not do, is a row of its own.
                    seconds -= told["structures"][0]["verify_ms"] / 1000
                    begun = time.monotonic()
                    run_tool([*replayer, "verify", *stores])
                    verify = time.monotonic() - begun
                    rows = told["read"]
                    lab.profile(f"rebuild with its comparison, {rows} rows", rows / (seconds + told["structures"][0]["verify_ms"] / 1000),
                                **{"its CPU": cpu / rows, "Redis CPU": redis_cpu / rows})
                    return Sample(rate=rows / seconds, figures={"verify": rows / verify, "peak": peak})

                def theirs():
                    redis_cli(redis.socket, "FLUSHALL", "SYNC")
                    copy = f"COPY (SELECT key, member, score FROM ({query}) AS q (key, member, score)) TO STDOUT"
                    if "key" not in query:
                        copy = f"COPY (SELECT 'board', member, score FROM ({query}) AS q (member, score)) TO STDOUT"
                    (folder / "as_zadd.awk").write_text(AS_ZADD)
                    begun = time.monotonic()
                    run_tool(["sh", "-c", 'psql -q -c "$0" "$1" | awk -f "$2" | redis-cli -s "$3" --pipe', copy, postgres.url(),
                              str(folder / "as_zadd.awk"), str(redis.socket)])
                    seconds = time.monotonic() - begun
                    rows = int(run_tool(["psql", "-qAtc", f"SELECT count(*) FROM ({query}) AS q", postgres.url()]))
                    paging = float(run_tool([str(lab.programs / "page_zset"), str(redis.socket), "board"])) if "key" not in query else 1
                    return Sample(rate=rows / seconds, figures={"paging": paging})

                yield ours, theirs
            finally:
                postgres.stop()

    return subject


ONE_BOARD = rebuild("CREATE TABLE score AS SELECT 'user-' || i AS member, (hashint4(i)::bigint & 1073741823)::float8 / 100 AS score "
                    "FROM generate_series(1, {rows}) AS i",
                    "SELECT member, score FROM score", "-- redis: zset board")
SMALL_BOARDS = rebuild("CREATE TABLE score AS SELECT 'board-' || i % 1000 AS key, 'user-' || i AS member, i::float8 AS score "
                       "FROM generate_series(1, {rows} / 40) AS i",
                       "SELECT key, member, score FROM score", "-- redis: zset")


SUBJECTS = {
    "rebuild": (ONE_BOARD, [
        rate_row("rebuild a zset of 2 M, load and swap", "COPY, awk, redis-cli --pipe", 3.0),
        Row("compare it by value", "ZRANGE paging alone", 0.7, lambda ours, theirs: (ours.figures["verify"], theirs.figures["paging"]),
            "/s"),
        Row("peak memory of the replayer", "—", 32, lambda ours, _: (ours.figures["peak"], None), "MiB", at_most=True),
    ]),
    "small-keys": (SMALL_BOARDS, [rate_row("rebuild 1000 zsets of 50", "COPY, awk, redis-cli --pipe", 1.0)]),
}

"""Streams into PostgreSQL, against COPY of the same rows into the same table with the same indexes, and against an INSERT
each, which is what a consumer does that writes each entry as it comes."""

import contextlib
import json
import subprocess
import time

from clients import redis_cli
from postgres import Postgres
from processes import BenchmarkFailed, children_cpu_seconds, peak_memory_mib, run_tool
from table import Row, Sample, rate_row

EVENTS = 300_000
INSERTED = 3_000  # of these, one by one
COLUMNS = ["position", "stream", "id", "event_id", "received_at", "fields", "raw", "payload_hash"]
TYPED_TABLE = ("CREATE TABLE sprockets.typed (position bigint PRIMARY KEY, who text NOT NULL, amount bigint NOT NULL, "
               "url text NOT NULL);")
TYPED = ("INSERT INTO sprockets.typed SELECT position, data->>'github_username', (data->>'amount')::bigint, data->>'url' "
         "FROM (SELECT position, (fields->>'data')::jsonb AS data FROM {rows}) AS parsed")
TOTALS_TABLE = ("CREATE TABLE sprockets.totals (key text COLLATE \"C\", member text COLLATE \"C\", score bigint NOT NULL, "
                "PRIMARY KEY (key, member));")
SCORES = """WITH added AS (
  SELECT 'board-' || board AS key, (fields->>'data')::jsonb->>'github_username' AS member,
         sum(((fields->>'data')::jsonb->>'amount')::bigint) AS score
  FROM sprockets.batch, generate_series(1, 10) AS board GROUP BY 1, 2
), changed AS (
  INSERT INTO sprockets.totals SELECT key, member, score FROM added ORDER BY key COLLATE "C", member COLLATE "C"
  ON CONFLICT (key, member) DO UPDATE SET score = totals.score + EXCLUDED.score RETURNING key, member, score
)
SELECT key, member, score FROM changed"""


def fill(redis, folder, count):
    """A stream of `count` events of 300 bytes, each with an id of its own, as the recommended use has them."""
    with open(folder / "events.resp", "wb") as out:
        for i in range(count):
            data = json.dumps({"github_username": f"user-{i % 5000}", "amount": i % 97, "action": "BOUNTY",
                               "url": f"https://github.com/example/repository-{i % 50}/pull/{i}"}).ljust(230).encode()
            parts = [b"XADD", b"s", b"*", b"event_id", f"{i:036d}".encode(), b"data", data]
            out.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    with open(folder / "events.resp", "rb") as events:
        run_tool(["redis-cli", "-s", str(redis.socket), "--pipe"], stdin=events)


def write_inserts(url, file, count):
    """A statement a row, each a transaction of its own."""
    values = ", ".join(["%L"] * len(COLUMNS))
    statement = f"INSERT INTO sprockets.log ({', '.join(COLUMNS)}) VALUES ({values});"
    run_tool(["psql", "-qAt", "-o", str(file), "-c", f"SELECT format('{statement}', {', '.join(COLUMNS)}) FROM sprockets.log "
              f"ORDER BY position LIMIT {count}", url])


def archive(tables="", handler="", theirs_also="", against_plain=False, against_inserts=False):
    """Both sides begin with an empty log and the same rows: in a stream, or in a file as COPY wrote them. With
    `against_plain` the other side is archive without the handler, with `against_inserts` a statement a row."""

    @contextlib.contextmanager
    def subject(lab):
        with lab.redis() as redis, lab.new_folder() as folder:
            postgres = Postgres(folder)
            try:
                count = int(EVENTS * lab.scale)
                set_folder = folder / "set"
                (set_folder / "migrations").mkdir(parents=True)
                (set_folder / "archive").mkdir()
                if tables:
                    (set_folder / "migrations" / "001_tables.sql").write_text(tables)
                if handler:
                    (set_folder / "archive" / "10_handler.sql").write_text(handler)
                replayer = str(lab.programs / "sprockets-replayer")
                stores = ["--schema", str(set_folder), "--postgres", postgres.url(), "--json"]
                run_tool([replayer, "migrate", *stores])
                fill(redis, folder, count)
                truncate = "TRUNCATE " + ", ".join(["sprockets.log", *(["sprockets.typed"] if "typed" in tables else []),
                                                    *(["sprockets.totals"] if "totals" in tables else [])])
                rows_file = folder / "rows.copy"
                inserts_file = folder / "inserts.sql"
                inserted = min(INSERTED, count)
                number = [0]

                def settle():
                    postgres.execute(truncate)
                    postgres.execute("CHECKPOINT")

                def run(chosen):
                    settle()
                    number[0] += 1
                    begun, cpu = time.monotonic(), children_cpu_seconds()
                    process = subprocess.Popen([replayer, "archive", "--stream", "s", "--group", f"g{number[0]}", "--redis",
                                                f"unix://{redis.socket}", *chosen], stdout=subprocess.PIPE,
                                               stderr=subprocess.DEVNULL, text=True)
                    peak = peak_memory_mib(process)
                    seconds, cpu = time.monotonic() - begun, children_cpu_seconds() - cpu
                    told = json.loads(process.stdout.read())
                    if process.returncode != 0 or told["archived"] != count:
                        raise BenchmarkFailed(f"archive: exit code {process.returncode}, {told}")
                    if not rows_file.exists():
                        run_tool(["psql", "-qc", f"\\copy sprockets.log TO '{rows_file}' (FORMAT binary)", postgres.url()])
                        if against_inserts:
                            write_inserts(postgres.url(), inserts_file, inserted)
                    lab.profile("archive", count / seconds, **{"its CPU": cpu / count})
                    return Sample(rate=count / seconds, figures={"peak": peak})

                def ours():
                    return run(stores)

                def theirs():
                    if against_plain:
                        return run(["--postgres", postgres.url(), "--json"])
                    settle()
                    if against_inserts:
                        begun = time.monotonic()
                        run_tool(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(inserts_file), postgres.url()])
                        return Sample(rate=inserted / (time.monotonic() - begun))
                    commands = ["-c", f"\\copy sprockets.log FROM '{rows_file}' (FORMAT binary)"]
                    if theirs_also:
                        commands += ["-c", theirs_also]
                    begun = time.monotonic()
                    run_tool(["psql", "-q", "-v", "ON_ERROR_STOP=1", *commands, postgres.url()])
                    return Sample(rate=count / (time.monotonic() - begun))

                yield ours, theirs
            finally:
                postgres.stop()

    return subject


SUBJECTS = {
    "archive": (archive(), [
        rate_row("archive a stream, until it is committed and acknowledged", "COPY into the same table and indexes", 0.8),
        Row("peak memory of the replayer", "—", 64, lambda ours, _: (ours.figures["peak"], None), "MiB", at_most=True),
    ]),
    "archive-inserts": (archive(against_inserts=True), [
        rate_row("archive a stream", "an INSERT a row, each committed", None),
    ]),
    "archive-typed": (archive(TYPED_TABLE, "-- archive: s\n" + TYPED.format(rows="batch"), TYPED.format(rows="sprockets.log")), [
        rate_row("the same with a handler into a typed table", "COPY, then INSERT … SELECT", 0.8),
    ]),
    "archive-boards": (archive(TOTALS_TABLE, "-- archive: s\n-- returns: scores\n" + SCORES, against_plain=True), [
        rate_row("the same with ten boards an event, scores in Redis", "archive without boards", 0.4),
    ]),
}

#!/usr/bin/env python3
"""Sprockets against the same work done without it: one table of ratios.

Both sides of a row run in turn (ABAB…), on the same machine, the same Redis and the same disk, so that what disturbs one
side disturbs the other. A row shows the median of the pairs' ratios with the lowest and the highest. Everything runs on
two cores, in a temporary folder that is removed at the end, also after an interruption.
"""

import argparse
import contextlib
import csv
import ctypes
import json
import os
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

STREAM = "bench-stream"
PAYLOAD = "x" * 300
NO_ID = ["data", PAYLOAD]
# As sidecar/README.md recommends: the client's own id, in the shape and length of GitHub's X-GitHub-Delivery. redis-benchmark puts
# twelve random digits in place of the marker.
CLIENT_ID = ["data", PAYLOAD, "event_id", "72d3162e-cc78-11e3-81ab-__rand_int__"]
CLIENTS = 16
PIPELINES = (16, 64, 256)
MEBIBYTE = 1024 * 1024
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchmarkFailed(Exception):
    pass


# ---------------------------------------------------------------------------------------------------------------------
# Rows


@dataclass
class Sample:
    """What one side of a pair did. CPU is seconds an event."""

    rate: float = 0
    redis_cpu: float = 0
    sidecar_cpu: float = 0
    memory: dict = field(default_factory=dict)


@dataclass
class Row:
    what: str
    against: str
    target: float
    values: Callable  # (ours, theirs) -> (our value, their value or None)
    unit: str  # "/s", "µs" or "MiB"
    at_most: bool = False
    pairs: list = field(default_factory=list)

    def add(self, ours: Sample, theirs: Optional[Sample]):
        self.pairs.append(self.values(ours, theirs))

    def cells(self):
        is_ratio = self.pairs[0][1] is not None
        results = [mine / other if is_ratio else mine for mine, other in self.pairs]
        median = statistics.median(results)
        met = median <= self.target if self.at_most else median >= self.target
        show = (lambda number: f"{number:.2f}") if is_ratio else (lambda number: f"{number:.1f} {self.unit}")
        limit = f"{'≤' if self.at_most else '≥'} {show(self.target)}"
        mine = self.figure(statistics.median(pair[0] for pair in self.pairs))
        other = self.figure(statistics.median(pair[1] for pair in self.pairs)) if is_ratio else "—"
        return [self.what, self.against, mine, other, show(median), show(min(results)), show(max(results)), limit,
                "met" if met else "MISSED"]

    def figure(self, value):
        if self.unit == "µs":
            return f"{value * 1e6:.2f} µs"
        return f"{value:,.0f}/s".replace(",", " ") if self.unit == "/s" else f"{value:.1f} {self.unit}"


def rate_row(what, against, target):
    return Row(what, against, target, lambda ours, theirs: (ours.rate, theirs.rate), "/s")


def print_table(rows):
    head = ["what", "against", "Sprockets", "the other", "median", "min", "max", "target", ""]
    lines = [head] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")


# ---------------------------------------------------------------------------------------------------------------------
# Processes


def die_with_parent():
    """In the child: even if this script is killed with -9, nothing stays behind."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Process:
    def __init__(self, command, log_path):
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          preexec_fn=die_with_parent)

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND  # utime and stime

    def thread_cpu_seconds(self, name):
        """Of the thread with this name, to the nanosecond."""
        for task in Path(f"/proc/{self.popen.pid}/task").iterdir():
            if (task / "comm").read_text().strip() == name:
                return int((task / "schedstat").read_text().split()[0]) / 1e9
        raise BenchmarkFailed(f"there is no thread {name}")

    def memory_mib(self, name):
        """`name` is VmRSS or VmHWM."""
        for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
        raise BenchmarkFailed(f"/proc knows no {name}")

    def stop(self, signal_number=signal.SIGTERM):
        if self.popen.poll() is None:
            self.popen.send_signal(signal_number)
        try:
            self.popen.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise BenchmarkFailed(f"{self.popen.args[0]} did not stop") from None

    def complaint(self, what):
        state = "is dead" if self.popen.poll() is not None else "is running"
        log = Path(self.log_path).read_text(errors="replace")[-2000:]
        return BenchmarkFailed(f"{what}; {self.popen.args[0]} {state}, its log ends with\n{log}")

    def wait_until(self, condition, what):
        deadline = time.monotonic() + 30
        while not condition():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise self.complaint(f"{what} did not come about")
            time.sleep(0.02)


def run_tool(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=die_with_parent, check=False, **options)
    if done.returncode != 0:
        raise BenchmarkFailed(f"{' '.join(command)[:200]}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def redis_cli(socket, *words):
    done = subprocess.run(["redis-cli", "-s", str(socket), "--raw", *words], capture_output=True, text=True, check=False)
    return done.stdout.rstrip("\n")


def redis_benchmark(socket, clients, pipeline, events, entry):
    """Sends XADDs and returns how many a second were answered."""
    command = ["redis-benchmark", "-s", str(socket), "-c", str(clients), "-P", str(pipeline), "-n", str(events), "--csv"]
    if entry == CLIENT_ID:
        command += ["-r", "2000000000"]  # below 2^31: redis-benchmark reads it as an int
    output = run_tool(command + ["XADD", STREAM, "*", *entry])
    return float(list(csv.reader(output.splitlines()))[-1][1])


def benchmark_command(socket, test, pipeline, commands):
    """Sends one of redis-benchmark's own commands and returns how many a second were answered."""
    output = run_tool(["redis-benchmark", "-s", str(socket), "-t", test, "-c", str(CLIENTS), "-P", str(pipeline),
                       "-n", str(commands), "-r", "100000", "-d", "300", "--csv"])
    return float(list(csv.reader(output.splitlines()))[-1][1])


def peak_memory_mib(process):
    """Of a child, waited for until it ends. Its `maxrss` would not do: that counts this script's memory before exec, too."""
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):  # it has just ended
            text = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, int(text.partition("VmHWM:")[2].split()[0]))
        time.sleep(0.005)
    return peak / 1024


def children_cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclass
class Lab:
    """Where everything lives and how much of it there is."""

    folder: Path
    programs: Path
    scale: float
    notes: list = field(default_factory=list)
    shares: dict = field(default_factory=dict)  # of profile(), by its title

    def profile(self, title, rate, **cpu):
        """Where an event's time goes: seconds of CPU an event, by who spends them. Medians are printed as a note."""
        self.shares.setdefault(title, []).append({"in all": 1 / rate, **cpu})

    def profiles(self):
        for title, samples in self.shares.items():
            medians = {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}
            yield f"{title}, µs an event: " + ", ".join(f"{name} {1e6 * value:.2f}" for name, value in medians.items())

    def events(self, full):
        """A number of events that every combination of clients and pipeline divides."""
        step = CLIENTS * max(PIPELINES)
        return max(step, int(full * self.scale) // step * step)

    @contextlib.contextmanager
    def redis(self):
        """Without AOF: what is compared is the way into Redis, not its disk."""
        socket = self.folder / "redis.sock"
        redis = Process(["redis-server", "--port", "0", "--unixsocket", str(socket), "--dir", str(self.folder),
                         "--save", "", "--appendonly", "no"], self.folder / "redis.log")
        redis.socket = socket
        try:
            redis.wait_until(lambda: redis_cli(socket, "PING") == "PONG", "PONG")
            yield redis
        except BenchmarkFailed as failure:
            raise redis.complaint(str(failure)) from failure
        finally:
            redis.stop(signal.SIGKILL)

    @contextlib.contextmanager
    def sidecar(self, spill_folder, *options):
        socket = self.folder / "sidecar.sock"
        sidecar = Process([str(self.programs / "sprockets-sidecar"), "--socket", str(socket), "--redis",
                           f"unix://{self.folder}/redis.sock", "--spill-dir", str(spill_folder), *options],
                          self.folder / "sidecar.log")
        sidecar.socket = socket
        try:
            sidecar.wait_until(lambda: redis_cli(socket, "PING") == "PONG", "PONG")
            yield sidecar
        except BenchmarkFailed as failure:
            raise sidecar.complaint(str(failure)) from failure
        finally:
            sidecar.stop()

    @contextlib.contextmanager
    def haproxy(self, redis_socket):
        """One thread, as the sidecar has."""
        program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            raise BenchmarkFailed("this row needs haproxy: apt-get install haproxy")
        socket = self.folder / "haproxy.sock"
        configuration = self.folder / "haproxy.cfg"
        configuration.write_text(f"""global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen redis
  bind unix@{socket}
  server redis unix@{redis_socket}
""")
        haproxy = Process([program, "-db", "-f", str(configuration)], self.folder / "haproxy.log")
        haproxy.socket = socket
        try:
            haproxy.wait_until(lambda: redis_cli(socket, "PING") == "PONG", "PONG")
            yield haproxy
        finally:
            haproxy.stop(signal.SIGKILL)

    @contextlib.contextmanager
    def new_folder(self):
        path = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def status(sidecar):
    return json.loads(redis_cli(sidecar.socket, "SPROCKETS", "STATUS"))


def expect_length(redis, events, entry):
    length = int(redis_cli(redis.socket, "XLEN", STREAM))
    repeated = 0.001 if entry == CLIENT_ID else 0  # now and then a random id comes twice
    if length < events * (1 - repeated):
        raise BenchmarkFailed(f"{events} events were sent, but the stream has {length}")


# ---------------------------------------------------------------------------------------------------------------------
# Subjects. Each is a context manager that yields (measure ours, measure theirs).


def forward(clients, pipeline, full_events, entry=NO_ID):
    """XADD through the sidecar against the same entry, event id included, straight into Redis."""

    @contextlib.contextmanager
    def subject(lab):
        events = lab.events(full_events)
        with lab.redis() as redis, lab.new_folder() as spill, lab.sidecar(spill / "spill") as sidecar:
            sidecar.wait_until(lambda: status(sidecar)["redis"]["breaker"] == "closed", "a connection to Redis")

            def measure(socket, entry):
                redis_cli(redis.socket, "FLUSHALL", "SYNC")
                redis_begin, sidecar_begin = redis.cpu_seconds(), sidecar.cpu_seconds()
                rate = redis_benchmark(socket, clients, pipeline, events, entry)
                sample = Sample(rate=rate, redis_cpu=(redis.cpu_seconds() - redis_begin) / events,
                                sidecar_cpu=(sidecar.cpu_seconds() - sidecar_begin) / events)
                expect_length(redis, events, entry)
                return sample

            ours = lambda: measure(sidecar.socket, entry)
            ours()
            complete_entry = redis_cli(redis.socket, "XREVRANGE", STREAM, "+", "-", "COUNT", "1").splitlines()[1:]
            yield ours, lambda: measure(redis.socket, entry if entry == CLIENT_ID else complete_entry)

    return subject


def forward_rows(pipeline, ratio, cpu, with_ids=""):
    return [
        rate_row(f"forward, {CLIENTS} clients, pipeline {pipeline}{with_ids}", "straight into Redis, same entry", ratio),
        Row(f"sidecar CPU an event, pipeline {pipeline}{with_ids}", "Redis CPU an XADD, same run", cpu,
            lambda ours, _: (ours.sidecar_cpu, ours.redis_cpu), "µs", at_most=True),
    ]


def one_at_a_time_rows():
    return [
        rate_row("forward, 64 clients, one at a time", "straight into Redis, same entry", 0.85),
        Row("Redis CPU an event, one at a time", "straight into Redis", 0.5,
            lambda ours, theirs: (ours.redis_cpu, theirs.redis_cpu), "µs", at_most=True),
    ]


def relay(test, pipeline, full_commands):
    """A command that is no event, through the sidecar against straight into Redis; each client has a connection of its own."""

    @contextlib.contextmanager
    def subject(lab):
        commands = lab.events(full_commands)
        with lab.redis() as redis, lab.new_folder() as spill, lab.sidecar(spill / "spill") as sidecar:
            sidecar.wait_until(lambda: status(sidecar)["redis"]["breaker"] == "closed", "a connection to Redis")

            measure = lambda socket: Sample(rate=benchmark_command(socket, test, pipeline, commands))
            measure(sidecar.socket)
            yield lambda: measure(sidecar.socket), lambda: measure(redis.socket)

    return subject


def relay_beside_haproxy(test, pipeline, full_commands):
    """What a connection of its own for each client costs at least: haproxy knows nothing of Redis and only carries bytes."""

    @contextlib.contextmanager
    def subject(lab):
        commands = lab.events(full_commands)
        with (lab.redis() as redis, lab.new_folder() as spill, lab.sidecar(spill / "spill") as sidecar,
              lab.haproxy(redis.socket) as haproxy):
            sidecar.wait_until(lambda: status(sidecar)["redis"]["breaker"] == "closed", "a connection to Redis")
            measure = lambda socket: Sample(rate=benchmark_command(socket, test, pipeline, commands))
            measure(sidecar.socket)
            yield lambda: measure(sidecar.socket), lambda: measure(haproxy.socket)

    return subject


def rows_a_commit(wal_path, rows):
    """Counts the commits in a WAL file (https://sqlite.org/fileformat2.html#walformat): the frames that close one."""
    wal = wal_path.read_bytes()
    page_bytes, _, salts = struct.unpack_from(">II8s", wal, 8)
    commits = 0
    for offset in range(32, len(wal) - 23, 24 + page_bytes):
        _, pages_after_commit, frame_salts = struct.unpack_from(">II8s", wal, offset)
        if frame_salts != salts:
            break  # left over from before the WAL was begun anew
        commits += pages_after_commit > 0
    return max(1, round(rows / commits))


SPILL_PIPELINE = 64  # with 16 clients about a thousand events are on their way, so that batches form


def spill_events(lab, folder, events, pipeline=SPILL_PIPELINE, entry=NO_ID, profile="spill"):
    """Spills into `folder` and seals by stopping the sidecar. Returns how many a second were acknowledged."""
    with lab.sidecar(folder) as sidecar:
        writer, whole = sidecar.thread_cpu_seconds("spill"), sidecar.cpu_seconds()
        rate = redis_benchmark(sidecar.socket, CLIENTS, pipeline, events, entry)
        writer, whole = sidecar.thread_cpu_seconds("spill") - writer, sidecar.cpu_seconds() - whole
        if status(sidecar)["counters"]["spilled"] < events * (0.999 if entry == CLIENT_ID else 1):
            raise BenchmarkFailed("not every event was spilled")
        lab.profile(profile, rate, **{"CPU of the writer thread": writer / events, "of the loop": (whole - writer) / events})
        return rate


def usual_batch(lab, pipeline, entry):
    """How many events the sidecar commits at once under this load."""
    few = CLIENTS * max(pipeline * 6, 40)  # so few that the WAL, which is begun anew at 4 MiB, still has every commit
    with lab.new_folder() as folder, lab.sidecar(folder / "spill") as sidecar:
        redis_benchmark(sidecar.socket, CLIENTS, pipeline, few, entry)
        return rows_a_commit(next((folder / "spill").glob("*.active.sqlite-wal")), few)


def spill(name, pipeline, full_events, entry=NO_ID):
    """Durable acknowledgements without Redis against a raw SQLite loop: same rows, batches as large as the sidecar's."""

    @contextlib.contextmanager
    def subject(lab):
        events = lab.events(full_events)
        batch = usual_batch(lab, pipeline, entry)
        lab.notes.append(f"{name}: batches of {batch} rows")
        with lab.new_folder() as folder:

            def ours():
                shutil.rmtree(folder / "spill", ignore_errors=True)
                return Sample(rate=spill_events(lab, folder / "spill", events, pipeline, entry, name))

            def theirs():
                sealed = next((folder / "spill").glob("*.sealed.sqlite"))
                with lab.new_folder() as raw:
                    command = [lab.programs / "raw_insert", sealed, str(batch), raw / "raw.sqlite"]
                    rate, cpu = run_tool([str(word) for word in command]).split()
                    lab.profile(f"raw SQLite loop, as {name}", float(rate), CPU=float(cpu) / events)
                    return Sample(rate=float(rate))

            yield ours, theirs

    return subject


def as_commands(redis):
    """The entries of the stream as the XADDs that would make them."""
    commands = bytearray()
    lines = redis_cli(redis.socket, "XRANGE", STREAM, "-", "+").splitlines()
    for at in range(0, len(lines), 5):  # an id, two fields, two values
        words = ["XADD", STREAM, "*", *lines[at + 1 : at + 5]]
        commands += f"*{len(words)}\r\n".encode()
        for word in words:
            commands += f"${len(word)}\r\n{word}\r\n".encode()
    return commands


@contextlib.contextmanager
def drain(lab):
    """A sealed folder into Redis, every event accounted for, against `redis-cli --pipe` of the same entries."""
    events = lab.events(400_000)
    with lab.new_folder() as folder:
        spill_events(lab, folder / "spilled", events)
        with lab.redis() as redis:

            def timed(command, **options):
                redis_cli(redis.socket, "FLUSHALL", "SYNC")
                begun, cpu, redis_cpu = time.monotonic(), children_cpu_seconds(), redis.cpu_seconds()
                run_tool(command, **options)
                seconds = time.monotonic() - begun
                cpu, redis_cpu = children_cpu_seconds() - cpu, redis.cpu_seconds() - redis_cpu
                title = "drain" if "drain" in command else "redis-cli --pipe"
                lab.profile(title, events / seconds, **{"its CPU": cpu / events, "Redis CPU": redis_cpu / events})
                expect_length(redis, events, NO_ID)
                return Sample(rate=events / seconds)

            def ours():
                shutil.rmtree(folder / "draining", ignore_errors=True)
                shutil.copytree(folder / "spilled", folder / "draining")
                return timed([str(lab.programs / "sprockets-replayer"), "drain", "--redis", f"unix://{redis.socket}",
                              "--spill-dir", str(folder / "draining"), "--progress", "none"])

            def theirs():
                with open(folder / "commands", "rb") as commands:
                    return timed(["redis-cli", "-s", str(redis.socket), "--pipe"], stdin=commands)

            ours()
            (folder / "commands").write_bytes(as_commands(redis))
            yield ours, theirs


@contextlib.contextmanager
def memory(lab):
    """The sidecar at rest and through an outage, with clients' own event ids, so that the window fills up, too."""
    events = lab.events(1_024_000)

    def ours():
        with lab.new_folder() as folder, lab.sidecar(folder / "spill", "--seal-after", "1s") as sidecar:
            with lab.redis():
                sidecar.wait_until(lambda: status(sidecar)["redis"]["breaker"] == "closed", "a connection to Redis")
                idle = sidecar.memory_mib("VmRSS")
                redis_benchmark(sidecar.socket, CLIENTS, 16, CLIENTS * 16 * 4, CLIENT_ID)
            redis_benchmark(sidecar.socket, CLIENTS, 16, events, CLIENT_ID)
            if status(sidecar)["counters"]["spilled"] < events * 0.99:  # now and then an id comes twice
                raise BenchmarkFailed("not every event was spilled")
            with lab.redis():
                active = lambda: list((folder / "spill").glob("*.active.sqlite"))
                sidecar.wait_until(lambda: not active(), "a sealed spill file")
                return Sample(memory={"idle": idle, "peak": sidecar.memory_mib("VmHWM")})

    yield ours, None


# ---------------------------------------------------------------------------------------------------------------------
# Starts over what earlier lives left


class Skipped(Exception):
    pass


SPILLED_ROW_BYTES = 400
DRAINED_FILE_BYTES = 150_000


def drop_from_cache(folder):
    """As far as the system lets us: what is not dirty is read from the disk again."""
    for path in folder.rglob("*.sqlite"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start(full_rows, rows_a_file, state, refill=False):
    """Time until a sidecar without Redis has acknowledged its first event, and its peak memory when all is read."""

    @contextlib.contextmanager
    def subject(lab):
        rows = int(full_rows * lab.scale)
        wanted = rows * SPILLED_ROW_BYTES + rows // rows_a_file * DRAINED_FILE_BYTES
        free = shutil.disk_usage(lab.folder).free
        if free < 2 * wanted:
            raise Skipped(f"needs {2 * wanted >> 30} GiB of free disk in {lab.folder.parent}, there are {free >> 30}")
        with lab.new_folder() as folder:
            spill = folder / "spill"
            fill = [str(word) for word in (lab.programs / "fill_spill", spill, rows, rows_a_file, state)]
            if not refill:
                run_tool(fill)

            def ours():
                if refill:
                    shutil.rmtree(spill, ignore_errors=True)
                    run_tool(fill)
                os.sync()
                drop_from_cache(spill)
                log = lab.folder / "sidecar.log"
                old_log_bytes = log.stat().st_size if log.exists() else 0
                begun = time.monotonic()
                with lab.sidecar(spill) as sidecar:
                    answer = redis_cli(sidecar.socket, "XADD", STREAM, "*", *NO_ID, "event_id", f"new-{time.time_ns()}")
                    seconds = time.monotonic() - begun
                    if not answer.startswith("0-"):
                        raise BenchmarkFailed(f"the first event was answered {answer}")
                    words = lambda: log.read_bytes()[old_log_bytes:].split()
                    is_read = lambda: b"spill-folder-read-on" not in words() or b"spill-folder-read" in words()
                    sidecar.wait_until(is_read, "a spill folder that is read")
                    return Sample(memory={"open": 1000 * seconds, "peak": sidecar.memory_mib("VmHWM")})

            yield ours, None

    return subject


def start_rows(over):
    return [
        Row(f"start over {over}: first event acknowledged", "—", 1000, lambda ours, _: (ours.memory["open"], None), "ms",
            at_most=True),
        Row("its peak memory", "—", 64, lambda ours, _: (ours.memory["peak"], None), "MiB", at_most=True),
    ]


# ---------------------------------------------------------------------------------------------------------------------
# From PostgreSQL


class Postgres:
    """A private server; PostgreSQL refuses to run as root, so it becomes the package's user then."""

    def __init__(self, folder):
        self.folder = folder
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.user:
            for parent in (folder, folder.parent):
                parent.chmod(0o711)
            (folder / "postgres").mkdir()
            shutil.chown(folder / "postgres", "postgres")
        self.socket_folder = folder / "postgres"
        self.data = self.socket_folder / "data"
        run_tool([*self.user, str(self.programs / "initdb"), "-D", str(self.data), "-A", "trust", "-U", "postgres"])
        self.process = Process([*self.user, str(self.programs / "postgres"), "-D", str(self.data), "-k",
                                str(self.socket_folder), "-c", "listen_addresses="], folder / "postgres.log")
        ready = [str(self.programs / "pg_isready"), "-q", "-h", str(self.socket_folder)]
        self.process.wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "a PostgreSQL that answers")

    def url(self):
        return f"postgres://postgres@/postgres?host={self.socket_folder}"

    def execute(self, sql):
        run_tool(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url()])

    def stop(self):
        # The postmaster itself: runuser would not hand the signal on.
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGINT)
        self.process.popen.wait(timeout=60)


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
                    begun = time.monotonic()
                    process = subprocess.Popen([*replayer, "rebuild", *stores], stdout=subprocess.PIPE, text=True)
                    peak = peak_memory_mib(process)
                    seconds = time.monotonic() - begun
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
                    return Sample(rate=rows / seconds, memory={"verify": rows / verify, "peak": peak})

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
                    return Sample(rate=rows / seconds, memory={"paging": paging})

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


# The limits are those that the design sets, met or not.
SUBJECTS = {
    "forward-16": (forward(CLIENTS, 16, 600_000), forward_rows(16, 0.90, 0.5)),
    "forward-64": (forward(CLIENTS, 64, 600_000), forward_rows(64, 0.95, 0.5)),
    "forward-256": (forward(CLIENTS, 256, 600_000), forward_rows(256, 0.95, 0.5)),
    "forward-16-id": (forward(CLIENTS, 16, 600_000, CLIENT_ID), forward_rows(16, 0.85, 0.7, ", client's id")),
    "forward-64-id": (forward(CLIENTS, 64, 600_000, CLIENT_ID), forward_rows(64, 0.90, 0.7, ", client's id")),
    "forward-256-id": (forward(CLIENTS, 256, 600_000, CLIENT_ID), forward_rows(256, 0.90, 0.7, ", client's id")),
    "one-at-a-time": (forward(64, 1, 100_000), one_at_a_time_rows()),
    "relay-get-16": (relay("get", 16, 400_000), [rate_row("relay GET, 16 clients, pipeline 16", "straight into Redis", 0.8)]),
    "relay-set-16": (relay("set", 16, 400_000), [rate_row("relay SET, 16 clients, pipeline 16", "straight into Redis", 0.8)]),
    "relay-get": (relay("get", 1, 100_000), [rate_row("relay GET, 16 clients, one at a time", "straight into Redis", 0.5)]),
    "relay-set": (relay("set", 1, 100_000), [rate_row("relay SET, 16 clients, one at a time", "straight into Redis", 0.5)]),
    "spill": (spill("spill", SPILL_PIPELINE, 400_000), [
        rate_row("spill, Redis down, durable", "raw SQLite loop, same rows, same batches", 1.3)]),
    "spill-id": (spill("spill with ids", SPILL_PIPELINE, 400_000, CLIENT_ID), [
        rate_row("spill, client's id", "raw SQLite loop, same rows, same batches", 1.2)]),
    "spill-one-at-a-time": (spill("spill one at a time", 1, 40_000), [
        rate_row("spill, 16 clients, one at a time", "raw SQLite loop, same rows, same batches", 1.3)]),
    "drain": (drain, [rate_row("drain", "redis-cli --pipe of the same entries", 0.95)]),
    "rebuild": (ONE_BOARD, [
        rate_row("rebuild a zset of 2 M, load and swap", "COPY, awk, redis-cli --pipe", 3.0),
        Row("compare it by value", "ZRANGE paging alone", 0.7, lambda ours, theirs: (ours.memory["verify"], theirs.memory["paging"]),
            "/s"),
        Row("peak memory of the replayer", "—", 32, lambda ours, _: (ours.memory["peak"], None), "MiB", at_most=True),
    ]),
    "small-keys": (SMALL_BOARDS, [rate_row("rebuild 1000 zsets of 50", "COPY, awk, redis-cli --pipe", 1.0)]),
    "memory": (memory, [
        Row("memory of the sidecar at rest", "—", 12, lambda ours, _: (ours.memory["idle"], None), "MiB", at_most=True),
        Row("its peak, 1 M events without Redis", "—", 40, lambda ours, _: (ours.memory["peak"], None), "MiB", at_most=True),
    ]),
    "start": (start(10_000_000, 640_000, "sealed"), start_rows("10 M spilled rows")),
    "start-drained": (start(100_000, 10, "drained"), start_rows("10 000 drained files")),
    "start-killed": (start(640_000, 640_000, "killed", refill=True), start_rows("a full file that kill -9 left")),
}

# Beside programs of others, which Debian has and nothing here installs.
PEERS = {
    f"relay-{test}-16-haproxy": (relay_beside_haproxy(test, 16, 400_000), [
        rate_row(f"relay {test.upper()}, 16 clients, pipeline 16", "haproxy in TCP mode", 1.0)])
    for test in ("get", "set")
}


def measure_subject(lab, name, pairs):
    subject, rows = (SUBJECTS | PEERS)[name]
    with subject(lab) as (ours, theirs):
        for number in range(pairs):
            if sys.stderr.isatty():
                print(f"\r\033[K{name}: pair {number + 1} of {pairs}", end="", file=sys.stderr, flush=True)
            our_sample, their_sample = ours(), theirs() if theirs else None
            for row in rows:
                row.add(our_sample, their_sample)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return rows


def parse_arguments():
    known = SUBJECTS | PEERS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, help="pairs of each subject (default 5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the events and two pairs: does it work at all?")
    parser.add_argument("--only", metavar="NAME", action="append", help=f"one of {', '.join(known)}; may repeat")
    parser.add_argument("--peers", action="store_true", help="also beside programs of others, which must be installed: haproxy")
    parser.add_argument("--programs", type=Path, default=Path(__file__).resolve().parent.parent / "build/bin",
                        help="folder of the built programs (default build/bin)")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"),
                        help="where to work; it should lie on a disk, not in memory (default /var/tmp)")
    arguments = parser.parse_args()
    for name in arguments.only or []:
        if name not in known:
            parser.error(f"--only: there is no {name}; there is {', '.join(known)}")
    if arguments.pairs is not None and arguments.pairs < 1:
        parser.error("--pairs: at least 1")
    return arguments


def stop_cleanly(signal_number, _):
    sys.exit(128 + signal_number)


def main():
    arguments = parse_arguments()
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, stop_cleanly)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # children inherit it

    pairs = arguments.pairs or (2 if arguments.quick else 5)
    chosen = arguments.only or [*SUBJECTS, *(PEERS if arguments.peers else [])]
    names = [name for name in SUBJECTS | PEERS if name in chosen]
    rows = []
    with tempfile.TemporaryDirectory(prefix="sprockets-bench-", dir=arguments.folder) as folder:
        lab = Lab(Path(folder), arguments.programs.resolve(), 0.1 if arguments.quick else 1)
        for name in names:
            try:
                rows += measure_subject(lab, name, pairs)
            except Skipped as why:
                lab.notes.append(f"{name}: skipped, it {why}")
    print(f"Medians of {pairs} interleaved pairs" + (", each with a tenth of the events." if arguments.quick else "."))
    if rows:
        print_table(rows)
    for note in [*lab.notes, *lab.profiles()]:
        print(note)


if __name__ == "__main__":
    try:
        main()
    except (BenchmarkFailed, FileNotFoundError) as failure:
        sys.exit(f"bench: {failure}")

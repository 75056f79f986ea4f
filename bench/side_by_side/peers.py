"""Programs of others, which Debian has and nothing here installs."""

import contextlib
import os
import re
import shutil
import signal
import socket
import time

from clients import CLIENTS, NO_ID, PAYLOAD, STREAM, benchmark_command, redis_benchmark, redis_cli, wait_until_forwarding
from lab import Skipped
from processes import BenchmarkFailed, Process, run_tool
from table import Row, Sample, rate_row


def program_of(packages, name):
    """Where it is. Packages of Debian have it, which may be missing."""
    program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise Skipped(f"it needs {name}: apt-get install {packages}")
    return program


@contextlib.contextmanager
def haproxy(lab, redis_socket):
    """One thread, as the sidecar has."""
    program = program_of("haproxy", "haproxy")
    path = lab.folder / "haproxy.sock"
    configuration = lab.folder / "haproxy.cfg"
    configuration.write_text(f"""global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen redis
  bind unix@{path}
  server redis unix@{redis_socket}
""")
    process = Process([program, "-db", "-f", str(configuration)], lab.folder / "haproxy.log")
    process.socket = path
    try:
        process.wait_until(lambda: redis_cli(path, "PING") == "PONG", "PONG")
        yield process
    finally:
        process.stop(signal.SIGKILL)


def relay_beside_haproxy(test, pipeline, full_commands):
    """What a connection of its own for each client costs at least: haproxy knows nothing of Redis and only carries bytes."""

    @contextlib.contextmanager
    def subject(lab):
        commands = lab.events(full_commands)
        with (lab.redis() as redis, lab.new_folder() as spill, lab.sidecar(spill / "spill") as sidecar,
              haproxy(lab, redis.socket) as peer):
            wait_until_forwarding(sidecar)
            measure = lambda socket: Sample(rate=benchmark_command(socket, test, pipeline, commands))
            measure(sidecar.socket)
            yield lambda: measure(sidecar.socket), lambda: measure(peer.socket)

    return subject


# One worker, which keeps the order, and as many events in a pipeline as help. What it buffers on disk it does not sync.
SYSLOG_NG = """@version: 3.35
options {{ stats-freq(0); }};
source clients {{ unix-stream(
  "{folder}/in.sock" flags(no-parse) max-connections(2) log-iw-size(20000) log-fetch-limit(1000)); }};
destination events {{ redis(
  host("127.0.0.1") port({port}) command("XADD", "{stream}", "*", "data", "${{MSG}}") batch-lines(1000) batch-timeout(10)
  disk-buffer(reliable({reliable}) {memory} disk-buf-size(1073741824) dir("{folder}"))); }};
log {{ source(clients); destination(events); flags(flow-control); }};
"""
SYSLOG_NG_PACKAGES = "syslog-ng-core syslog-ng-mod-redis"
SYSLOG_NG_MEMORY = {"yes": "mem-buf-size(16777216)", "no": "mem-buf-length(20000)"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def syslog_ng(lab, folder, port, reliable):
    program = program_of(SYSLOG_NG_PACKAGES, "syslog-ng")
    if not re.search(r"^Available-Modules:.*\bredis\b", run_tool([program, "--version"]), re.M):
        raise Skipped(f"this syslog-ng knows no Redis: apt-get install {SYSLOG_NG_PACKAGES}")
    configuration = folder / "syslog-ng.conf"
    configuration.write_text(SYSLOG_NG.format(folder=folder, port=port, stream=STREAM, reliable=reliable,
                                              memory=SYSLOG_NG_MEMORY[reliable]))
    own_files = [word for option in ("persist-file", "pidfile", "control") for word in (f"--{option}", str(folder / option))]
    process = Process([program, "--foreground", "--no-caps", "--cfgfile", str(configuration), *own_files],
                      lab.folder / "syslog-ng.log")
    try:
        process.wait_until((folder / "in.sock").is_socket, "its socket")
        yield process
    except BenchmarkFailed as failure:
        raise process.complaint(str(failure)) from failure
    finally:
        process.stop()


def feed(path, events, redis):
    """Writes a line an event, as fast as they are read, and returns how many a second arrived in Redis."""
    lines = f"{PAYLOAD}\n".encode() * events
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(lines)
        redis.wait_until(lambda: int(redis_cli(redis.socket, "XLEN", STREAM)) >= events, f"a stream of {events} events")
    return events / (time.monotonic() - begun)


def forward_beside_syslog_ng(reliable, full_events):
    """End to end into the same Redis, which syslog-ng reaches by TCP only."""

    @contextlib.contextmanager
    def subject(lab):
        events = lab.events(full_events)
        port = free_port()
        with (lab.redis(port) as redis, lab.new_folder() as folder, lab.sidecar(folder / "spill") as sidecar,
              syslog_ng(lab, folder, port, reliable) as peer):
            wait_until_forwarding(sidecar)

            def measure(process, send):
                redis_cli(redis.socket, "FLUSHALL", "SYNC")
                begin = process.cpu_seconds()
                rate = send()
                return Sample(rate=rate, figures={"cpu": (process.cpu_seconds() - begin) / events})

            ours = lambda: measure(sidecar, lambda: redis_benchmark(sidecar.socket, CLIENTS, 64, events, NO_ID))
            theirs = lambda: measure(peer, lambda: feed(folder / "in.sock", events, redis))
            ours()
            theirs()
            yield ours, theirs

    return subject


def syslog_ng_rows(buffer):
    return [
        rate_row("forward, 16 clients, pipeline 64", f"syslog-ng, {buffer}", 1.0),
        Row("sidecar CPU an event, pipeline 64", f"syslog-ng's, {buffer}", 1.0,
            lambda ours, theirs: (ours.figures["cpu"], theirs.figures["cpu"]), "µs", at_most=True),
    ]


SUBJECTS = {
    **{f"relay-{test}-16-haproxy": (relay_beside_haproxy(test, 16, 400_000), [
        rate_row(f"relay {test.upper()}, 16 clients, pipeline 16", "haproxy in TCP mode", 1.0)])
       for test in ("get", "set")},
    "forward-64-syslog-ng": (forward_beside_syslog_ng("no", 200_000), syslog_ng_rows("disk-buffer reliable(no)")),
    "forward-64-syslog-ng-reliable": (forward_beside_syslog_ng("yes", 200_000), syslog_ng_rows("disk-buffer reliable(yes)")),
}

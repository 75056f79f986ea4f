"""Draining: spilled events into Redis."""

import contextlib
import os
import shutil
import subprocess
import time

from clients import NO_ID, STREAM, expect_length, redis_cli
from processes import BenchmarkFailed, children_cpu_seconds, peak_memory_mib, run_tool
from spill import spill_events
from table import Row, Sample, rate_row


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


def drain_command(lab, redis, spilled, draining):
    """Of a copy of the folder `spilled`, on disk as a sidecar leaves it: every commit of its is synced."""
    shutil.rmtree(draining, ignore_errors=True)
    shutil.copytree(spilled, draining)
    os.sync()
    return [str(lab.programs / "sprockets-replayer"), "drain", "--redis", f"unix://{redis.socket}", "--spill-dir",
            str(draining), "--progress", "none"]


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
                return timed(drain_command(lab, redis, folder / "spilled", folder / "draining"))

            def theirs():
                with open(folder / "commands", "rb") as commands:
                    return timed(["redis-cli", "-s", str(redis.socket), "--pipe"], stdin=commands)

            ours()
            (folder / "commands").write_bytes(as_commands(redis))
            yield ours, theirs


@contextlib.contextmanager
def memory(lab):
    """Apart from the rate, since to look at a process costs time."""
    events = lab.events(400_000)
    with lab.new_folder() as folder:
        spill_events(lab, folder / "spilled", events)
        with lab.redis() as redis:

            def ours():
                command = drain_command(lab, redis, folder / "spilled", folder / "draining")
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
                peak = peak_memory_mib(process)
                if process.returncode != 0:
                    raise BenchmarkFailed(f"drain: exit code {process.returncode}")
                return Sample(figures={"peak": peak})

            yield ours, None


SUBJECTS = {
    "drain": (drain, [rate_row("drain", "redis-cli --pipe of the same entries", 0.95)]),
    "drain-memory": (memory, [
        Row("peak memory of the drain", "—", 32, lambda ours, _: (ours.figures["peak"], None), "MiB", at_most=True)]),
}

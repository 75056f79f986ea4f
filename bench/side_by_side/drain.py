"""Draining: spilled events into Redis."""

import contextlib
import shutil
import time

from clients import NO_ID, STREAM, expect_length, redis_cli
from processes import children_cpu_seconds, run_tool
from spill import spill_events
from table import Sample, rate_row


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


SUBJECTS = {
    "drain": (drain, [rate_row("drain", "redis-cli --pipe of the same entries", 0.95)]),
}

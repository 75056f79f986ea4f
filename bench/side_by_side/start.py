"""Starts over what earlier lives left."""

import contextlib
import os
import re
import shutil
import time

from clients import NO_ID, STREAM, redis_cli
from lab import Skipped
from processes import BenchmarkFailed, run_tool
from table import Row, Sample

SPILLED_ROW_BYTES = 400
ACK_DISK = ("--ack", "disk")
DRAINED_FILE_BYTES = 150_000


def drop_from_cache(folder):
    """As far as the system lets us: what is not dirty is read from the disk again."""
    for path in folder.rglob("*.sqlite"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start(full_rows, rows_a_file, state, refill=False, options=()):
    """Times until a sidecar without Redis answers, and until it has acknowledged its first event, whose id may be among
    those on disk; and its peak memory when all is read."""

    @contextlib.contextmanager
    def subject(lab):
        rows = int(full_rows * lab.scale)
        wanted = rows * SPILLED_ROW_BYTES + rows // rows_a_file * DRAINED_FILE_BYTES
        free = shutil.disk_usage(lab.folder).free
        if free < 2 * wanted:
            raise Skipped(f"it needs {2 * wanted >> 30} GiB of free disk in {lab.folder.parent}, there are {free >> 30}")
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
                with lab.sidecar(spill, *options) as sidecar:
                    door_seconds = time.monotonic() - begun
                    answer = redis_cli(sidecar.socket, "XADD", STREAM, "*", *NO_ID, "event_id", f"new-{time.time_ns()}")
                    seconds = time.monotonic() - begun
                    if not re.fullmatch(r"\d{13}-\d+" if options == ACK_DISK else r"0-\d+", answer):
                        raise BenchmarkFailed(f"the first event was answered {answer}")
                    words = lambda: log.read_bytes()[old_log_bytes:].split()
                    is_read = lambda: b"spill-folder-read-on" not in words() or b"spill-folder-read" in words()
                    sidecar.wait_until(is_read, "a spill folder that is read")
                    return Sample(figures={"door": 1000 * door_seconds, "open": 1000 * seconds,
                                           "peak": sidecar.memory_mib("VmHWM")})

            yield ours, None

    return subject


def door_row(over):
    return Row(f"start over {over}: the door opens", "—", 1000, lambda ours, _: (ours.figures["door"], None), "ms",
               at_most=True)


def start_rows(over):
    return [
        Row(f"start over {over}: first event acknowledged", "—", 1000, lambda ours, _: (ours.figures["open"], None), "ms",
            at_most=True),
        Row("its peak memory", "—", 64, lambda ours, _: (ours.figures["peak"], None), "MiB", at_most=True),
    ]


SUBJECTS = {
    "start": (start(10_000_000, 640_000, "sealed"), start_rows("10 M spilled rows")),
    "start-drained": (start(100_000, 10, "drained"), start_rows("10 000 drained files")),
    "start-killed": (start(640_000, 640_000, "killed", refill=True), start_rows("a full file that kill -9 left")),
    "start-journals": (start(10_000_000, 640_000, "journals", options=ACK_DISK),
                       [door_row("10 M rows of journals"), *start_rows("10 M rows of journals")]),
}

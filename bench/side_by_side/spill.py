"""Spilling: durable acknowledgements while Redis is down."""

import contextlib
import shutil
import struct

from clients import CLIENT_ID, CLIENTS, NO_ID, redis_benchmark, status
from processes import BenchmarkFailed, run_tool
from table import Sample, rate_row


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
        lab.profile(profile, rate, **{"CPU of the writer": writer / events, "of the loop": (whole - writer) / events})
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


SUBJECTS = {
    "spill": (spill("spill", SPILL_PIPELINE, 400_000), [
        rate_row("spill, Redis down, durable", "raw SQLite loop, same rows, same batches", 1.3)]),
    "spill-id": (spill("spill with ids", SPILL_PIPELINE, 400_000, CLIENT_ID), [
        rate_row("spill, client's id", "raw SQLite loop, same rows, same batches", 1.2)]),
    "spill-one-at-a-time": (spill("spill one at a time", 1, 40_000), [
        rate_row("spill, 16 clients, one at a time", "raw SQLite loop, same rows, same batches", 1.0)]),
}

"""Sprockets against the same work done without it: one table of ratios.

Both sides of a row run in turn (ABAB…), on the same machine, the same Redis and the same disk, so that what disturbs one
side disturbs the other. A row shows the median of the pairs' ratios with the lowest and the highest. Everything runs on
two cores, in a temporary folder that is removed at the end, also after an interruption.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

import ahead
import allocations
import archive
import boards
import drain
import forward
import latency
import memory
import peers
import rebuild
import relay
import spill
import start
from lab import Lab, Skipped
from processes import BenchmarkFailed
from table import print_table

# In the order of the table. A subject is a module of its own, whose SUBJECTS are by name: what measures both sides, and the
# rows that are made of it. The limits of the rows are those that the design sets, met or not.
SUBJECTS = {
    **forward.SUBJECTS,
    **latency.SUBJECTS,
    **relay.SUBJECTS,
    **spill.SUBJECTS,
    **ahead.SUBJECTS,
    **drain.SUBJECTS,
    **rebuild.SUBJECTS,
    **archive.SUBJECTS,
    **boards.SUBJECTS,
    **memory.SUBJECTS,
    **start.SUBJECTS,
    **allocations.SUBJECTS,
}
PEERS = peers.SUBJECTS


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
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, help="pairs of each subject (default 5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the events and two pairs: does it work at all?")
    parser.add_argument("--only", metavar="NAME", action="append", help=f"one of {', '.join(known)}; may repeat")
    parser.add_argument("--peers", action="store_true",
                        help="also beside programs of others, as far as they are installed: haproxy, syslog-ng")
    parser.add_argument("--picture", metavar="FILE", type=Path,
                        help="draw there, as SVG, what the subject latency has measured")
    parser.add_argument("--programs", type=Path, default=Path(__file__).resolve().parents[2] / "build/bin",
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
        lab = Lab(Path(folder), arguments.programs.resolve(), 0.1 if arguments.quick else 1, arguments.picture)
        for name in names:
            try:
                rows += measure_subject(lab, name, pairs)
            except Skipped as skipped:
                lab.notes.append(f"{name} was skipped: {skipped}")
    print(f"Medians of {pairs} interleaved pairs" + (", each with a tenth of the events." if arguments.quick else "."))
    print_table(rows)
    for note in [*lab.notes, *lab.medians()]:
        print(note)


if __name__ == "__main__":
    try:
        main()
    except (BenchmarkFailed, FileNotFoundError) as failure:
        sys.exit(f"bench: {failure}")

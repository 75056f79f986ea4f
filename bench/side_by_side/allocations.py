"""How often an event makes the sidecar ask for memory, once everything has the room that it needs: it should never."""

import contextlib
import json
import struct

from clients import CLIENT_ID, CLIENTS, NO_ID, redis_benchmark, wait_until_connected, wait_until_forwarding
from processes import run_tool
from table import Row, Sample

PIPELINE = 64
AHEAD_PIPELINE = 4  # so that what is acknowledged lands meanwhile
WARM_UP = CLIENTS * PIPELINE * 200  # more events than the window has places


def of_core(lab, benchmark):
    """Of the parser, the router, its window and the framer alone, by their micro-benchmark."""
    told = json.loads(run_tool([str(lab.programs / "router_bench"), f"--benchmark_filter=^{benchmark}$",
                                "--benchmark_format=json", "--benchmark_min_time=0.1"]))
    return told["benchmarks"][0]["allocations"]


def counting_in(lab, counter):
    return {"LD_PRELOAD": str(lab.programs / "count_allocations.so"), "SPROCKETS_ALLOCATIONS": str(counter)}


def of_process(counter, sidecar, events, entry, pipeline=PIPELINE):
    """Of the whole sidecar, its libraries included."""
    so_far = lambda: struct.unpack("=Q", counter.read_bytes()[:8])[0]
    before = so_far()
    redis_benchmark(sidecar.socket, CLIENTS, pipeline, events, entry)
    return (so_far() - before) / events


def allocations(benchmark, entry, with_redis):
    @contextlib.contextmanager
    def subject(lab):
        with contextlib.ExitStack() as stack:
            if with_redis:
                stack.enter_context(lab.redis())
            folder = stack.enter_context(lab.new_folder())
            counter = folder / "allocations"
            sidecar = stack.enter_context(lab.sidecar(folder / "spill", environment=counting_in(lab, counter)))
            if with_redis:
                wait_until_forwarding(sidecar)
            redis_benchmark(sidecar.socket, CLIENTS, PIPELINE, WARM_UP, entry)
            yield lambda: Sample(figures={"process": of_process(counter, sidecar, lab.events(200_000), entry),
                                          "core": of_core(lab, benchmark)}), None

    return subject


@contextlib.contextmanager
def ahead(lab):
    """With --ack disk an event is kept until it has landed, so it does cost memory: how many pieces of it?"""
    with lab.redis(), lab.new_folder() as folder:
        counter = folder / "allocations"
        with lab.sidecar(folder / "spill", "--ack", "disk", environment=counting_in(lab, counter)) as sidecar:
            wait_until_connected(sidecar)
            redis_benchmark(sidecar.socket, CLIENTS, AHEAD_PIPELINE, lab.events(100_000), CLIENT_ID)
            yield lambda: Sample(figures={"process": of_process(counter, sidecar, lab.events(100_000), CLIENT_ID,
                                                                AHEAD_PIPELINE)}), None


def allocation_rows(way):
    return [
        Row(f"allocations an event, {way}", "—", 0.0, lambda ours, _: (ours.figures["process"], None), "", at_most=True),
        Row("the same, the core alone", "—", 0.0, lambda ours, _: (ours.figures["core"], None), "", at_most=True),
    ]


SUBJECTS = {
    "allocations": (allocations("ForwardWithoutId", NO_ID, with_redis=True), allocation_rows("forward")),
    "allocations-id": (allocations("ForwardWithId", CLIENT_ID, with_redis=True), allocation_rows("forward, client's id")),
    "allocations-spill": (allocations("SpillWithId", CLIENT_ID, with_redis=False), allocation_rows("spill, client's id")),
    "allocations-ahead": (ahead, [
        Row("allocations an event, --ack disk, client's id", "—", None, lambda ours, _: (ours.figures["process"], None), "")]),
}

"""Forwarding: XADD through the sidecar while Redis works."""

import contextlib

from clients import CLIENT_ID, CLIENTS, NO_ID, STREAM, expect_length, redis_benchmark, redis_cli, wait_until_forwarding
from table import Row, Sample, rate_row


def forward(clients, pipeline, full_events, entry=NO_ID):
    """XADD through the sidecar against the same entry, event id included, straight into Redis."""

    @contextlib.contextmanager
    def subject(lab):
        events = lab.events(full_events)
        with lab.redis() as redis, lab.new_folder() as spill, lab.sidecar(spill / "spill") as sidecar:
            wait_until_forwarding(sidecar)

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


SUBJECTS = {
    "forward-16": (forward(CLIENTS, 16, 600_000), forward_rows(16, 0.90, 0.5)),
    "forward-64": (forward(CLIENTS, 64, 600_000), forward_rows(64, 0.95, 0.5)),
    "forward-256": (forward(CLIENTS, 256, 600_000), forward_rows(256, 0.95, 0.5)),
    "forward-16-id": (forward(CLIENTS, 16, 600_000, CLIENT_ID), forward_rows(16, 0.85, 0.7, ", client's id")),
    "forward-64-id": (forward(CLIENTS, 64, 600_000, CLIENT_ID), forward_rows(64, 0.90, 0.7, ", client's id")),
    "forward-256-id": (forward(CLIENTS, 256, 600_000, CLIENT_ID), forward_rows(256, 0.90, 0.7, ", client's id")),
    "one-at-a-time": (forward(64, 1, 100_000), one_at_a_time_rows()),
}

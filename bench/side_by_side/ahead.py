"""--ack disk: a sidecar that commits before it acknowledges, in front of a Redis that syncs once a second; against a Redis
that itself syncs before it acknowledges."""

import contextlib
import os
import time

from clients import CLIENT_ID, expect_length, redis_benchmark, status, wait_until_connected
from processes import BenchmarkFailed, Process
from table import Row, Sample, rate_row

# Both append-only files and the journal lie on the same file system, in a folder that is new for every measurement.
BEHIND_THE_SIDECAR = "everysec"
ALONE = "always"
MANY_CLIENTS = 64
PIPELINE = 16  # of the new events while others are caught up
CAUGHT_UP_MS = 100  # so old may the oldest event be that Redis does not have
# To ask takes the processors' time from what is measured.
PATIENTLY = {"seconds": 120, "every": 0.2}


@contextlib.contextmanager
def redis_alone(lab):
    with lab.new_folder() as folder, lab.redis(folder=folder, appendfsync=ALONE) as redis:
        yield redis


@contextlib.contextmanager
def sidecar_ahead(lab):
    with lab.new_folder() as folder, lab.redis(folder=folder, appendfsync=BEHIND_THE_SIDECAR) as redis, \
            lab.sidecar(folder / "spill", "--ack", "disk") as sidecar:
        wait_until_connected(sidecar)
        yield redis, sidecar


def landed(sidecar):
    return status(sidecar)["counters"]["landed"]


def wait_until_landed(sidecar):
    sidecar.wait_until(lambda: not status(sidecar)["journal"]["behind"], "an empty journal.behind", **PATIENTLY)


def accept(name, clients, pipeline, full_events):
    """How fast XADDs with a client's id are acknowledged as durable. What has landed by then is told, too."""

    @contextlib.contextmanager
    def subject(lab):
        events = lab.events(full_events) if clients > 1 else int(full_events * lab.scale)
        warm_up = clients * pipeline * 4  # the journal has its file, the append-only file its first block

        def send(socket, count):
            return redis_benchmark(socket, clients, pipeline, count, CLIENT_ID)

        def ours():
            with sidecar_ahead(lab) as (redis, sidecar):
                send(sidecar.socket, warm_up)
                wait_until_landed(sidecar)
                os.sync()
                before = landed(sidecar), sidecar.cpu_seconds(), sidecar.thread_cpu_seconds("spill"), redis.cpu_seconds()
                rate = send(sidecar.socket, events)
                after = landed(sidecar), sidecar.cpu_seconds(), sidecar.thread_cpu_seconds("spill"), redis.cpu_seconds()
                landed_meanwhile, whole, writer, of_redis = (end - begin for begin, end in zip(before, after))
                lab.profile(name, rate, **{"CPU of the writer": writer / events, "of the rest": (whole - writer) / events,
                                           "Redis CPU": of_redis / events})
                begun = time.monotonic()
                wait_until_landed(sidecar)
                lab.tell(f"{name}, when the last event was acknowledged", **{
                    "% had landed": 100 * landed_meanwhile / events, "s until the others had": time.monotonic() - begun,
                    "MiB peak memory": sidecar.memory_mib("VmHWM")})
                expect_length(redis, events, CLIENT_ID)
                return Sample(rate=rate)

        def theirs():
            with redis_alone(lab) as redis:
                send(redis.socket, warm_up)
                os.sync()
                begun = redis.cpu_seconds()
                rate = send(redis.socket, events)
                lab.profile(f"Redis alone, as {name}", rate, CPU=(redis.cpu_seconds() - begun) / events)
                return Sample(rate=rate)

        yield ours, theirs

    return subject


@contextlib.contextmanager
def catch_up(lab):
    """A million events, accepted while Redis is away, go to Redis beside new ones. The new ones come at a fixed rate: half of
    what so many clients send when there is nothing to catch up."""
    events = lab.events(1_024_000)
    with sidecar_ahead(lab) as (_, sidecar):
        capacity = redis_benchmark(sidecar.socket, MANY_CLIENTS, PIPELINE, lab.events(300_000), CLIENT_ID)
    live_rate = int(capacity / 2)
    lab.notes.append(f"catching up: {live_rate} new events a second from {MANY_CLIENTS} clients, in pipelines of "
                     f"{PIPELINE}, half of what they send when there is nothing to catch up")

    def ours():
        with lab.new_folder() as folder, lab.sidecar(folder / "spill", "--ack", "disk") as sidecar:
            redis_benchmark(sidecar.socket, MANY_CLIENTS, 64, events, CLIENT_ID)
            waiting = status(sidecar)["counters"]["journaled"]
            if waiting < events * 0.999:  # now and then an id comes twice
                raise BenchmarkFailed("not every event was journaled")
            generator = [lab.programs / "xadd_latency", sidecar.socket, MANY_CLIENTS, live_rate, 600, PIPELINE]
            live = Process([str(word) for word in generator], lab.folder / "live.log")
            try:
                with lab.redis(folder=folder, appendfsync=BEHIND_THE_SIDECAR):
                    wait_until_connected(sidecar)
                    return Sample(figures=until_caught_up(sidecar, live) | {"peak": sidecar.memory_mib("VmHWM")})
            finally:
                live.stop()

    yield ours, None


def until_caught_up(sidecar, live):
    begun, before = time.monotonic(), status(sidecar)["counters"]
    is_caught_up = lambda: status(sidecar)["journal"]["lag_ms"] < CAUGHT_UP_MS
    sidecar.wait_until(is_caught_up, "a journal that has landed", **PATIENTLY)
    seconds, after = time.monotonic() - begun, status(sidecar)["counters"]
    if live.popen.poll() is not None:
        raise live.complaint("the new events ended")
    return {"seconds": seconds, "landed": (after["landed"] - before["landed"]) / seconds,
            "new": (after["journaled"] - before["journaled"]) / seconds}


def accept_row(clients, pipeline, ratio):
    how = f"{clients} clients, pipeline {pipeline}" if pipeline > 1 else f"{clients} clients, one at a time"
    return rate_row("--ack disk, " + (how if clients > 1 else "1 client"), f"Redis, appendfsync {ALONE}, same entry", ratio)


def accept_subject(clients, pipeline, full_events, ratio):
    return accept(f"--ack disk, {clients} × {pipeline}", clients, pipeline, full_events), [accept_row(clients, pipeline, ratio)]


SUBJECTS = {
    "ahead-1": accept_subject(MANY_CLIENTS, 1, 60_000, 1.5),
    "ahead-16": accept_subject(MANY_CLIENTS, 16, 300_000, 1.5),
    "ahead-64": accept_subject(MANY_CLIENTS, 64, 400_000, 1.5),
    "ahead-one-client": accept_subject(1, 1, 4_000, 1.0),
    "ahead-catch-up": (catch_up, [
        Row("--ack disk, 1 M events that waited, under load: until all have landed", "—", None,
            lambda ours, _: (ours.figures["seconds"], None), "s"),
        Row("events that land meanwhile", "new events, half of what they could be", None,
            lambda ours, _: (ours.figures["landed"], ours.figures["new"]), "/s"),
        Row("its peak memory", "—", 64, lambda ours, _: (ours.figures["peak"], None), "MiB", at_most=True),
    ]),
}

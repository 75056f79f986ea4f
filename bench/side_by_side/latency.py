"""How long one XADD takes while there is little to do: an open loop at a tenth of what Redis can take."""

import collections
import contextlib
import json

from clients import CLIENT_ID, CLIENTS, redis_benchmark, redis_cli, wait_until_forwarding
from latency_picture import draw
from processes import run_tool
from table import Row, Sample

FULL_LOAD_CLIENTS = 64
SECONDS = 5  # of each measurement


def tenth_of_full_load(lab, redis):
    """In XADDs a second, each by itself: a pipeline would say how long a whole batch takes."""
    return int(redis_benchmark(redis.socket, FULL_LOAD_CLIENTS, 1, lab.events(100_000), CLIENT_ID) / 10)


@contextlib.contextmanager
def latency(lab):
    """The same XADDs with a client's id, at the same fixed rate, through the sidecar and straight into Redis."""
    curves = collections.defaultdict(collections.Counter)
    with lab.redis() as redis, lab.new_folder() as spill, lab.sidecar(spill / "spill") as sidecar:
        wait_until_forwarding(sidecar)
        rate = tenth_of_full_load(lab, redis)
        lab.notes.append(f"latency: {rate} XADDs a second from {CLIENTS} clients, a tenth of what {FULL_LOAD_CLIENTS} clients "
                         "send straight into Redis one at a time")

        def measure(name, socket):
            redis_cli(redis.socket, "FLUSHALL", "SYNC")
            seconds = max(1, round(SECONDS * lab.scale))
            generator = [lab.programs / "xadd_latency", socket, CLIENTS, rate, seconds]
            told = json.loads(run_tool([str(word) for word in generator]))
            curves[name].update(dict(told["buckets_us"]))
            lab.tell(f"latency {name}, of which the generator sent late, µs", p50=told["sent_late_p50_us"],
                     p99=told["sent_late_p99_us"])
            return Sample(figures={quantile: told[f"{quantile}_us"] / 1e6 for quantile in ("p50", "p99", "p999")})

        yield (lambda: measure("through the sidecar", sidecar.socket)), (lambda: measure("straight into Redis", redis.socket))
        if lab.picture is not None:
            lab.picture.write_text(draw(curves, f"How long one XADD takes at {rate} a second, a tenth of full load"))


def quantile_row(name, quantile, target=None):
    return Row(f"{name} of one XADD, a tenth of full load", "straight into Redis, same entry", target,
               lambda ours, theirs: (ours.figures[quantile], theirs.figures[quantile]), "µs", at_most=True)


SUBJECTS = {
    "latency": (latency, [quantile_row("p50", "p50"), quantile_row("p99", "p99", 2.0), quantile_row("p99.9", "p999")]),
}

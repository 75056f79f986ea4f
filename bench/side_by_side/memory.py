"""The sidecar's memory."""

import contextlib

from clients import CLIENT_ID, CLIENTS, redis_benchmark, status, wait_until_forwarding
from processes import BenchmarkFailed
from table import Row, Sample


@contextlib.contextmanager
def memory(lab):
    """The sidecar at rest and through an outage, with clients' own event ids, so that the window fills up, too."""
    events = lab.events(1_024_000)

    def ours():
        with lab.new_folder() as folder, lab.sidecar(folder / "spill", "--seal-after", "1s") as sidecar:
            with lab.redis():
                wait_until_forwarding(sidecar)
                idle = sidecar.memory_mib("VmRSS")
                redis_benchmark(sidecar.socket, CLIENTS, 16, CLIENTS * 16 * 4, CLIENT_ID)
            redis_benchmark(sidecar.socket, CLIENTS, 16, events, CLIENT_ID)
            if status(sidecar)["counters"]["spilled"] < events * 0.99:  # now and then an id comes twice
                raise BenchmarkFailed("not every event was spilled")
            with lab.redis():
                active = lambda: list((folder / "spill").glob("*.active.sqlite"))
                sidecar.wait_until(lambda: not active(), "a sealed spill file")
                return Sample(figures={"idle": idle, "peak": sidecar.memory_mib("VmHWM")})

    yield ours, None


SUBJECTS = {
    "memory": (memory, [
        Row("memory of the sidecar at rest", "—", 12, lambda ours, _: (ours.figures["idle"], None), "MiB", at_most=True),
        Row("its peak, 1 M events without Redis", "—", 40, lambda ours, _: (ours.figures["peak"], None), "MiB", at_most=True),
    ]),
}

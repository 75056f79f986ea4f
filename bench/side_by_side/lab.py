"""Where everything lives, how much of it there is, and the servers that a subject may ask for."""

import contextlib
import shutil
import signal
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from clients import CLIENTS, redis_cli
from processes import BenchmarkFailed, Process

PIPELINES = (16, 64, 256)


class Skipped(Exception):
    """A row cannot be measured here, and why: nothing is wrong."""


@dataclass
class Lab:
    """Where everything lives and how much of it there is."""

    folder: Path
    programs: Path
    scale: float
    notes: list = field(default_factory=list)
    shares: dict = field(default_factory=dict)  # of profile(), by its title

    def profile(self, title, rate, **cpu):
        """Where an event's time goes: seconds of CPU an event, by who spends them. Medians are printed as a note."""
        self.shares.setdefault(title, []).append({"in all": 1 / rate, **cpu})

    def profiles(self):
        for title, samples in self.shares.items():
            medians = {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}
            yield f"{title}, µs an event: " + ", ".join(f"{name} {1e6 * value:.2f}" for name, value in medians.items())

    def events(self, full):
        """A number of events that every combination of clients and pipeline divides."""
        step = CLIENTS * max(PIPELINES)
        return max(step, int(full * self.scale) // step * step)

    @contextlib.contextmanager
    def redis(self):
        """Without AOF: what is compared is the way into Redis, not its disk."""
        socket = self.folder / "redis.sock"
        redis = Process(["redis-server", "--port", "0", "--unixsocket", str(socket), "--dir", str(self.folder),
                         "--save", "", "--appendonly", "no"], self.folder / "redis.log")
        redis.socket = socket
        try:
            redis.wait_until(lambda: redis_cli(socket, "PING") == "PONG", "PONG")
            yield redis
        except BenchmarkFailed as failure:
            raise redis.complaint(str(failure)) from failure
        finally:
            redis.stop(signal.SIGKILL)

    @contextlib.contextmanager
    def sidecar(self, spill_folder, *options):
        socket = self.folder / "sidecar.sock"
        sidecar = Process([str(self.programs / "sprockets-sidecar"), "--socket", str(socket), "--redis",
                           f"unix://{self.folder}/redis.sock", "--spill-dir", str(spill_folder), *options],
                          self.folder / "sidecar.log")
        sidecar.socket = socket
        try:
            sidecar.wait_until(lambda: redis_cli(socket, "PING") == "PONG", "PONG")
            yield sidecar
        except BenchmarkFailed as failure:
            raise sidecar.complaint(str(failure)) from failure
        finally:
            sidecar.stop()

    @contextlib.contextmanager
    def new_folder(self):
        path = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

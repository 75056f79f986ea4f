"""Where everything lives, how much of it there is, and the servers that a subject may ask for."""

import contextlib
import shutil
import signal
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

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
    picture: Optional[Path] = None  # where to draw how long an XADD takes; nothing: nowhere
    notes: list = field(default_factory=list)
    told: dict = field(default_factory=dict)  # by tell(), by title

    def tell(self, title, **figures):
        """The medians of the figures that come under this title are printed as a note."""
        self.told.setdefault(title, []).append(figures)

    def profile(self, title, rate, **cpu):
        """Where an event's time goes: seconds of CPU an event, by who spends them."""
        self.tell(f"{title}, µs an event", **{name: 1e6 * seconds for name, seconds in {"in all": 1 / rate, **cpu}.items()})

    def medians(self):
        for title, samples in self.told.items():
            medians = {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}
            yield f"{title}: " + ", ".join(f"{name} {value:.2f}" for name, value in medians.items())

    def events(self, full):
        """A number of events that every combination of clients and pipeline divides."""
        step = CLIENTS * max(PIPELINES)
        return max(step, int(full * self.scale) // step * step)

    @contextlib.contextmanager
    def redis(self, port=0, folder=None, appendfsync=None):
        """Port 0: there is only the Unix socket. Without `appendfsync` there is no AOF: then what is compared is the way
        into Redis, not its disk."""
        socket = self.folder / "redis.sock"
        aof = ["--appendonly", "yes", "--appendfsync", appendfsync] if appendfsync else ["--appendonly", "no"]
        redis = Process(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(socket),
                         "--dir", str(folder or self.folder), "--save", "", *aof], self.folder / "redis.log")
        redis.socket = socket
        try:
            redis.wait_until(lambda: redis_cli(socket, "PING") == "PONG", "PONG")
            yield redis
        except BenchmarkFailed as failure:
            raise redis.complaint(str(failure)) from failure
        finally:
            redis.stop(signal.SIGKILL)

    @contextlib.contextmanager
    def sidecar(self, spill_folder, *options, environment=None):
        socket = self.folder / "sidecar.sock"
        sidecar = Process([str(self.programs / "sprockets-sidecar"), "--socket", str(socket), "--redis",
                           f"unix://{self.folder}/redis.sock", "--spill-dir", str(spill_folder), *options],
                          self.folder / "sidecar.log", environment)
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

"""Programs of others, which Debian has and nothing here installs."""

import contextlib
import os
import shutil
import signal

from clients import CLIENTS, benchmark_command, redis_cli, wait_until_forwarding
from lab import Skipped
from processes import Process
from table import Sample, rate_row


def program_of(package, name):
    """Where it is. A package of Debian has it, which may be missing."""
    program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise Skipped(f"it needs {name}: apt-get install {package}")
    return program


@contextlib.contextmanager
def haproxy(lab, redis_socket):
    """One thread, as the sidecar has."""
    program = program_of("haproxy", "haproxy")
    socket = lab.folder / "haproxy.sock"
    configuration = lab.folder / "haproxy.cfg"
    configuration.write_text(f"""global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen redis
  bind unix@{socket}
  server redis unix@{redis_socket}
""")
    process = Process([program, "-db", "-f", str(configuration)], lab.folder / "haproxy.log")
    process.socket = socket
    try:
        process.wait_until(lambda: redis_cli(socket, "PING") == "PONG", "PONG")
        yield process
    finally:
        process.stop(signal.SIGKILL)


def relay_beside_haproxy(test, pipeline, full_commands):
    """What a connection of its own for each client costs at least: haproxy knows nothing of Redis and only carries bytes."""

    @contextlib.contextmanager
    def subject(lab):
        commands = lab.events(full_commands)
        with (lab.redis() as redis, lab.new_folder() as spill, lab.sidecar(spill / "spill") as sidecar,
              haproxy(lab, redis.socket) as peer):
            wait_until_forwarding(sidecar)
            measure = lambda socket: Sample(rate=benchmark_command(socket, test, pipeline, commands))
            measure(sidecar.socket)
            yield lambda: measure(sidecar.socket), lambda: measure(peer.socket)

    return subject


SUBJECTS = {
    f"relay-{test}-16-haproxy": (relay_beside_haproxy(test, 16, 400_000), [
        rate_row(f"relay {test.upper()}, 16 clients, pipeline 16", "haproxy in TCP mode", 1.0)])
    for test in ("get", "set")
}

"""Commands that are no events: each client has a connection of its own to Redis."""

import contextlib

from clients import CLIENTS, benchmark_command, wait_until_forwarding
from table import Sample, rate_row


def relay(test, pipeline, full_commands):
    """A command that is no event, through the sidecar against straight into Redis; each client has a connection of its own."""

    @contextlib.contextmanager
    def subject(lab):
        commands = lab.events(full_commands)
        with lab.redis() as redis, lab.new_folder() as spill, lab.sidecar(spill / "spill") as sidecar:
            wait_until_forwarding(sidecar)

            measure = lambda socket: Sample(rate=benchmark_command(socket, test, pipeline, commands))
            measure(sidecar.socket)
            yield lambda: measure(sidecar.socket), lambda: measure(redis.socket)

    return subject


SUBJECTS = {
    "relay-get-16": (relay("get", 16, 400_000), [rate_row("relay GET, 16 clients, pipeline 16", "straight into Redis", 0.8)]),
    "relay-set-16": (relay("set", 16, 400_000), [rate_row("relay SET, 16 clients, pipeline 16", "straight into Redis", 0.8)]),
    "relay-get": (relay("get", 1, 100_000), [rate_row("relay GET, 16 clients, one at a time", "straight into Redis", 0.5)]),
    "relay-set": (relay("set", 1, 100_000), [rate_row("relay SET, 16 clients, one at a time", "straight into Redis", 0.5)]),
}

"""The clients: redis-benchmark, redis-cli, and what they send."""

import csv
import json
import subprocess

from processes import BenchmarkFailed, run_tool

STREAM = "bench-stream"
PAYLOAD = "x" * 300
NO_ID = ["data", PAYLOAD]
# As sidecar/README.md recommends: the client's own id, in the shape and length of GitHub's X-GitHub-Delivery. redis-benchmark puts
# twelve random digits in place of the marker.
CLIENT_ID = ["data", PAYLOAD, "event_id", "72d3162e-cc78-11e3-81ab-__rand_int__"]
CLIENTS = 16


def redis_cli(socket, *words):
    done = subprocess.run(["redis-cli", "-s", str(socket), "--raw", *words], capture_output=True, text=True, check=False)
    return done.stdout.rstrip("\n")


def redis_benchmark(socket, clients, pipeline, events, entry):
    """Sends XADDs and returns how many a second were answered."""
    command = ["redis-benchmark", "-s", str(socket), "-c", str(clients), "-P", str(pipeline), "-n", str(events), "--csv"]
    if entry == CLIENT_ID:
        command += ["-r", "2000000000"]  # below 2^31: redis-benchmark reads it as an int
    output = run_tool(command + ["XADD", STREAM, "*", *entry])
    return float(list(csv.reader(output.splitlines()))[-1][1])


def benchmark_command(socket, test, pipeline, commands):
    """Sends one of redis-benchmark's own commands and returns how many a second were answered."""
    output = run_tool(["redis-benchmark", "-s", str(socket), "-t", test, "-c", str(CLIENTS), "-P", str(pipeline),
                       "-n", str(commands), "-r", "100000", "-d", "300", "--csv"])
    return float(list(csv.reader(output.splitlines()))[-1][1])


def status(sidecar):
    return json.loads(redis_cli(sidecar.socket, "SPROCKETS", "STATUS"))


def wait_until_forwarding(sidecar):
    sidecar.wait_until(lambda: status(sidecar)["redis"]["breaker"] == "closed", "a connection to Redis")


def wait_until_connected(sidecar):
    sidecar.wait_until(lambda: status(sidecar)["redis"]["state"] == "connected", "a connection to Redis")


def expect_length(redis, events, entry):
    length = int(redis_cli(redis.socket, "XLEN", STREAM))
    repeated = 0.001 if entry == CLIENT_ID else 0  # now and then a random id comes twice
    if length < events * (1 - repeated):
        raise BenchmarkFailed(f"{events} events were sent, but the stream has {length}")

"""How long one page of a leaderboard takes by HTTP, against the same page asked of Redis. Each has a connection of its own."""

import contextlib
import gc
import shutil
import socket
import time

from clients import redis_cli
from peers import free_port
from postgres import Postgres
from processes import Process, run_tool
from table import Row, Sample

MEMBERS = 100_000
PAGES = 5_000
ROWS = 20
KEY = "leaderboard:global:all_time"


def ask(port, request, length):
    """Connects, asks, and reads to the end: of so many bytes or, with none, of the connection. Returns what came."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        answer = b""
        while length is None or len(answer) < length:
            part = connection.recv(65536)
            if not part:
                break
            answer += part
        return answer


def quantiles(port, requests, length):
    gc.disable()
    try:
        took = []
        for request in requests:
            begun = time.perf_counter()
            ask(port, request, length(request))
            took.append(time.perf_counter() - begun)
    finally:
        gc.enable()
    took.sort()
    return Sample(figures={"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]})


@contextlib.contextmanager
def boards(lab):
    redis_port, http_port = free_port(), free_port()
    with lab.redis(port=redis_port) as redis, lab.new_folder() as folder:
        postgres = Postgres(folder)
        try:
            set_folder = folder / "set"
            shutil.copytree(lab.programs.parents[1] / "schema/leaderboard", set_folder)
            replayer = str(lab.programs / "sprockets-replayer")
            stores = ["--schema", str(set_folder), "--postgres", postgres.url()]
            run_tool([replayer, "migrate", *stores])
            with open(folder / "zadd", "w", encoding="ascii") as out:
                for member in range(MEMBERS):
                    out.write(f"ZADD {KEY} {member * 7919 % MEMBERS} {member + 1}\n")
            with open(folder / "zadd", "rb") as commands:
                run_tool(["redis-cli", "-s", str(redis.socket), "--pipe"], stdin=commands)
            archive = Process([replayer, "archive", "--stream", "contributions", "--follow", "--redis",
                               f"unix://{redis.socket}", "--admin", str(http_port), *stores], folder / "archive.log")
            try:
                page = b"GET /v1/leaderboard/public?page_size=%d&offset=%d HTTP/1.1\r\nHost: b\r\n\r\n"
                archive.wait_until(lambda: answers(http_port, page % (ROWS, 0)), "a page")
                offsets = [number * 37 % (MEMBERS - ROWS) for number in range(max(1, int(PAGES * lab.scale)))]
                http = [page % (ROWS, offset) for offset in offsets]
                bare = [f"ZREVRANGE {KEY} {offset} {offset + ROWS - 1} WITHSCORES\r\n".encode() for offset in offsets]
                lengths = {request: reply_length(redis_port, request) for request in set(bare)}
                yield (lambda: quantiles(http_port, http, lambda _: None)), (
                    lambda: quantiles(redis_port, bare, lengths.__getitem__))
            finally:
                archive.stop()
        finally:
            postgres.stop()


def answers(port, request):
    with contextlib.suppress(OSError):
        return ask(port, request, None).startswith(b"HTTP/1.1 200 ")
    return False


def reply_length(port, request):
    """As Redis gives it when it is told to close the connection behind it, without that answer."""
    return len(ask(port, request + b"QUIT\r\n", None)) - len(b"+OK\r\n")


def quantile_row(quantile, target=None):
    return Row(f"{quantile} of a leaderboard's page of {ROWS} by HTTP", "ZREVRANGE, a connection each", target,
               lambda ours, theirs: (ours.figures[quantile], theirs.figures[quantile]), "µs", at_most=True)


SUBJECTS = {"boards": (boards, [quantile_row("p50"), quantile_row("p99", 3.0)])}

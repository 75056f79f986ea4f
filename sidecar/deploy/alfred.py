#!/usr/bin/env python3
"""A stand-in for Alfred: takes GitHub's webhooks and adds an event to a stream through the sidecar's socket.

An example, and something to rehearse an outage with. It shows the three things that a receiver has to do:

- It checks X-Hub-Signature-256 over the bytes as they came, before it looks into them.
- It sends GitHub's delivery id as event_id, so a webhook that GitHub delivers twice is in the stream once.
- It answers within GitHub's ten seconds. While Redis is away the sidecar answers at once; where it answers -RETRY or
  -UNKNOWN, or is being restarted, the same event is sent again until PATIENCE_S is over. Then the answer is 503, and
  the delivery can be repeated from GitHub's page.

Environment: ALFRED_SOCKET, the sidecar's socket; ALFRED_SECRET_FILE, the webhook's secret; ALFRED_LISTEN, HOST:PORT
(0.0.0.0:8080). With --health it asks a running one whether it reaches the sidecar.
"""
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PATIENCE_S = 8.0
PAUSE_S = 0.1
MOST_BYTES = 25 << 20  # GitHub sends no more
SOCKET = os.environ.get("ALFRED_SOCKET", "/run/sprockets/sidecar.sock")
HOST, _, PORT = os.environ.get("ALFRED_LISTEN", "0.0.0.0:8080").rpartition(":")


def secret():
    name = os.environ.get("ALFRED_SECRET_FILE")
    return Path(name).read_bytes().strip() if name else b""


def event_of(kind, payload):
    """(stream, what the services read from it), or None for what nobody reads."""
    if kind == "issues" and payload["action"] in ("assigned", "unassigned"):
        return "issue-stream", {"github_username": payload["assignee"]["login"], "url": payload["issue"]["html_url"],
                                "claimed": payload["action"] == "assigned"}
    if kind == "pull_request" and payload["action"] in ("opened", "closed"):
        request = payload["pull_request"]
        if payload["action"] == "opened" or request["merged"]:
            return "solution-merged-stream", {"github_username": request["user"]["login"],
                                              "pull_request_url": request["html_url"], "merged": request["merged"]}
    return None


class Refused(Exception):
    """The sidecar will never take this event."""


def ask(words, deadline):
    """One command and its reply, from a sidecar or a Redis."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(max(0.01, deadline - time.monotonic()))
        link.connect(SOCKET)
        command = b"*%d\r\n" % len(words)
        for word in (word.encode() for word in words):
            command += b"$%d\r\n%s\r\n" % (len(word), word)
        link.sendall(command)
        with link.makefile("rb") as replies:
            first = replies.readline().decode().strip()
            if not first:
                raise OSError("the sidecar hung up")
            return replies.readline().decode().strip() if first.startswith("$") else first.removeprefix("+")


def add(stream, data, delivery):
    """The id of the entry, or 0-<ticket> while Redis is away. Raises OSError when the time is over."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            reply = ask(["XADD", stream, "*", "data", json.dumps(data), "event_id", delivery], deadline)
            if not reply.startswith("-"):
                return reply
            if not re.match(r"-(RETRY|UNKNOWN) ", reply):
                raise Refused(reply[1:])
            problem = OSError(reply[1:])
        except OSError as error:
            problem = error
        if time.monotonic() + PAUSE_S >= deadline:
            raise problem
        time.sleep(PAUSE_S)


class Receiver(BaseHTTPRequestHandler):
    timeout = 10  # for whoever connects and sends nothing

    def answer(self, status, **what):
        body = json.dumps(what).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path != "/health":
            return self.answer(404, error="there is POST /github and GET /health")
        try:
            ask(["SPROCKETS", "STATUS"], time.monotonic() + 2)
        except OSError as error:
            return self.answer(503, error=f"the sidecar does not answer: {error}")
        self.answer(200, sidecar="answers")

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if self.path != "/github":
            return self.answer(404, error="there is POST /github and GET /health")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return self.answer(413, error=f"a body of at most {MOST_BYTES} bytes with its Content-Length is needed")
        body = self.rfile.read(int(length))
        key = secret()
        right = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
        if not key or not hmac.compare_digest(right.encode(), self.headers.get("X-Hub-Signature-256", "").encode()):
            return self.answer(401, error="the signature is missing or wrong" if key else "this receiver has no secret")
        delivery = self.headers.get("X-GitHub-Delivery", "")
        if not re.fullmatch(r"[0-9A-Za-z-]{1,100}", delivery):
            return self.answer(400, error="X-GitHub-Delivery is missing")
        try:
            event = event_of(self.headers.get("X-GitHub-Event", ""), json.loads(body))
        except (ValueError, KeyError, TypeError):
            return self.answer(400, error="this is not what GitHub sends")
        if event is None:
            return self.answer(202, ignored=True)
        try:
            self.answer(202, stream=event[0], entry=add(*event, delivery))
        except Refused as error:
            self.answer(422, error=str(error))
        except OSError as error:
            self.answer(503, error=f"not stored: {error}")


def is_healthy():
    link = http.client.HTTPConnection("127.0.0.1", int(PORT), timeout=4)
    link.request("GET", "/health")
    return link.getresponse().status == 200


if __name__ == "__main__":
    if sys.argv[1:] == ["--health"]:
        sys.exit(0 if is_healthy() else 1)
    if not secret():
        print("alfred: there is no secret, so every webhook is refused", file=sys.stderr, flush=True)
    ThreadingHTTPServer((HOST, int(PORT)), Receiver).serve_forever()

#!/usr/bin/env python3
"""Holds what sidecar/deploy/ offers to the programs: alert rules, dashboard, the stand-in for Alfred, the manifests.

usage: deploy.py FOLDER_OF_THE_PROGRAMS
"""
import concurrent.futures
import contextlib
import hashlib
import hmac
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]
import docs  # noqa: E402: its stage of real servers
from alert_cases import CASES  # noqa: E402
from manifests import wrong_manifests  # noqa: E402
from runbook import wrong_runbook  # noqa: E402

DEPLOY = docs.ROOT / "sidecar/deploy"


def alerts():
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


# ---------------------------------------------------------------------------------------------------------------------
# Alert rules


def promtool(*words):
    done = subprocess.run(["promtool", *words], cwd=DEPLOY, capture_output=True, text=True)
    if done.returncode != 0:
        yield f"promtool {' '.join(map(str, words))}: {done.stdout}{done.stderr}"


def wrong_rules():
    yield from promtool("check", "rules", "alerts.yml")
    yield from promtool("check", "config", "prometheus.yml")
    rules = alerts()
    for name in sorted(rules.keys() ^ CASES.keys()):
        yield f"{name} stands in one of alerts.yml and alert_cases.py, and not in the other"
    for name, rule in rules.items():
        file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        if not (docs.ROOT / file).exists() or anchor not in docs.Page(docs.ROOT / file).anchors():
            yield f"{name}: the runbook has no section {file}#{anchor}"
        if rule["labels"]["severity"] not in ("page", "ticket"):
            yield f"{name}: its severity is neither page nor ticket"


def wrong_cases():
    tests = []
    for name, (minute, loud, silent) in CASES.items():
        for series, fires in [*((one, True) for one in loud), *((one, False) for one in silent)]:
            # Prometheus has no test without a series.
            given = series or [("something_else", "1x90")]
            tests.append({
                "interval": "1m", "input_series": [{"series": s, "values": values} for s, values in given],
                "promql_expr_test": [{
                    "expr": f'count by (alertname) (ALERTS{{alertname="{name}",alertstate="firing"}})',
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if fires else []}]})
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"rule_files": [str(DEPLOY / "alerts.yml")], "evaluation_interval": "1m", "tests": tests}, file)
        file.flush()
        yield from promtool("test", "rules", file.name)


# ---------------------------------------------------------------------------------------------------------------------
# Series


def expressions():
    """(where, PromQL) of every rule and every panel."""
    for name, rule in alerts().items():
        yield name, rule["expr"]
    for panel in json.loads((DEPLOY / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield f"the panel {panel['title']}", target["expr"]


def asked(expression):
    """(name, label="value") of each series in it; the second is empty where any will do."""
    for name, selector in re.findall(r"\b(sprockets_\w+|up)\b(?:\{([^}]*)\})?", expression):
        pairs = [pair for pair in re.findall(r'\w+="[^"]*"', selector) if not pair.startswith("job=")] or [""]
        yield from ((name, pair) for pair in pairs)


def answered(stage, *options):
    """/metrics of a sidecar to which Redis refuses one stream."""
    stage.environment["SPROCKETS_ADMIN"] = f"127.0.0.1:{docs.free_port()}"
    stage.start(["sprockets-sidecar", *options])
    stage.call("redis-cli", "-p", str(stage.port), "SET", "refused", "x")

    def metrics():
        stage.call("redis-cli", "-s", str(stage.socket), "XADD", "refused", "*", "data", "x")
        return stage.call("curl", "-s", f"http://{stage.environment['SPROCKETS_ADMIN']}/metrics").stdout

    docs.until(lambda: "sprockets_stream_refused{" in metrics(), "the refusal of a stream")
    return metrics()


def wrong_series():
    samples = ["up 1"]  # Prometheus's own, and so are the jobs
    for mode in ("redis", "disk"):
        with docs.open_stage() as stage:
            stage.redis()
            samples += answered(stage, "--ack", mode).splitlines()
    for where, expression in expressions():
        for name, pair in asked(expression):
            if not any(re.match(rf"{name}[{{ ]", sample) and pair in sample for sample in samples):
                yield f"{where}: /metrics has no {name}{{{pair}}}"


# ---------------------------------------------------------------------------------------------------------------------
# The stand-in for Alfred


class Alfred:
    SECRET = "it's a secret"

    def __init__(self, stage):
        self.port = docs.free_port()
        (stage.folder / "webhook").write_text(self.SECRET + "\n")
        stage.environment |= {"ALFRED_SOCKET": str(stage.socket), "ALFRED_SECRET_FILE": str(stage.folder / "webhook"),
                              "ALFRED_LISTEN": f"127.0.0.1:{self.port}"}
        stage.start([sys.executable, str(DEPLOY / "alfred.py")], output="alfred")
        docs.until(lambda: self.ask("GET", "/nothing")[0] == 404, "the start of the stand-in for Alfred")

    def ask(self, method, path, body=None, headers=None):
        """(status, body, seconds); a status of 0 where nobody listens."""
        began = time.monotonic()
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(link), contextlib.suppress(ConnectionRefusedError):
            link.request(method, path, body, headers or {})
            reply = link.getresponse()
            return reply.status, json.loads(reply.read()), time.monotonic() - began
        return 0, {}, 0.0

    def deliver(self, delivery, payload, kind="pull_request", signature=None):
        body = json.dumps(payload).encode()
        right = "sha256=" + hmac.new(self.SECRET.encode(), body, hashlib.sha256).hexdigest()
        return self.ask("POST", "/github", body, {"X-GitHub-Event": kind, "X-GitHub-Delivery": delivery,
                                                  "X-Hub-Signature-256": right if signature is None else signature})


MERGE = {"action": "closed", "pull_request": {"merged": True, "html_url": "https://github.com/o/r/pull/1",
                                              "user": {"login": "octocat"}}}


def wrong_alfred():
    def differs(what, got, wanted):
        return [] if got == wanted else [f"alfred.py: {what}: {got}, not {wanted}"]

    with docs.open_stage() as stage:
        stage.sidecar()
        sidecar = stage.started[-1][0]
        alfred = Alfred(stage)
        status, said, seconds = alfred.deliver("delivery-1", MERGE)
        yield from differs("Redis is away", (status, said.get("entry", "")[:2]), (202, "0-"))
        if seconds >= 10:
            yield "alfred.py: GitHub has hung up before the answer came"
        yield from differs("a wrong signature", alfred.deliver("delivery-2", MERGE, signature="sha256=" + "0" * 64)[0], 401)
        yield from differs("no signature", alfred.deliver("delivery-2", MERGE, signature="")[0], 401)
        yield from differs("no delivery id", alfred.deliver("", MERGE)[0], 400)
        yield from differs("a body that is no payload", alfred.deliver("delivery-2", [])[0], 400)
        yield from differs("an event nobody reads", alfred.deliver("delivery-2", {}, "ping")[:2], (202, {"ignored": True}))
        yield from differs("its health", alfred.ask("GET", "/health")[0], 200)

        stage.redis()
        drain = ("sprockets-replayer", "drain", "--progress", "none")
        docs.until(lambda: stage.call(*drain).returncode == 0, "the drain")
        yield from differs("GitHub delivers again", alfred.deliver("delivery-1", MERGE)[0], 202)
        entries = stage.call("redis-cli", "-p", str(stage.port), "XRANGE", "solution-merged-stream", "-", "+").stdout
        yield from differs("its entries", entries.count("delivery-1"), 1)
        if '"github_username": "octocat"' not in entries:
            yield f"alfred.py: the entry is {entries}"

        sidecar.terminate()
        sidecar.wait()
        status, said, seconds = alfred.deliver("delivery-3", MERGE)
        yield from differs("the sidecar is gone", status, 503)
        if seconds >= 10:
            yield "alfred.py: without a sidecar it answers too late for GitHub"
        (stage.folder / "webhook").write_text("")
        yield from differs("it has no secret", alfred.deliver("delivery-4", MERGE)[0], 401)


def main():
    checks = (wrong_rules, wrong_cases, wrong_series, wrong_alfred, wrong_manifests, wrong_runbook)
    # Each waits for programs more than it works.
    with concurrent.futures.ThreadPoolExecutor(len(checks)) as pool:
        wrong = [line for lines in pool.map(lambda check: list(check()), checks) for line in lines]
    print("\n".join(wrong or ["what is deployed fits the programs"]))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

"""Runs the commands of replayer/RUNBOOK.md. A block `sh scene NAME` is run in the state of things that NAME stands for,
made below with real servers; blocks of one section that name the same scene are run in it one after another. A comment
`# prints X` must be a line of its block's output, where `…` stands for anything.
"""
import concurrent.futures
import re

import docs

PAGE = docs.ROOT / "replayer/RUNBOOK.md"
PAYLOAD = "payload-of-the-runbook"


class Scene:
    """Redis and a sidecar with --admin, to which one event has come while Redis was away."""

    def __init__(self, stage):
        self.stage = stage
        stage.environment |= {"SPROCKETS_ADMIN": f"127.0.0.1:{docs.free_port()}",
                              "SPROCKETS_SCHEMA": str(docs.ROOT / "schema/season_of_code"),
                              "REDIS_CLI": f"redis-cli -p {stage.port}"}
        self.sidecar_process = None
        self.redis_process = None

    def start_sidecar(self):
        self.stage.sidecar()
        self.sidecar_process = self.stage.started[-1][0]

    def start_redis(self):
        self.stage.redis()
        self.redis_process = self.stage.started[-1][0]

    def stop(self, process):
        process.terminate()
        process.wait()

    def send(self):
        added = self.stage.call("redis-cli", "-s", str(self.stage.socket), "XADD", "bounty-stream", "*", "data", PAYLOAD,
                                "event_id", "delivery-1")
        if not added.stdout.startswith("0-"):
            raise RuntimeError(f"the event was not spilled: {added.stdout}")

    def is_ready(self, code=""):
        """/ready says that all is well, or names this reason alone: just started, it has not heard from the disk yet."""
        def holds():
            said = self.stage.call("curl", "-s", f"http://{self.stage.environment['SPROCKETS_ADMIN']}/ready").stdout
            return re.findall(r'"code":"([\w-]+)"', said) == ([code] if code else []) and '"alive":true' in said
        docs.until(holds, f"/ready {code}")

    def sealed(self):
        self.stage.call("redis-cli", "-s", str(self.stage.socket), "SPROCKETS", "SEAL")
        return self.stage.spill / "spill-000001.sealed.sqlite"


def all_is_well(scene):
    scene.start_redis()
    scene.start_sidecar()
    scene.is_ready()


def redis_is_down(scene):
    scene.start_sidecar()
    scene.is_ready("redis-away")
    scene.send()


def redis_is_back(scene):
    redis_is_down(scene)
    scene.start_redis()
    scene.is_ready()


def redis_lost_its_data(scene):
    redis_is_back(scene)
    scene.sealed()
    if scene.stage.call("sprockets-replayer", "drain").returncode != 0:
        raise RuntimeError("the drain failed")
    scene.stage.call("redis-cli", "-p", str(scene.stage.port), "FLUSHALL")


def wrong_password(scene):
    scene.start_redis()
    scene.stage.call("redis-cli", "-p", str(scene.stage.port), "CONFIG", "SET", "requirepass", "the right one")
    for name in ("right", "wrong"):
        (scene.stage.folder / name).write_text(f"the {name} one\n")
    scene.stage.environment |= {"SPROCKETS_REDIS_PASSWORD_FILE": str(scene.stage.folder / "wrong"),
                                "RIGHT_PASSWORD_FILE": str(scene.stage.folder / "right")}
    scene.start_sidecar()
    scene.is_ready("redis-refuses-login")


def sidecar_is_gone(scene):
    redis_is_back(scene)
    scene.stop(scene.sidecar_process)


def postgres_is_down(scene):
    scene.start_redis()


def stream_is_refused(scene):
    redis_is_back(scene)
    scene.sealed()
    scene.stage.call("redis-cli", "-p", str(scene.stage.port), "SET", "bounty-stream", "not a stream")


def file_is_quarantined(scene):
    """Two events, of which one is damaged."""
    scene.start_sidecar()
    scene.is_ready("redis-away")
    scene.send()
    scene.stage.call("redis-cli", "-s", str(scene.stage.socket), "XADD", "bounty-stream", "*", "data", "to-be-damaged")
    file = scene.sealed()
    scene.start_redis()
    scene.stop(scene.sidecar_process)
    bytes_ = file.read_bytes()
    file.write_bytes(bytes_.replace(b"to-be-damaged", b"to-be-dAmaged"))
    scene.stage.call("sprockets-replayer", "drain")


def drift(scene):
    scene.stage.postgres()
    scene.start_redis()
    season = docs.ROOT / "schema/season_of_code/demo"
    scene.stage.call("psql", "-q", "-f", str(season / "tables.sql"), "-f", str(season / "seed.sql"),
                     scene.stage.postgres_url)
    if scene.stage.call("sprockets-replayer", "rebuild", "--only", "leaderboard").returncode != 0:
        raise RuntimeError("the rebuild failed")
    scene.stage.call("redis-cli", "-p", str(scene.stage.port), "ZADD", "leaderboard-sset", "1", "nobody")


def backup(scene):
    redis_is_down(scene)
    scene.stop(scene.sidecar_process)
    scene.start_redis()


SCENES = {scene.__name__.replace("_", "-"): scene for scene in (
    all_is_well, redis_is_down, redis_is_back, redis_lost_its_data, wrong_password, sidecar_is_gone, postgres_is_down,
    stream_is_refused, file_is_quarantined, drift, backup)}


def acts():
    """(section, name of the scene, its blocks) in the order of the page."""
    section, found, fence = "", [], None
    for line in PAGE.read_text().splitlines():
        if fence is None and line.startswith("## "):
            section = line[3:]
        elif fence is None and line.startswith("```sh scene "):
            name = line.split()[2]
            fence = []
        elif fence is not None and line == "```":
            if found and found[-1][:2] == (section, name):
                found[-1][2].append(fence)
            else:
                found.append((section, name, [fence]))
            fence = None
        elif fence is not None:
            fence.append(line)
    return found


def unprinted(block, output):
    lines = output.splitlines()
    for line in block:
        for told in re.findall(r"# prints (.+)$", line):
            pattern = ".*".join(re.escape(part) for part in told.split("…"))
            if not any(re.fullmatch(pattern, said) for said in lines):
                yield f"nothing printed {told}"


def wrong_act(act):
    section, name, blocks = act
    if name not in SCENES:
        return [f"{PAGE.name}, {section}: there is no scene {name}"]
    wrong = []
    with docs.open_stage() as stage:
        SCENES[name](Scene(stage))
        for block in blocks:
            (stage.folder / "output").unlink(missing_ok=True)
            code, output = stage.run("\n".join(block))
            untrue = ([f"exit code {code}"] if code != 0 else []) + list(unprinted(block, output))
            if untrue:
                wrong.append(f"{PAGE.name}, {section}: {'; '.join(untrue)}. It printed:\n{output}")
    return wrong


def wrong_runbook():
    # They wait for servers more than they work.
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for wrong in pool.map(wrong_act, acts()):
            yield from wrong

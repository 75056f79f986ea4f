#!/usr/bin/env python3
"""Holds the documentation to the programs: links, line lengths, options and defaults, and the commands that it shows.

usage: docs.py FOLDER_OF_THE_PROGRAMS [--compose]

A fenced block says after its language what happens to it: `sh run` and `sql run` are run; of `sh docker` the syntax
and our programs' options are checked, and with --compose they are run instead of the others, on this machine's Docker
engine. All blocks of a page run as one script, on servers of their own.
"""
import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/bin").resolve()
WIDEST = 119
HELP_WIDTH = 80
LONGEST_README = 130
PATIENCE_S = 120
COMPOSE_PATIENCE_S = 1800  # the image is built
SOCKET_VOLUME = "sprockets-socket"  # its name is the same in every project
HOW = {"sh": {"run", "docker", "scene"}, "sql": {"run"}}  # what may stand behind a language; tests/deploy runs scenes


# ---------------------------------------------------------------------------------------------------------------------
# Pages


class Page:
    def __init__(self, path):
        self.path = path
        self.name = str(path.relative_to(ROOT))
        self.lines = path.read_text().splitlines()
        self.blocks = []  # (info string, text) of each fenced block
        self.prose = []  # (line number, text) outside of code
        fence = None
        for number, line in enumerate(self.lines, 1):
            if line.startswith("```"):
                if fence is None:
                    fence = (line[3:].strip(), [])
                else:
                    self.blocks.append((fence[0], "\n".join(fence[1]) + "\n"))
                    fence = None
            elif fence is not None:
                fence[1].append(line)
            elif line.startswith("    ") and not re.match(r"\s*(-|\d+\.) ", line):
                self.blocks.append(("", line.strip() + "\n"))
            else:
                self.prose.append((number, line))

    def anchors(self):
        """The anchors of its headings, as GitHub makes them."""
        titles = [line.lstrip("#").strip().lower() for _, line in self.prose if re.match(r"#+ ", line)]
        return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}

    def script(self, info):
        return "".join(text for block, text in self.blocks if block == info)


def pages():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT,
                            capture_output=True, text=True)
    if listed.returncode == 0:
        return [Page(ROOT / name) for name in sorted(listed.stdout.split()) if (ROOT / name).exists()]
    return [Page(path) for path in sorted(ROOT.rglob("*.md")) if not {"build", "node_modules"} & set(path.parts)]


def wrong_links(page):
    for number, line in page.prose:
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            path = (page.path.parent / file).resolve() if file else page.path
            if not path.exists():
                yield f"{page.name}:{number}: there is no {target}"
            elif anchor and anchor not in Page(path).anchors():
                yield f"{page.name}:{number}: {file or page.name} has no heading #{anchor}"


def wrong_lines(page):
    for number, line in page.prose:
        if len(line) > WIDEST and not line.startswith("|"):
            yield f"{page.name}:{number}: {len(line)} columns, more than {WIDEST}"
    if page.name == "README.md" and len(page.lines) > LONGEST_README:
        yield f"{page.name}: {len(page.lines)} lines, more than {LONGEST_README}"


def wrong_targets(page):
    makefile = (ROOT / "Makefile").read_text()
    for text in [*(block for _, block in page.blocks), *(line for _, line in page.prose)]:
        for target in re.findall(r"(?:^|`)make (\w+)", text, re.M):
            if not re.search(rf"^{target}:", makefile, re.M):
                yield f"{page.name}: the Makefile has no target {target}"


# ---------------------------------------------------------------------------------------------------------------------
# Options


def help_of(program, *command):
    return subprocess.run([PROGRAMS / program, *command, "--help"], capture_output=True, text=True, check=True).stdout


def options_of(program, *command):
    """{"--keep": "24h", …} as --help has them: the default, "required" or ""."""
    options = {}
    for line in help_of(program, *command).splitlines():
        if found := re.match(r"  (?:-\w, )?(--[\w-]+)", line):
            option = found[1]
            options[option] = ""
        elif not line.startswith("   "):
            option = None
        if option:
            options[option] += " " + line.strip()
    del options["--help"], options["--version"]
    return {option: "required" if "(required)" in text else (re.findall(r"\(default (.+?)\)$", text) or [""])[-1]
            for option, text in options.items()}


def commands():
    return re.findall(r"^  (\w+) +\S", help_of("sprockets-replayer"), re.M)


def told_options(page, head):
    """The rows of the table that begins with `head`, as lists of cells."""
    lines = iter(page.lines)
    for line in lines:
        if line == head:
            next(lines)
            break
    for line in lines:
        if not line.startswith("| "):
            return
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def compared(where, told, real):
    for option in sorted(told.keys() | real.keys()):
        if option not in told:
            yield f"{where}: {option} is in --help and not on the page"
        elif option not in real:
            yield f"{where}: {option} is on the page and not in --help"
        elif told[option] != real[option]:
            yield f"{where}: {option} is '{told[option]}' on the page and '{real[option]}' in --help"


def wrong_options():
    page = Page(ROOT / "sidecar/README.md")
    told = {re.match(r"`(--[\w-]+)", row[0])[1]: row[1].strip("`")
            for row in told_options(page, "| option | default | meaning |")}
    yield from compared(page.name, told, options_of("sprockets-sidecar"))

    page = Page(ROOT / "replayer/README.md")
    rows = list(told_options(page, "| option | commands | default | meaning |"))
    for command in commands():
        told = {row[0].strip("`"): row[2].strip("`") for row in rows if f"`{command}`" in row[1]}
        real = options_of("sprockets-replayer", command)
        if "required" not in real.values():  # its --help does not say so
            told = {option: default.replace("required", "") for option, default in told.items()}
        yield from compared(f"{page.name}, {command}", told, real)
    for row in rows:
        for command in set(re.findall(r"`(\w+)`", row[1])) - set(commands()):
            yield f"{page.name}: there is no command {command}"


def wide_help():
    for words in [("sprockets-sidecar",), ("sprockets-replayer",), *[("sprockets-replayer", command) for command in commands()]]:
        for line in help_of(*words).splitlines():
            if len(line) > HELP_WIDTH:
                yield f"{' '.join(words)} --help: {len(line)} columns, more than {HELP_WIDTH}: {line}"


def wrong_calls(page):
    """The syntax of each block, and that our programs have the options."""
    for info, text in page.blocks:
        language, _, how = info.partition(" ")
        if how and how.split()[0] not in HOW.get(language, how.split()):
            yield f"{page.name}: a block is marked '{info}': write one of {', '.join(sorted(HOW[language]))}"
        if language != "sh":
            continue
        parsed = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True)
        if parsed.returncode != 0:
            yield f"{page.name}: {parsed.stderr.strip()}"
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True) if line.count("'") % 2 == 0 else []
            ours = re.compile(r"(^|/)((sprockets-)?replayer|sprockets-sidecar)$")
            at = [i for i, word in enumerate(words) if ours.search(word)]
            if not at:
                continue
            rest = words[at[-1] + 1:]
            known = {"--help", "--version"}
            if words[at[-1]].endswith("sidecar"):
                known |= options_of("sprockets-sidecar").keys()
            elif rest and rest[0] in commands():
                known |= options_of("sprockets-replayer", rest[0]).keys()
            else:
                yield f"{page.name}: no such command: {line.strip()}"
            for word in rest:
                if word.startswith("--") and word.partition("=")[0] not in known:
                    yield f"{page.name}: no such option: {word}, in: {line.strip()}"


# ---------------------------------------------------------------------------------------------------------------------
# Running what the pages show


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(holds, what):
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > give_up:
            raise RuntimeError(f"{what} did not happen within {PATIENCE_S} s")
        time.sleep(0.05)


class Stage:
    """A folder with servers in it. What was started here ends with it."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.redis_url = f"redis://127.0.0.1:{self.port}"
        self.postgres_url = f"postgres://postgres@/postgres?host={folder}/postgres"
        self.socket = folder / "sidecar.sock"
        self.spill = folder / "spill"
        self.started = []  # (process, the signal that ends it and what it started)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SPROCKETS_")},
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "SPROCKETS_REDIS": self.redis_url,
            "SPROCKETS_POSTGRES": self.postgres_url, "SPROCKETS_SOCKET": str(self.socket),
            "SPROCKETS_SPILL_DIR": str(self.spill)}

    def start(self, command, output="server", end=signal.SIGTERM):
        with open(self.folder / output, "ab") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True)
        self.started.append((process, end))
        return process

    def call(self, *command):
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def end(self):
        for process, end in reversed(self.started):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, end)
            process.wait()

    def redis(self):
        self.start(["redis-server", "--port", str(self.port), "--appendonly", "yes", "--appendfsync", "always"])
        until(lambda: self.call("redis-cli", "-p", str(self.port), "ping").stdout == "PONG\n", "the start of Redis")

    def postgres(self):
        """It refuses to run as root."""
        programs = max(Path("/usr/lib/postgresql").glob("*/bin/initdb")).parent
        data = self.folder / "postgres"
        data.mkdir()
        user = []
        if os.getuid() == 0:
            shutil.chown(data, "postgres", "postgres")
            user = ["--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        as_user = ["setpriv", "--pdeathsig", "QUIT", *user]
        made = self.call(*as_user, str(programs / "initdb"), "-D", str(data / "data"), "-U", "postgres", "-A", "trust",
                         "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
        if made.returncode != 0:
            raise RuntimeError(made.stdout + made.stderr)
        self.start([*as_user, str(programs / "postgres"), "-D", str(data / "data"), "-k", str(data), "-c",
                    "listen_addresses=", "-c", "fsync=off"], end=signal.SIGQUIT)
        answers = ["psql", self.postgres_url, "-c", "SELECT 1"]
        until(lambda: self.call(*answers).returncode == 0, "the start of PostgreSQL")

    def sidecar(self):
        self.start(["sprockets-sidecar"])
        until(lambda: "breaker" in self.call("redis-cli", "-s", str(self.socket), "SPROCKETS", "STATUS").stdout,
              "the start of the sidecar")

    def run(self, script):
        """(exit code, output) of a page's script."""
        process = self.start(["sh", "-eu", "-c", script], "output", end=signal.SIGKILL)
        try:
            code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            code = "none within %d s" % PATIENCE_S
        return code, (self.folder / "output").read_text()


def prepare_nothing(stage, script):
    """The first page brings its own servers: at other places here, and with more patience."""
    script = re.sub(r"^make build$", "", script, flags=re.M).replace("build/bin/", f"{PROGRAMS}/")
    script = script.replace("6390", str(stage.port)).replace("/tmp/sidecar.sock", str(stage.socket))
    return re.sub(r"^sleep 2", "sleep 6", script.replace("/var/tmp/spill", str(stage.spill)), flags=re.M)


def prepare_outage(stage, script):
    stage.environment["SPROCKETS_ADMIN"] = f"127.0.0.1:{free_port()}"
    stage.sidecar()
    return script


def prepare_return(stage, script):
    """An event waits on disk, Redis is back and empty, PostgreSQL has a season. Placeholders get their values."""
    stage.postgres()
    stage.sidecar()
    stage.call("redis-cli", "-s", str(stage.socket), "XADD", "bounty-stream", "*", "data", "x")
    stage.redis()
    season = ROOT / "schema/season_of_code"
    secrets = re.findall(r"\$\{(\w+)\}", (season / "access/users.acl").read_text())
    stage.environment |= {name: "secret" for name in secrets}
    for command in (["sprockets-replayer", "migrate", "--schema", str(season)],
                    ["psql", "-q", "-f", str(season / "demo/tables.sql"), "-f", str(season / "demo/seed.sql"),
                     stage.postgres_url]):
        if (done := stage.call(*command)).returncode != 0:
            raise RuntimeError(done.stderr)
    script = script.replace("=schema/", f"={ROOT}/schema/").replace("=…", "=secret")
    script = script.replace("postgres://sprockets@db.internal/sprockets", f"'{stage.postgres_url}'")
    script = script.replace("127.0.0.1:6379", f"127.0.0.1:{stage.port}")
    return script.replace("--spill-dir DIR --socket PATH", f"--spill-dir {stage.spill} --socket {stage.socket}")


def prepare_stores(stage, script):
    stage.postgres()
    stage.redis()
    return script


STAGES = {"README.md": prepare_nothing, "sidecar/README.md": prepare_outage, "replayer/README.md": prepare_return,
          "schema/README.md": prepare_stores}


@contextlib.contextmanager
def open_stage():
    with tempfile.TemporaryDirectory(prefix="sprockets-docs-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        stage = Stage(Path(folder))
        try:
            yield stage
        finally:
            stage.end()


def untrue_outputs(script, output):
    """Each `# prints X` must be a line of the output; an entry id stands for any."""
    lines = [line.strip('"') for line in output.splitlines()]
    for told in re.findall(r"# prints (\S+)", script):
        told = told.rstrip(":;")
        pattern = r"\d{13}-\d+" if re.fullmatch(r"\d{13}-\d+", told) else re.escape(told)
        if not any(re.fullmatch(pattern, line) for line in lines):
            yield f"nothing printed {told}"


def wrong_runs(page):
    script = page.script("sh run")
    if script:
        if page.name not in STAGES:
            yield f"{page.name}: it has blocks to run, but no stage in tests/docs.py"
            return
        with open_stage() as stage:
            script = STAGES[page.name](stage, script)
            code, output = stage.run(script)
            wrong = ([f"exit code {code}"] if code != 0 else []) + list(untrue_outputs(script, output))
            if wrong:
                yield f"{page.name}: {'; '.join(wrong)}. It printed:\n{output}"
    if statements := page.script("sql run"):
        with open_stage() as stage:
            stage.postgres()
            tables = (ROOT / "schema/activity_log/demo/tables.sql").read_text()
            psql = 'psql -v ON_ERROR_STOP=1 -q "$SPROCKETS_POSTGRES"'
            code, output = stage.run(f"{psql} <<'END'\n{tables}\n{statements}\nEND\n")
            if code != 0:
                yield f"{page.name}: exit code {code}:\n{output}"


def wrong_compose_runs(page):
    """In a copy of the checkout, for the pages write .env and secrets/ into it."""
    script = page.script("sh docker")
    if not script:
        return
    if subprocess.run(["docker", "volume", "inspect", SOCKET_VOLUME], capture_output=True).returncode == 0:
        yield f"{page.name}: the volume {SOCKET_VOLUME} is there already: this would disturb whoever uses it"
        return
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    ports = {f"{name}_PORT": str(free_port()) for name in ("SIDECAR_ADMIN", "ALFRED", "PROMETHEUS")}
    project = {**os.environ, **ports, "COMPOSE_PROJECT_NAME": f"sprockets-docs-{os.getpid()}"}
    with tempfile.TemporaryDirectory(prefix="sprockets-docs-") as folder:
        for name in filter(None, files.split("\0")):
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, Path(folder) / name)
        try:
            done = subprocess.run(["sh", "-eu", "-c", script], cwd=folder, env=project, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMPOSE_PATIENCE_S)
        finally:
            subprocess.run(["docker", "compose", "--profile", "*", "down", "--volumes", "--timeout", "5"], cwd=folder,
                           env=project, capture_output=True)
    wrong = ([f"exit code {done.returncode}"] if done.returncode != 0 else []) + list(untrue_outputs(script, done.stdout))
    if wrong:
        yield f"{page.name}: {'; '.join(wrong)}. It printed:\n{done.stdout}"


def compose_main():
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode != 0:
        sys.exit("docs: no Docker engine answers (docker info)")
    wrong = [line for page in pages() for line in wrong_compose_runs(page)]
    print("\n".join(wrong or ["the documentation of Docker Compose is true"]))
    sys.exit(1 if wrong else 0)


def main():
    if "--compose" in sys.argv:
        compose_main()
    wrong = [*wrong_options(), *wide_help()]
    for page in pages():
        for check in (wrong_links, wrong_lines, wrong_targets, wrong_calls):
            wrong += check(page)
    for page in pages():
        wrong += wrong_runs(page)
    print("\n".join(wrong or ["the documentation is true"]))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

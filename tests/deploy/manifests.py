"""Kubernetes's and systemd's files and docker-compose.yml against the programs: what they set exists, and what has to
be there is there."""
import re
import shutil
import subprocess

import yaml

import docs

DEPLOY = docs.ROOT / "sidecar/deploy"
PROBES = {"startupProbe": "/ready?spilling=ok", "readinessProbe": "/ready?spilling=ok", "livenessProbe": "/health"}


def known_variables():
    """What the programs read from the environment."""
    options = set(docs.options_of("sprockets-sidecar"))
    for command in docs.commands():
        options |= set(docs.options_of("sprockets-replayer", command))
    return {"SPROCKETS_" + option[2:].upper().replace("-", "_") for option in options}


def wrong_variables(where, names):
    for name in sorted(set(filter(re.compile("SPROCKETS_").match, names)) - known_variables()):
        yield f"{where}: no program reads {name}"


# ---------------------------------------------------------------------------------------------------------------------
# Kubernetes


def wrong_container(container, volumes):
    name = f"kubernetes.yaml, container {container['name']}"
    security = container["securityContext"]
    if (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"], security["capabilities"]) != \
            (False, True, {"drop": ["ALL"]}):
        yield f"{name}: it may do more than it needs"
    for mount in container["volumeMounts"]:
        if mount["name"] not in volumes:
            yield f"{name}: there is no volume {mount['name']}"
    yield from wrong_variables(name, [variable["name"] for variable in container["env"]])
    ports = {port["name"] for port in container.get("ports", [])}
    for probe, path in PROBES.items():
        if container["name"] != "sidecar":
            continue
        asked = container.get(probe, {}).get("httpGet", {})
        if asked.get("path") != path or asked.get("port") not in ports:
            yield f"{name}: its {probe} asks {asked}, not {path} of one of its ports"


def wrong_kubernetes():
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    for document in documents:
        if not {"apiVersion", "kind", "metadata", "spec"} <= document.keys():
            yield f"kubernetes.yaml: {document.get('kind')} lacks what every object has"
    of_kind = {document["kind"]: document["spec"] for document in documents}
    stateful, pod = of_kind["StatefulSet"], of_kind["StatefulSet"]["template"]["spec"]
    labels = stateful["template"]["metadata"]["labels"]
    for selector in (stateful["selector"]["matchLabels"], of_kind["Service"]["selector"],
                     of_kind["NetworkPolicy"]["podSelector"]["matchLabels"]):
        if not selector.items() <= labels.items():
            yield f"kubernetes.yaml: {selector} selects no pod"
    claims = {claim["metadata"]["name"] for claim in stateful["volumeClaimTemplates"]}
    if "spill" not in claims:
        yield "kubernetes.yaml: the spill folder does not outlive the pod"
    if pod["terminationGracePeriodSeconds"] < 30 or not pod["securityContext"]["runAsNonRoot"]:
        yield "kubernetes.yaml: the pod runs as root, or has no time to stop"
    sidecar = pod["initContainers"][0]
    if sidecar["name"] != "sidecar" or sidecar["restartPolicy"] != "Always":
        yield "kubernetes.yaml: the sidecar does not start before Alfred and end after it"
    for container in pod["initContainers"] + pod["containers"]:
        yield from wrong_container(container, claims | {volume["name"] for volume in pod["volumes"]})


# ---------------------------------------------------------------------------------------------------------------------
# Docker Compose


def wrong_compose():
    services = yaml.safe_load((docs.ROOT / "docker-compose.yml").read_text())["services"]
    stores = {"redis", "postgres"}  # their memory is the data's
    for name, service in services.items():
        yield from wrong_variables(f"docker-compose.yml, {name}", service.get("environment", {}))
        if "tools" in service.get("profiles", []):
            continue
        needed = {"logging", "restart"} | (set() if name in stores else {"mem_limit", "cpus"})
        for key in sorted(needed - service.keys()):
            yield f"docker-compose.yml, {name}: it has no {key}"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"docker-compose.yml, {name}: the port {port} is open to the network"
        if any(re.search("PASSWORD$", variable) for variable in service.get("environment", {})):
            yield f"docker-compose.yml, {name}: a password stands in the environment"


# ---------------------------------------------------------------------------------------------------------------------
# systemd

MOST_EXPOSED = 1.2  # of 10, as `systemd-analyze security` counts; sidecar/README.md tells it


def wrong_unit(path, options):
    lines = [line.partition("=")[::2] for line in path.read_text().splitlines() if "=" in line and line[0] != "#"]
    given = {key: value for key, value in lines}
    program, *words = given["ExecStart"].split()
    for word in words:
        if word.startswith("--") and word not in options:
            yield f"{path.name}: {program} has no option {word}"
    file = path.parent / given["EnvironmentFile"].rpartition("/")[2]
    set_there = re.findall(r"^#? ?(SPROCKETS_\w+)=", file.read_text(), re.M)
    set_here = re.findall(r"(SPROCKETS_\w+)=", "".join(value for key, value in lines if key == "Environment"))
    yield from wrong_variables(path.name, set_here)
    yield from wrong_variables(file.name, set_there)
    if given["User"] != "sprockets" or given["StateDirectory"] != "sprockets":
        yield f"{path.name}: another user, or another folder, than the package's"
    if shutil.which("systemd-analyze") is None:
        return
    said = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)],
                          capture_output=True, text=True).stdout
    exposure = re.search(r"exposure level for .*: ([\d.]+)", said)
    if not exposure or float(exposure[1]) > MOST_EXPOSED:
        yield f"{path.name}: its exposure is {exposure and exposure[1]}, more than {MOST_EXPOSED}"


def wrong_units():
    units = sorted((DEPLOY / "debian").glob("*.service"))
    yield from wrong_unit(units[0], set(docs.options_of("sprockets-replayer", "drain")))
    yield from wrong_unit(units[1], set(docs.options_of("sprockets-sidecar")))


# ---------------------------------------------------------------------------------------------------------------------
# Completion


def completed(program, *words):
    """What bash offers for the last of these words."""
    script = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '_sprockets "$1" "${@: -1}" "${COMP_WORDS[COMP_CWORD - 1]}"; printf "%s\\n" "${COMPREPLY[@]}"')
    path = docs.PROGRAMS / program
    return subprocess.run(["bash", "-c", script, str(DEPLOY / "debian/completion.bash"), str(path), *words],
                          capture_output=True, text=True).stdout.split()


def wrong_completion():
    for program, words, wanted in (("sprockets-replayer", ["dr"], ["drain"]),
                                   ("sprockets-replayer", [""], docs.commands()),
                                   ("sprockets-replayer", ["drain", "--sal"], ["--salvage"]),
                                   ("sprockets-sidecar", ["--spill-m"], ["--spill-max-bytes"]),
                                   ("sprockets-sidecar", ["--ack", ""], ["redis", "disk"])):
        if (got := completed(program, *words)) != wanted:
            yield f"completion.bash: {program} {' '.join(words)} gives {got}, not {wanted}"


def wrong_manifests():
    yield from wrong_completion()
    yield from wrong_kubernetes()
    yield from wrong_compose()
    yield from wrong_units()

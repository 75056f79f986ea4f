"""Kubernetes's and systemd's files and docker-compose.yml against the programs: what they set exists, and what has to
be there is there."""
import re

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


def wrong_manifests():
    yield from wrong_kubernetes()
    yield from wrong_compose()

"""The files of cluster/, and what is wrong with them: a plain function over plain values."""

from __future__ import annotations

import functools
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import ray.autoscaler
import yaml
from packaging.specifiers import SpecifierSet
from ray.autoscaler._private.util import prepare_config, validate_config

import raynas
from raynas.config.reading import load_config

ROOT = Path(__file__).parents[2]

Documents = dict[str, Any]
"""By path: a YAML file as plain values, any other file as its text."""

LAUNCHED = ("cluster/aws.yaml", "cluster/gcp.yaml")
RAY_CLUSTER, RAY_JOB = "cluster/kuberay/raycluster.yaml", "cluster/kuberay/rayjob.yaml"
STORAGE, DOCKERFILE, README = "cluster/kuberay/storage.yaml", "cluster/Dockerfile", "cluster/README.md"

MOUNT = "/mnt/raynas"
TOKEN = "/home/ray/.ray/auth_token"
IN_IMAGE = "/home/ray/raynas/"
SUBMISSION_MODES = ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
MACHINES = {"g6.2xlarge": {"CPU": 8, "GPU": 1}, "g2-standard-8": {"CPU": 8, "GPU": 1}}
"""What the clouds say that their machines have."""
SECRETS = {
    "a key of AWS": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a token of Ray": r"RAY_AUTH_TOKEN(?!_PATH)(?!=\$\()[\"']?\s*[=:,]",
    "a token": r"\b(?:ghp_|glpat-|hf_|ya29\.)[A-Za-z0-9_.-]{8,}",
    "a password": r"(?i)\bpassword[\"']?\s*[=:]\s*\S",
    "a random word": r"\b[0-9a-f]{32,}\b",
}


def read_documents() -> Documents:
    """Returns all files of cluster/, and pyproject.toml."""
    paths = [path for path in sorted((ROOT / "cluster").rglob("*")) if path.is_file()]
    texts = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (*paths, ROOT / "pyproject.toml")
    }
    return {name: yaml.safe_load(text) if name.endswith(".yaml") else text for name, text in texts.items()}


def pins(documents: Documents) -> dict[str, str]:
    """Returns the pinned versions by name: the defaults of the Dockerfile's arguments."""
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", documents[DOCKERFILE], re.MULTILINE))


def image_tag(documents: Documents) -> str:
    """Returns the tag that the image has to have."""
    return f"{raynas.__version__}-ray{pins(documents)['RAY']}-{pins(documents)['PYTHON']}"


def mistakes(documents: Documents) -> list[str]:
    """Returns what is wrong, a line each: the file, the place in it, what was expected and what came."""
    found = [*_of_versions(documents), *_of_secrets(documents)]
    for name in LAUNCHED:
        found += [f"{name}: {line}" for line in _of_launched(json.dumps(documents[name]), image_tag(documents))]
    cluster, job = documents[RAY_CLUSTER], documents[RAY_JOB]
    claims = _claims(documents[STORAGE])
    for name, kind in ((RAY_CLUSTER, "RayCluster"), (RAY_JOB, "RayJob")):
        if (stated := f"{documents[name].get('apiVersion')} {documents[name].get('kind')}") != f"ray.io/v1 {kind}":
            found.append(f"{name}: kind: expected ray.io/v1 {kind}, got {stated}")
    found += [f"{RAY_CLUSTER}: spec.{line}" for line in _of_cluster(cluster["spec"], documents, claims)]
    found += [f"{RAY_JOB}: spec.{line}" for line in _of_job(job["spec"])]
    found += [
        f"{RAY_JOB}: spec.rayClusterSpec.{line}"
        for line in _of_cluster(job["spec"].get("rayClusterSpec", {}), documents, claims)
    ]
    if job["spec"].get("rayClusterSpec") != cluster["spec"]:
        found.append(f"{RAY_JOB}: spec.rayClusterSpec: expected the spec of {RAY_CLUSTER}, to the word")
    if not claims:
        found.append(f"{STORAGE}: spec.accessModes: expected a claim that is ReadWriteMany")
    return found


def refused_by_schema(document: Any, schema: Any, leading: str = "") -> list[str]:
    """Returns what a JSON schema says of a document, a line each, that names the place."""
    errors = jsonschema.Draft7Validator(schema).iter_errors(document)
    return [f"{leading}{error.json_path}: {error.message}" for error in errors]


def _of_versions(documents: Documents) -> Iterator[str]:
    pinned, project = pins(documents), documents["pyproject.toml"]
    for argument, package in (("RAY", "ray"), ("TORCH", "torch"), ("TORCHVISION", "torchvision")):
        stated = re.search(rf'^ +"{package}(?:\[[^\]]*\])?([<>=!~][^"]*)"', project, re.MULTILINE)
        assert stated is not None, package
        if (got := pinned[argument]) not in SpecifierSet(stated[1]):
            yield f"{DOCKERFILE}: ARG {argument}: expected {package}{stated[1]} as in pyproject.toml, got {got}"
    stated = re.search(r'^requires-python = "([^"]*)"', project, re.MULTILINE)
    assert stated is not None
    python = re.sub(r"^py3", "3.", pinned["PYTHON"])
    if python not in SpecifierSet(stated[1]):
        yield f"{DOCKERFILE}: ARG PYTHON: expected Python {stated[1]} as in pyproject.toml, got {pinned['PYTHON']}"
    for name in (DOCKERFILE, README):
        for tag in re.findall(r"/raynas:([\w.-]+)", documents[name]):
            if tag != image_tag(documents):
                yield f"{name}: expected the image tag {image_tag(documents)}, got {tag}"
        if "/raynas:" not in documents[name]:
            yield f"{name}: expected the image's name with its tag"
    for line in re.findall(r"^(?:USER|FROM) .*", documents[DOCKERFILE], re.MULTILINE)[-1:]:
        if line != "USER 1000":
            yield f"{DOCKERFILE}: expected to end as USER 1000, which owns the shared folders, got {line!r}"


def _of_secrets(documents: Documents) -> Iterator[str]:
    for name, document in documents.items():
        text = document if isinstance(document, str) else json.dumps(document)
        for what, pattern in SECRETS.items():
            if name != "pyproject.toml" and re.search(pattern, text):
                yield f"{name}: expected no secret, got {what}"


@functools.cache  # Ray's checks take most of the time, and seldom is it this file that differs
def _of_launched(text: str, tag: str) -> list[str]:
    config = json.loads(text)
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text(encoding="utf-8"))
    refused = refused_by_schema(config, schema)
    if not refused:
        try:
            validate_config(prepare_config(json.loads(text)))
        except (ValueError, RuntimeError, AssertionError, NotImplementedError) as error:
            refused = [f"Ray refuses it: {error}"]
    return refused or [
        *_of_docker(config, tag),
        *_of_node_types(config),
        *_of_commands(config),
        *_of_provider(config),
    ]


def _of_provider(config: Any) -> Iterator[str]:
    if not 0 < config.get("idle_timeout_minutes", 0) <= 60:
        yield f"idle_timeout_minutes: expected 1 to 60, got {config.get('idle_timeout_minutes')}"
    if config["provider"]["type"] == "aws":
        if config["provider"].get("cache_stopped_nodes") is not False:
            yield "provider.cache_stopped_nodes: expected false: a machine that was stopped has lost its mount"
        if config["provider"].get("security_group", {}).get("IpPermissions"):
            yield "provider.security_group.IpPermissions: expected none: no port of Ray is opened"


def _of_docker(config: Any, tag: str) -> Iterator[str]:
    docker = config.get("docker", {})
    images = {key: docker[key] for key in ("image", "head_image", "worker_image") if key in docker}
    for key, image in images.items():
        if image.rpartition(":")[2] != tag:
            yield f"docker.{key}: expected the tag {tag}, got {image}"
    if not images:
        yield "docker.image: expected the image that the Dockerfile builds, got none"
    shared = " ".join(docker.get("run_options", []))
    if "--env RAY_AUTH_MODE=token" not in shared:
        yield "docker.run_options: expected --env RAY_AUTH_MODE=token, on head and workers"
    if f"--volume {MOUNT}:{MOUNT}" not in shared:
        yield f"docker.run_options: expected --volume {MOUNT}:{MOUNT}, on head and workers"
    for role in ("head", "worker"):
        own = " ".join(docker.get(f"{role}_run_options", []))
        if re.search(r"(?:^| )(?:-p|--publish|-P)\b", f"{shared} {own}"):
            yield f"docker.{role}_run_options: expected no published ports"
        size = re.search(r"--shm-size=(\d+)g\b", own)
        memory = re.search(r"--object-store-memory=(\d+)", " ".join(config.get(f"{role}_start_ray_commands", [])))
        if size is None or memory is None or int(size[1]) << 30 <= int(memory[1]):
            yield (
                f"docker.{role}_run_options: expected a --shm-size above the --object-store-memory of "
                f"{role}_start_ray_commands"
            )
    if "--gpus=all" not in docker.get("worker_run_options", []):
        yield "docker.worker_run_options: expected --gpus=all"
    if config.get("file_mounts", {}).get(TOKEN) != "~/.ray/auth_token":
        yield f"file_mounts: expected {TOKEN}: ~/.ray/auth_token, so that all nodes have your token"


def _of_node_types(config: Any) -> Iterator[str]:
    types, head = config["available_node_types"], config["head_node_type"]
    if types[head]["resources"] != {"CPU": 0}:
        yield f"available_node_types.{head}.resources: expected {{CPU: 0}}, got {types[head]['resources']}"
    if types[head].get("max_workers", 0):
        yield f"available_node_types.{head}.max_workers: expected no workers of the head's type"
    aws = config["provider"]["type"] == "aws"
    priorities: dict[bool, list[int]] = {True: [], False: []}
    for name, node in types.items():
        if name == head:
            continue
        where, machine = f"available_node_types.{name}", node["node_config"]
        least, most = node.get("min_workers", 0), node.get("max_workers", 0)
        if least != 0 or not 0 < most <= config["max_workers"]:
            yield f"{where}: expected 0 = min_workers < max_workers <= {config['max_workers']}, got {least} and {most}"
        kind = machine.get("InstanceType" if aws else "machineType")
        if kind not in MACHINES or node["resources"] != MACHINES[kind]:
            yield f"{where}.resources: expected what a {kind} has, {MACHINES.get(kind)}, got {node['resources']}"
        scheduling = machine.get("scheduling", {})
        if not aws and sum(card["acceleratorCount"] for card in machine.get("guestAccelerators", [])) != node[
            "resources"
        ].get("GPU"):
            yield f"{where}.node_config.guestAccelerators: expected as many as resources.GPU"
        if not aws and scheduling.get("onHostMaintenance") != "TERMINATE":
            yield f"{where}.node_config.scheduling.onHostMaintenance: expected TERMINATE: a GPU cannot move"
        market = (
            machine.get("InstanceMarketOptions", {}).get("MarketType") if aws else scheduling.get("provisioningModel")
        )
        if market not in (None, "spot" if aws else "SPOT"):
            yield f"{where}.node_config: expected spot or nothing as the market, got {market}"
        priorities[market is not None].append(node.get("priority", 0))
    yield from _of_markets("available_node_types", priorities)


def _of_markets(where: str, priorities: dict[bool, list[int]]) -> Iterator[str]:
    if not priorities[True] or not priorities[False]:
        yield f"{where}: expected GPU workers of both kinds, spot and on demand"
    elif min(priorities[True]) <= max(priorities[False]):
        got = f"{priorities[True]} and {priorities[False]}"
        yield f"{where}: expected spot to have a higher priority than on demand, got {got}"


def _of_commands(config: Any) -> Iterator[str]:
    for key in ("setup_commands", "head_setup_commands", "worker_setup_commands"):
        if config.get(key) != []:
            yield f"{key}: expected []: what is installed is the image's, got {config.get(key)}"
    if not any(
        re.search(rf"^mountpoint -q {MOUNT} \|\| .*\bmount -t nfs4? .*{MOUNT}\)$", line)
        for line in config.get("initialization_commands", [])
    ):
        yield f"initialization_commands: expected a shared file system to be mounted at {MOUNT}"
    head, worker = (" ".join(config.get(f"{role}_start_ray_commands", [])) for role in ("head", "worker"))
    if "--dashboard-host=127.0.0.1" not in head:
        yield "head_start_ray_commands: expected --dashboard-host=127.0.0.1: reached by `ray dashboard` alone"
    if "--autoscaling-config=~/ray_bootstrap_config.yaml" not in head:
        yield "head_start_ray_commands: expected --autoscaling-config=~/ray_bootstrap_config.yaml, or no worker comes"
    if "--address=$RAY_HEAD_IP:6379" not in worker or "--port=6379" not in head:
        yield "worker_start_ray_commands: expected --address=$RAY_HEAD_IP:6379, the --port of the head"
    if re.search(r"0\.0\.0\.0|enable_autoscaler_v2=0", head + worker):
        yield "head_start_ray_commands: expected no 0.0.0.0 and no autoscaler v1"


def _claims(storage: Any) -> set[str]:
    shared = storage.get("kind") == "PersistentVolumeClaim" and "ReadWriteMany" in storage["spec"].get(
        "accessModes", []
    )
    return {storage["metadata"]["name"]} if shared else set()


def _of_job(spec: Any) -> Iterator[str]:
    if spec.get("submissionMode") not in SUBMISSION_MODES:
        yield f"submissionMode: expected one of {', '.join(SUBMISSION_MODES)}, got {spec.get('submissionMode')}"
    if spec.get("shutdownAfterJobFinishes") is not True:
        yield f"shutdownAfterJobFinishes: expected true, got {spec.get('shutdownAfterJobFinishes')!r}"
    words = shlex.split(spec.get("entrypoint", ""))
    if words[:4] != ["python", "-m", "raynas", "run"] or not words[4:5] or not words[4].startswith(IN_IMAGE):
        yield f"entrypoint: expected python -m raynas run {IN_IMAGE}jobs/..., got {spec.get('entrypoint')}"
        return
    try:
        config = load_config(ROOT / words[4].removeprefix(IN_IMAGE), overrides_of(words))
    except ValueError as error:
        yield from (f"entrypoint: {line}" for line in str(error).splitlines())
        return
    for key, path in (("storage_path", config.storage_path), ("data.path", config.data.path)):
        if path is None or not path.startswith(f"{MOUNT}/"):
            yield f"entrypoint: {key}: expected a folder below {MOUNT}, which all nodes see, got {path}"


def overrides_of(words: list[str]) -> list[str]:
    """Returns what follows each --set of a command."""
    return [value for word, value in zip(words, words[1:], strict=False) if word == "--set"]


def _of_cluster(spec: Any, documents: Documents, claims: set[str]) -> Iterator[str]:
    for key, expected in (
        ("rayVersion", pins(documents)["RAY"]),
        ("enableInTreeAutoscaling", True),
        ("authOptions.mode", "token"),
        ("autoscalerOptions.version", "v2"),
        ("headGroupSpec.serviceType", "ClusterIP"),
        ("headGroupSpec.rayStartParams.num-cpus", "0"),
    ):
        value = spec
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value != expected or type(value) is not type(expected):
            yield f"{key}: expected {expected!r}, got {value!r}"
    if not 0 < spec.get("autoscalerOptions", {}).get("idleTimeoutSeconds", 0) <= 3600:
        yield "autoscalerOptions.idleTimeoutSeconds: expected 1 to 3600"
    if "enableIngress" in spec.get("headGroupSpec", {}):
        yield "headGroupSpec.enableIngress: expected none: the dashboard is reached by `kubectl port-forward`"
    yield from _of_pod("headGroupSpec", spec.get("headGroupSpec", {}), documents, claims)
    priorities: dict[bool, list[int]] = {True: [], False: []}
    for number, group in enumerate(spec.get("workerGroupSpecs", [])):
        where = f"workerGroupSpecs[{number}]"
        counts = [group.get(key) for key in ("minReplicas", "replicas", "maxReplicas")]
        if None in counts or not 0 == counts[0] <= counts[1] <= counts[2] or not counts[2]:
            yield f"{where}: expected 0 = minReplicas <= replicas <= maxReplicas, got {', '.join(map(str, counts))}"
        pod = group.get("template", {}).get("spec", {})
        for container in pod.get("containers", []):
            resources = container.get("resources", {})
            gpus = {part: resources.get(part, {}).get("nvidia.com/gpu") for part in ("requests", "limits")}
            if gpus["limits"] in (None, "0") or gpus["requests"] != gpus["limits"]:
                place = f"{where}.template.spec.containers[{container['name']}].resources"
                yield f"{place}: expected nvidia.com/gpu as request and limit, got {gpus}"
        tolerated = {one.get("key") for one in pod.get("tolerations", [])}
        if "nvidia.com/gpu" not in tolerated:
            yield f"{where}.template.spec.tolerations: expected nvidia.com/gpu, got {sorted(map(str, tolerated))}"
        selected = [key for key in pod.get("nodeSelector", {}) if key.endswith("-spot")]
        if not pod.get("nodeSelector") or any(key not in tolerated for key in selected):
            yield f"{where}.template.spec.nodeSelector: expected GPU nodes, and a toleration for spot ones"
        priorities[bool(selected)].append(group.get("priority", 0))
        yield from _of_pod(where, group, documents, claims)
    yield from _of_markets("workerGroupSpecs", priorities)


def _of_pod(where: str, group: Any, documents: Documents, claims: set[str]) -> Iterator[str]:
    parameters, pod = group.get("rayStartParams", {}), group.get("template", {}).get("spec", {})
    for key, value in parameters.items():
        if not isinstance(value, str):
            yield f"{where}.rayStartParams.{key}: expected text in quotes, got {value!r}"
    where = f"{where}.template.spec"
    if pod.get("restartPolicy") != "Never":
        yield f"{where}.restartPolicy: expected Never: autoscaler v2 takes a restarted pod for another node"
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser") != 1000:
        yield f"{where}.securityContext: expected runAsNonRoot: true and runAsUser: 1000, the image's user"
    if pod.get("hostNetwork") or not pod.get("containers"):
        yield f"{where}: expected containers without hostNetwork"
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for container in pod.get("containers", []):
        place = f"{where}.containers[{container['name']}]"
        if container.get("image", "").rpartition(":")[2] != image_tag(documents):
            yield f"{place}.image: expected the tag {image_tag(documents)}, got {container.get('image')}"
        locked = container.get("securityContext", {})
        if locked.get("allowPrivilegeEscalation") is not False or locked.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{place}.securityContext: expected no escalation and no capabilities"
        for port in container.get("ports", []):
            if "hostPort" in port or port["containerPort"] == 10001:
                yield f"{place}.ports: expected neither a hostPort nor Ray's client (10001), got {port}"
        resources = container.get("resources", {})
        for part in ("requests", "limits"):
            if not {"cpu", "memory"} <= set(resources.get(part, {})):
                yield f"{place}.resources.{part}: expected cpu and memory"
        mounts = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
        claim = volumes.get(mounts.get(MOUNT, ""), {}).get("persistentVolumeClaim", {}).get("claimName")
        if claim not in claims:
            yield f"{place}.volumeMounts: expected the claim of {STORAGE} at {MOUNT}, got {claim}"
        memory = volumes.get(mounts.get("/dev/shm", ""), {}).get("emptyDir", {})
        wanted = int(parameters.get("object-store-memory", 0))
        limit = _bytes(resources.get("limits", {}).get("memory", "0Gi"))
        if memory.get("medium") != "Memory" or not wanted < _bytes(memory.get("sizeLimit", "0Gi")) < limit:
            yield (
                f"{place}.volumeMounts: expected at /dev/shm an emptyDir in Memory, larger than object-store-memory "
                f"({wanted}) and smaller than the memory limit, got {memory}"
            )


def _bytes(amount: str) -> int:
    return int(amount.removesuffix("Gi")) << 30

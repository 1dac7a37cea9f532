"""The files of cluster/ hold together, and a mistake in one of them is found and named. Nothing here needs a cloud."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from raynas.config.reading import load_config
from tests.cluster.cluster_files import (
    DOCKERFILE,
    IN_IMAGE,
    LAUNCHED,
    RAY_CLUSTER,
    RAY_JOB,
    README,
    ROOT,
    STORAGE,
    TOKEN,
    Documents,
    mistakes,
    overrides_of,
    read_documents,
    refused_by_schema,
)

MEASURING_DATA = Path(os.environ.get("RAYNAS_DATA", ROOT.parent / "shared" / "data"))
SCHEMAS = {
    RAY_CLUSTER: MEASURING_DATA / "kuberay" / "raycluster.schema.json",
    RAY_JOB: MEASURING_DATA / "kuberay" / "rayjob.schema.json",
}
needs_schemas = pytest.mark.skipif(
    not all(schema.exists() for schema in SCHEMAS.values()),
    reason=f"the strict schemas of KubeRay 1.7.0 are not in {MEASURING_DATA / 'kuberay'}",
)
AWS, GCP = LAUNCHED
PLACEHOLDERS = (
    *("registry.example.com", "filestore.example.com", "my-project"),
    *("ami-00000000000000000", "fs-00000000000000000"),
)


@pytest.fixture(scope="module")
def documents() -> Documents:
    return read_documents()


class Renamed(str):
    """The new name of a key."""


class Removed:
    """In the place of a value that goes."""

    def __repr__(self) -> str:
        return "removed"


REMOVED = Removed()

# Where, by a file and keys in it; the new value there, or what it becomes; what the refusal has to say.
SPOT, ON_DEMAND = "available_node_types gpu_spot", "available_node_types gpu_on_demand"
LAUNCHER_SEEDS: list[tuple[str, str, Any, str]] = [
    (AWS, "docker image", "raynas:0.1.0-ray2.59.0-py311", "docker.image:"),
    (GCP, "docker", REMOVED, "docker.image: expected the image that the Dockerfile builds"),
    (GCP, "docker worker_image", "rayproject/ray:2.60.0", "docker.worker_image:"),
    (AWS, "head_node_type", "haed", "`head_node_type` must be one of"),
    (GCP, "min_wokers", 0, "'min_wokers' was unexpected"),
    (AWS, f"{SPOT} max_workers", Renamed("max_worker"), "available_node_types.gpu_spot: Additional properties"),
    (AWS, "max_workers", "16", "$.max_workers: '16' is not of type 'integer'"),
    (AWS, "provider cache_stopped_nodes", "false", "$.provider.cache_stopped_nodes: 'false' is not of type 'boolean'"),
    (AWS, "provider cache_stopped_nodes", REMOVED, "provider.cache_stopped_nodes: expected false"),
    (GCP, "max_workers", -1, "$.max_workers: -1"),
    (AWS, f"{SPOT} min_workers", 13, "gpu_spot: expected 0 = min_workers < max_workers"),
    (GCP, f"{SPOT} max_workers", 17, "gpu_spot: expected 0 = min_workers < max_workers <= 16, got 0 and 17"),
    (AWS, "available_node_types head resources", {}, "available_node_types.head.resources:"),
    (GCP, "available_node_types head max_workers", 2, "available_node_types.head.max_workers:"),
    (GCP, f"{SPOT} resources GPU", REMOVED, "available_node_types.gpu_spot.resources:"),
    (AWS, f"{SPOT} resources GPU", 4, "available_node_types.gpu_spot.resources:"),
    (AWS, f"{SPOT} resources GPU", 0.5, "$.available_node_types.gpu_spot.resources.GPU: 0.5 is not of type 'integer'"),
    (GCP, f"{ON_DEMAND} node_config guestAccelerators", REMOVED, "gpu_on_demand.node_config.guestAccelerators:"),
    (GCP, f"{ON_DEMAND} node_config scheduling", REMOVED, "gpu_on_demand.node_config.scheduling.onHostMaintenance:"),
    (AWS, ON_DEMAND, REMOVED, "available_node_types: expected GPU workers of both kinds"),
    (AWS, f"{SPOT} node_config InstanceMarketOptions MarketType", "Spot", "gpu_spot.node_config: expected spot or"),
    (GCP, f"{ON_DEMAND} priority", 20, "available_node_types: expected spot to have a higher priority"),
    (AWS, f"file_mounts {TOKEN}", REMOVED, "file_mounts: expected /home/ray/.ray/auth_token"),
    (GCP, "docker run_options 1", REMOVED, "docker.run_options: expected --env RAY_AUTH_MODE=token"),
    (AWS, "docker run_options 2", REMOVED, "docker.run_options: expected --volume /mnt/raynas:/mnt/raynas"),
    (GCP, "docker run_options", Renamed("head_run_options"), "docker.run_options: expected --volume"),
    (GCP, "initialization_commands", lambda lines: lines[:4], "initialization_commands: expected a shared file system"),
    (AWS, "initialization_commands 3", lambda line: line.replace("/mnt/raynas)", "/efs)"), "initialization_commands:"),
    (AWS, "docker worker_run_options 0", "--shm-size=7g", "docker.worker_run_options: expected a --shm-size"),
    (GCP, "docker worker_run_options 1", REMOVED, "docker.worker_run_options: expected --gpus=all"),
    (AWS, "head_start_ray_commands 1", lambda line: line.replace("127.0.0.1", "0.0.0.0"), "expected --dashboard-host"),
    (AWS, "head_start_ray_commands 1", lambda line: line.replace("--autosc", "--no-"), "expected --autoscaling-config"),
    (GCP, "head_start_ray_commands 1", lambda line: f"RAY_enable_autoscaler_v2=0 {line}", "and no autoscaler v1"),
    (GCP, "head_start_ray_commands", REMOVED, "head_start_ray_commands: expected --dashboard-host=127.0.0.1"),
    (AWS, "worker_start_ray_commands 1", lambda line: line.replace("6379", "6380"), "worker_start_ray_commands:"),
    (AWS, "provider security_group IpPermissions", [{"FromPort": 8265}], "provider.security_group.IpPermissions:"),
    (GCP, "docker head_run_options 0", "--shm-size=3g -p 8265:8265", "docker.head_run_options: expected no published"),
    (GCP, "setup_commands", REMOVED, "setup_commands: expected []"),
    (AWS, "head_setup_commands", ["pip install -U ray"], "head_setup_commands: expected []"),
    (AWS, "idle_timeout_minutes", 6000, "idle_timeout_minutes:"),
    (GCP, "docker run_options 0", "--env RAY_AUTH_TOKEN=secret", "expected no secret, got a token of Ray"),
    (GCP, "docker run_options 0", f"--env TOKEN={8 * '0a1b'}", "expected no secret, got a random word"),
    (AWS, "setup_commands", [f"export AWS_ACCESS_KEY_ID=AKIA{16 * 'A'}"], "expected no secret, got a key of AWS"),
]

HEAD, WORKER = "headGroupSpec template spec", "workerGroupSpecs 0 template spec"
IN_HEAD, IN_WORKER = f"{HEAD} containers 0", f"{WORKER} containers 0"
HEADS, WORKERS = "headGroupSpec.template.spec", "workerGroupSpecs[0].template.spec"
KUBERAY_SEEDS: list[tuple[str, Any, str]] = [
    (f"{IN_WORKER} image", "raynas:0.1.0-ray2.59.0-py311", f"{WORKERS}.containers[ray-worker].image:"),
    ("rayVersion", "2.59.0", "rayVersion: expected '2.60.0'"),
    ("workerGroupSpecs 0 maxReplicas", Renamed("maxReplica"), "workerGroupSpecs[0]: expected 0 = minReplicas"),
    ("workerGroupSpecs 1 minReplicas", 5, "workerGroupSpecs[1]: expected 0 = minReplicas"),
    ("workerGroupSpecs 0 replicas", 13, "workerGroupSpecs[0]: expected 0 = minReplicas <= replicas <= maxReplicas"),
    (
        f"{IN_WORKER} resources limits nvidia.com/gpu",
        REMOVED,
        f"{WORKERS}.containers[ray-worker].resources: expected nvidia",
    ),
    (f"{IN_WORKER} resources", Renamed("resource"), f"{WORKERS}.containers[ray-worker].resources.limits:"),
    (f"{IN_WORKER} volumeMounts 0", REMOVED, f"{WORKERS}.containers[ray-worker].volumeMounts: expected the claim"),
    (f"{IN_HEAD} volumeMounts 0", REMOVED, f"{HEADS}.containers[ray-head].volumeMounts: expected the claim"),
    (f"{IN_WORKER} volumeMounts 0 mountPath", "/mnt/runs", f"{WORKERS}.containers[ray-worker].volumeMounts:"),
    (f"{WORKER} volumes 0 persistentVolumeClaim claimName", "mine", "volumeMounts: expected the claim"),
    (f"{WORKER} volumes 0 persistentVolumeClaim", Renamed("emptyDir"), "volumeMounts: expected the claim"),
    ("authOptions", REMOVED, "authOptions.mode: expected 'token', got None"),
    ("authOptions mode", "disabled", "authOptions.mode: expected 'token', got 'disabled'"),
    ("headGroupSpec rayStartParams num-cpus", REMOVED, "headGroupSpec.rayStartParams.num-cpus: expected '0'"),
    ("headGroupSpec rayStartParams num-cpus", 0, "headGroupSpec.rayStartParams.num-cpus: expected text in quotes"),
    ("headGroupSpec rayStartParams num-cpus", "4", "headGroupSpec.rayStartParams.num-cpus: expected '0', got '4'"),
    ("autoscalerOptions version", "v1", "autoscalerOptions.version: expected 'v2', got 'v1'"),
    ("autoscalerOptions idleTimeoutSeconds", REMOVED, "autoscalerOptions.idleTimeoutSeconds:"),
    ("enableInTreeAutoscaling", REMOVED, "enableInTreeAutoscaling: expected True"),
    ("enableInTreeAutoscaling", "true", "enableInTreeAutoscaling: expected True, got 'true'"),
    (f"{WORKER} restartPolicy", REMOVED, f"{WORKERS}.restartPolicy: expected Never"),
    (f"{HEAD} securityContext runAsUser", 0, f"{HEADS}.securityContext: expected runAsNonRoot"),
    (f"{WORKER} hostNetwork", True, f"{WORKERS}: expected containers without hostNetwork"),
    (f"{IN_WORKER} securityContext", REMOVED, f"{WORKERS}.containers[ray-worker].securityContext:"),
    ("headGroupSpec serviceType", "LoadBalancer", "headGroupSpec.serviceType: expected 'ClusterIP'"),
    ("headGroupSpec enableIngress", True, "headGroupSpec.enableIngress:"),
    (f"{IN_HEAD} ports 1 hostPort", 8265, f"{HEADS}.containers[ray-head].ports:"),
    (f"{IN_HEAD} ports 1 containerPort", 10001, f"{HEADS}.containers[ray-head].ports:"),
    (f"{WORKER} volumes 1 emptyDir sizeLimit", "4Gi", f"{WORKERS}.containers[ray-worker].volumeMounts: expected at"),
    (f"{WORKER} volumes 1 emptyDir medium", REMOVED, f"{WORKERS}.containers[ray-worker].volumeMounts: expected at"),
    (f"{WORKER} tolerations 0", REMOVED, f"{WORKERS}.tolerations: expected nvidia.com/gpu"),
    (f"{WORKER} tolerations 1", REMOVED, f"{WORKERS}.nodeSelector: expected GPU nodes, and a toleration"),
    ("workerGroupSpecs 0", REMOVED, "workerGroupSpecs: expected GPU workers of both kinds"),
    ("workerGroupSpecs 1 priority", 10, "workerGroupSpecs: expected spot to have a higher priority"),
    (f"{IN_HEAD} resources limits memory", REMOVED, f"{HEADS}.containers[ray-head].resources.limits:"),
    (f"{IN_HEAD} env", [{"name": "RAY_AUTH_TOKEN", "value": "x"}], "expected no secret, got a token of Ray"),
]

OTHER_SEEDS: list[tuple[str, str, Any, str]] = [
    (RAY_CLUSTER, "apiVersion", "ray.io/v1alpha1", "kind: expected ray.io/v1 RayCluster, got ray.io/v1alpha1"),
    (RAY_JOB, "spec submissionMode", "Foo", "spec.submissionMode: expected one of K8sJobMode, HTTPMode"),
    (RAY_JOB, "spec entrypoint", lambda words: words.replace("nasbench201", "nasbench202"), "rlnas_nasbench202.yaml"),
    (RAY_JOB, "spec entrypoint", lambda words: words.replace("use_gpu", "use_gpus"), "train.use_gpus"),
    (RAY_JOB, "spec entrypoint", lambda words: words.replace("/mnt/raynas/runs", "runs"), "entrypoint: storage_path:"),
    (RAY_JOB, "spec entrypoint", "python jobs/rlnas.py", "spec.entrypoint: expected python -m raynas run"),
    (RAY_JOB, "spec shutdownAfterJobFinishes", "true", "spec.shutdownAfterJobFinishes: expected true, got 'true'"),
    (RAY_JOB, "spec rayClusterSpec workerGroupSpecs 0 maxReplicas", 13, "expected the spec of cluster/kuberay/ray"),
    (STORAGE, "spec accessModes 0", "ReadWriteOnce", "spec.accessModes:"),
    (DOCKERFILE, "", lambda text: text.replace("RAY=2.60.0", "RAY=2.61.0"), "ARG RAY: expected ray>=2.59,<2.61"),
    (DOCKERFILE, "", lambda text: text.replace("=py311", "=py315"), "ARG PYTHON: expected Python >=3.10,<3.15"),
    (DOCKERFILE, "", lambda text: text.replace("TORCH=2.15.0", "TORCH=2.5.0"), "ARG TORCH: expected torch>=2.6"),
    (DOCKERFILE, "", lambda text: text.replace("USER 1000", "USER root"), "expected to end as USER 1000"),
    (README, "", lambda text: text.replace("/raynas:", "/raynas@"), "expected the image's name with its tag"),
    (README, "", lambda text: text.replace("ray2.60.0", "ray2.59.0"), "expected the image tag 0.1.0-ray2.60.0-py311"),
]

SEEDS = [
    *LAUNCHER_SEEDS,
    *((RAY_CLUSTER, f"spec {path}", value, reason) for path, value, reason in KUBERAY_SEEDS),
    *((RAY_JOB, f"spec rayClusterSpec {path}", value, reason) for path, value, reason in KUBERAY_SEEDS),
    *OTHER_SEEDS,
]


def seeded(documents: Documents, name: str, path: str, value: Any) -> Documents:
    """Returns the documents with what stands at `path` in one of them set, changed, renamed or removed."""
    documents = json.loads(json.dumps(documents))  # so that no two places are one object, as YAML's aliases are
    place: Any = documents
    keys = (name, *path.split())
    *inner, last = (int(key) if key.isdigit() else key for key in keys)
    for key in inner:
        place = place[key]
    if isinstance(value, Renamed):
        place[str(value)] = place.pop(last)
    elif value is REMOVED:
        del place[last]
    else:
        place[last] = value(place[last]) if callable(value) else value
    return documents


def test_the_files_are_without_a_mistake(documents: Documents) -> None:
    assert mistakes(documents) == []


@pytest.mark.parametrize(
    ("name", "path", "value", "reason"),
    [
        pytest.param(name, path, value, reason, id=f"{Path(name).stem}-{path}-{'' if callable(value) else value}")
        for name, path, value, reason in SEEDS
    ],
)
def test_a_seeded_mistake_is_refused_with_a_line_that_names_its_place(
    documents: Documents, name: str, path: str, value: Any, reason: str
) -> None:
    with_mistake = seeded(documents, name, path, value)
    assert with_mistake != documents
    lines = mistakes(with_mistake)
    assert any(line.startswith(f"{name}: ") and reason in line for line in lines), lines
    assert not any("\n" in line for line in lines)


def test_a_new_version_in_the_dockerfile_is_missed_in_every_other_file(documents: Documents) -> None:
    newer = seeded(documents, DOCKERFILE, "", lambda text: text.replace("ARG RAY=2.60.0", "ARG RAY=2.60.1"))
    assert {line.partition(":")[0] for line in mistakes(newer)} == {*LAUNCHED, RAY_CLUSTER, RAY_JOB, README, DOCKERFILE}


@needs_schemas
@pytest.mark.parametrize("name", SCHEMAS)
def test_kuberay_files_are_what_its_strict_schema_describes(documents: Documents, name: str) -> None:
    schema = json.loads(SCHEMAS[name].read_text(encoding="utf-8"))
    assert refused_by_schema(documents[name], schema) == []
    spec = "spec" if name == RAY_CLUSTER else "spec rayClusterSpec"
    for path, value, reason in (
        ("workerGroupSpecs 0 maxReplicas", Renamed("maxReplica"), "'maxReplica' was unexpected"),
        (f"{IN_WORKER} resources", Renamed("resource"), "'resource' was unexpected"),
        ("autoscalerOptions version", "v3", "'v3' is not one of"),
        ("enableInTreeAutoscaling", "true", "'true' is not of type 'boolean'"),
        ("authOptions mode", "tokens", "'tokens' is not one of"),
        ("headGroupSpec rayStartParams num-cpus", 0, "0 is not of type 'string'"),
    ):
        refused = refused_by_schema(seeded(documents, name, f"{spec} {path}", value)[name], schema)
        assert reason in "\n".join(refused)


def test_the_rayjob_trains_elastically_on_gpus_with_a_cluster_of_its_own(documents: Documents) -> None:
    words = shlex.split(documents[RAY_JOB]["spec"]["entrypoint"])
    config = load_config(ROOT / words[4].removeprefix(IN_IMAGE), overrides_of(words))  # tests/jobs checks the file
    assert (config.train.worker_range, config.train.use_gpu) == ((1, 4), True)
    assert (config.address, str(config.folder)) == ("local", "/mnt/raynas/runs/rlnas_nasbench201")


def commands_of(readme: str) -> dict[str, list[str]]:
    """Returns the commands of the last block of each section that promises three, by its title."""
    sections = re.split(r"^## ", readme, flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        blocks = re.findall(r"^```bash\n# three commands\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        if blocks:
            (block,) = blocks
            found[section.splitlines()[0]] = block.replace("\\\n", "").strip().splitlines()
    return found


def test_every_way_takes_exactly_three_commands(documents: Documents) -> None:
    ways = commands_of(documents[README])
    assert list(ways) == ["AWS", "GCP", "KubeRay, one run", "KubeRay, a cluster that stays", "A local cluster"]
    assert {title: len(commands) for title, commands in ways.items()} == dict.fromkeys(ways, 3)
    for command in (command for commands in ways.values() for command in commands):
        for path in re.findall(r"(?:cluster|jobs)/[\w/]+\.yaml", command):
            assert (ROOT / path).exists(), command
        if " submit " in command:
            assert "storage_path=" in command, "results would stay on the head"


def test_everything_to_be_replaced_is_explained(documents: Documents) -> None:
    values = json.dumps([documents[name] for name in (*LAUNCHED, RAY_CLUSTER, RAY_JOB)])
    assert set(re.findall(r"[\w.-]*example\.com|my-project|(?:ami|fs)-0+", values)) == set(PLACEHOLDERS)
    for placeholder in PLACEHOLDERS:
        assert placeholder in documents[README]

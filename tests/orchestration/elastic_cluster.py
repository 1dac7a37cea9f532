"""A cluster whose second node comes and is killed while raynas trains on it; prints the worlds that trained.

Usage: elastic_cluster.py RUN_FILE RUN_FOLDER
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main(file: str, folder: Path) -> int:
    temporary = tempfile.mkdtemp(prefix="rn", dir="/tmp")
    os.environ.update(
        RAY_TMPDIR=temporary,
        RAY_AUTH_MODE="disabled",
        RAY_USAGE_STATS_ENABLED="0",
        RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S="12",
    )
    os.mkdir(f"{temporary}/ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    process = subprocess.Popen(
        [sys.executable, "-m", "raynas", "train", file, "--set", f"address={cluster.address}"],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    worlds: list[int] = []

    def follow(until: int) -> None:
        """Waits until so many workers train, which the workers write into their notes."""
        deadline = time.monotonic() + 150
        while not worlds or worlds[-1] != until:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"no {until} workers: {worlds}, exit status {process.poll()}")
            note = folder / "progress.json"
            world = json.loads(note.read_text())["workers"] if note.exists() else None
            if world is not None and (not worlds or worlds[-1] != world):
                worlds.append(world)
            time.sleep(0.1)

    try:
        follow(until=1)
        node = cluster.add_node(num_cpus=1)
        follow(until=2)
        time.sleep(3)
        cluster.remove_node(node, allow_graceful=False)
        follow(until=1)
        status = process.wait(timeout=300)
    finally:
        process.kill()
        cluster.shutdown()
    print(json.dumps(worlds))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))

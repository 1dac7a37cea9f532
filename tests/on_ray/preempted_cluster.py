"""A cluster whose only training node is taken back, as spot machines are: a warning, some seconds, and it is gone.

Usage: preempted_cluster.py RUN_FILE RUN_FOLDER. Prints what raynas said, and last what was seen from outside, as JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE = 12


def main(file: str, folder: Path) -> int:
    temporary = tempfile.mkdtemp(prefix="rn", dir="/tmp")
    os.environ.update(
        RAY_TMPDIR=temporary,
        RAY_AUTH_MODE="disabled",
        RAY_USAGE_STATS_ENABLED="0",
        RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S="1",
    )
    os.mkdir(f"{temporary}/ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    first = cluster.add_node(num_cpus=1, resources={"raynas_train": 1})
    cluster.add_node(num_cpus=1)  # without the resource: nothing trains here
    place = folder / "supernet/seed_0"
    said = Path(temporary) / "said"
    with said.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "raynas", "train", file, "--set", f"address={cluster.address}"],
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            stdout=stream,
        )
    steps: list[int] = []

    def step() -> int:
        note = folder / "progress.json"
        steps.append(json.loads(note.read_text())["step"] if note.exists() else 0)
        return steps[-1]

    def wait_until(condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 300
        while not condition():
            step()
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"no {what}: exit status {process.poll()}\n{said.read_text()}")
            time.sleep(0.05)

    try:
        wait_until(lambda: step() > 0, "step")
        cluster.add_node(num_cpus=1, resources={"raynas_train": 1})
        command = ["drain-node", "--address", cluster.address, "--node-id", first.node_id]
        reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "taken back"]
        ray = str(Path(sys.executable).parent / "ray")
        subprocess.run(
            [ray, *command, *reason, "--deadline-remaining-seconds", str(DEADLINE)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        warned = time.monotonic()
        wait_until(lambda: any(place.glob("epoch_00000_step_*")), "checkpoint in mid-epoch")
        saved_after = time.monotonic() - warned
        (saved,) = place.glob("epoch_00000_step_*")
        position = int(saved.name.rpartition("_")[2])
        time.sleep(1)
        reached = step()
        wait_until(lambda: step() > reached, "step after that")
        again_after = time.monotonic() - warned
        time.sleep(max(0.0, DEADLINE + 1 - again_after))
        cluster.remove_node(first, allow_graceful=False)
        status = process.wait(timeout=300)
    finally:
        process.kill()
        cluster.shutdown()
    seen = {"saved_after": saved_after, "position": position, "reached": reached, "again_after": again_after}
    print(said.read_text())
    print(json.dumps(seen))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))

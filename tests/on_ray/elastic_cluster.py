"""A cluster without CPUs, to which nodes come and from which one is killed while raynas trains on it.

Usage: elastic_cluster.py RUN_FILE RUN_FOLDER. Ends the run a hundred epochs after the last change, and prints what
raynas said, and last as JSON the numbers of workers that trained, the last step that one worker showed before the
second joined, and the step that was saved for the two.
"""

import json
import os
import re
import shutil
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

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    said = Path(temporary) / "said"
    with said.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "raynas", "train", file, "--set", f"address={cluster.address}"],
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            stdout=stream,
        )
    worlds: list[int] = []
    shown: list[int] = []

    def wait_for(sign: object) -> None:
        """Waits until raynas has said a text, or so many workers train, which the first one notes."""
        deadline = time.monotonic() + 300
        while sign not in said.read_text() if isinstance(sign, str) else worlds[-1:] != [sign]:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"no {sign}: {worlds}, exit status {process.poll()}\n{said.read_text()}")
            note = folder / "progress.json"
            if note.exists():
                now = json.loads(note.read_text())
                if worlds[-1:] != [now["workers"]]:
                    worlds.append(now["workers"])
                if worlds == [1]:
                    shown.append(now["step"])
            time.sleep(0.1)

    try:
        wait_for("waiting for 1 more CPU: train.workers needs them")
        cluster.add_node(num_cpus=1)
        wait_for(1)
        second = cluster.add_node(num_cpus=1)
        began = time.monotonic()
        wait_for(2)
        joined = time.monotonic() - began
        (line,) = (folder / "notes.txt").read_text().splitlines()
        epochs, steps, steps_per_epoch = map(int, re.findall(r"\d+", line.partition("saved after")[2]))
        metrics = folder / "supernet/seed_0/metrics.jsonl"
        enough = len(metrics.read_text().splitlines()) + 45  # of which some are saved before a node is killed
        while process.poll() is None and len(metrics.read_text().splitlines()) < enough:
            time.sleep(0.1)
        cluster.remove_node(second, allow_graceful=False)
        wait_for(1)
        enough = len(metrics.read_text().splitlines()) + 100
        while process.poll() is None and len(metrics.read_text().splitlines()) < enough:
            time.sleep(0.1)
        process.terminate()
        status = process.wait(timeout=60)
        print(said.read_text())
    finally:
        process.kill()
        cluster.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)
    saved = epochs * steps_per_epoch + steps
    seen = {"worlds": worlds, "shown": shown[-1], "saved": saved, "joined_after": joined}
    print(json.dumps(seen))
    return 0 if status == 143 else 1  # which is how SIGTERM ends it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))

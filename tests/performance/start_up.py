"""Times what a user waits for: `raynas --help`, and `raynas run` on a local Ray up to its first step and to its end.

python tests/performance/start_up.py [--rounds 3] [--address auto] [--json]

With an address the runs join the Ray that is there, which is warm from the second round on.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOB = Path(__file__).parents[2] / "jobs" / "quickstart.yaml"


def help_seconds():
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "raynas", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


MARKS = {
    "torch imported, images read (config.json)": "config.json",
    "Ray joined, a trainer asked for (ray/)": "ray",
    "worker up, images read there (seed_0/lock)": "supernet/seed_0/lock",
    "first step done (progress.json)": "progress.json",
}
"""What a run's folder shows of its start, in order."""


def run_seconds(address):
    """Returns the seconds until each mark, and until the end."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "raynas", "run", str(JOB), "--set", f"storage_path={folder}"]
        command += ["--set", f"address={address}"]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        run = Path(folder) / JOB.stem
        marks = []
        for mark in MARKS.values():
            while not (run / mark).exists():
                if process.poll() is not None:
                    raise SystemExit("raynas run ended before its first step")
                time.sleep(0.01)
            marks.append(time.perf_counter() - began)
        process.wait()
        return [*marks, time.perf_counter() - began]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--address", default="local")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = [run_seconds(options.address) for _ in range(options.rounds)]
    seconds = {
        "raynas --help": statistics.median(help_seconds() for _ in range(max(5, options.rounds))),
        **{
            f"raynas run: {name}": statistics.median(run[number] for run in runs)
            for number, name in enumerate([*MARKS, "end of the quick start"])
        },
    }
    if options.json:
        print(json.dumps(seconds))
        return
    for name, value in seconds.items():
        print(f"{name:56} {value:7.2f} s")


if __name__ == "__main__":
    main()

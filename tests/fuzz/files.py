"""Wrong files: YAML, sweeps, benchmarks, arrays, spaces of a user's own, command lines, and damaged runs."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.fuzz.cases import ANY, DONE, FAILED, REFUSED, Case, Write, base, run_file, text_file, with_keys

PLAIN = "space: {name: nasbench201}\ndata: {name: digits}\n"

# YAML

TEXTS: list[tuple[str | bytes, str]] = [
    ("", "small.yaml"),
    ("# nothing\n", "small.yaml"),
    ("text", "small.yaml"),
    ("- a\n- b\n", "small.yaml"),
    ("3", "small.yaml"),
    ("null", "small.yaml"),
    (PLAIN + "train:\n\tepochs: 3\n", "line 4"),
    (PLAIN + "train: {epochs: 3\n", "small.yaml"),
    (PLAIN + "train: [epochs: 3}\n", "small.yaml"),
    (PLAIN + "train: {epochs: 1}\ntrain: {batch_size: 2}\n", "train: given twice"),
    (PLAIN + "seed: 1\nseed: 1\n", "seed: given twice"),
    (PLAIN + "train:\n  epochs: 1\n  epochs: 2\n", "train.epochs: given twice"),
    (PLAIN + "space: {name: darts}\n", "space: given twice"),
    (PLAIN + "'seed': 1\n\"seed\": 2\n", "seed: given twice"),
    (PLAIN + "train: {momentum: .inf}\n", "train.momentum"),
    (PLAIN + "train: {momentum: -.inf}\n", "train.momentum"),
    (PLAIN + "train: {momentum: .NaN}\n", "train.momentum"),
    (PLAIN + "train: {momentum: 1e400}\n", "train.momentum"),
    (PLAIN + "train: {epochs: 1e20}\n", "train.epochs"),
    (PLAIN + "train: {epochs: 1:30}\n", "train.epochs"),
    (PLAIN + "train: {epochs: 010}\n", "train.epochs"),
    (PLAIN + "train: {epochs: 2024-01-31}\n", "train.epochs"),
    (PLAIN + f"train: {{epochs: {'9' * 50}}}\n", "train.epochs"),
    (PLAIN + f"train: {{epochs: {'9' * 5_000}}}\n", "small.yaml"),
    (PLAIN + "1: x\n", "line 3"),
    (PLAIN + "true: x\n", "line 3"),
    (PLAIN + "null: x\n", "line 3"),
    (PLAIN + "? [a, b]\n: x\n", "line 3"),
    (PLAIN + "name: 7\n", "name"),
    (PLAIN + "name: no\n", "name"),
    (PLAIN + 'name: "a\\0b"\n', "name"),
    (PLAIN + 'storage_path: "a\\ud800"\n', "storage_path"),
    (PLAIN + 'storage_path: "a\\0b"\n', "storage_path"),
    (PLAIN + "seed: !!python/object/apply:os.system ['true']\n", "small.yaml"),
    (PLAIN + "seed: !!binary aGVsbG8=\n", "seed"),
    (PLAIN + "seed: !!set {a}\n", "seed"),
    (PLAIN + "seed: !!int x\n", "small.yaml"),
    (PLAIN + "seed: !!timestamp 2024-01-01\n", "seed"),
    (PLAIN + "seed: !mine 3\n", "seed"),
    (PLAIN + "---\nseed: 3\n", "single document"),
    (PLAIN + "train: *missing\n", "missing"),
    (PLAIN + "train: &a {epochs: *a}\n", "small.yaml"),
    (PLAIN + "train: &a\n  <<: *a\n", "small.yaml"),
    (PLAIN + "train: {<<: 3}\n", "small.yaml"),
    (PLAIN + "x: " + "[" * 5_000 + "]" * 5_000, "small.yaml"),
    (PLAIN + "x: " + "{a: " * 200 + "1" + "}" * 200, "small.yaml"),
    (PLAIN + "x: \x1b[2J\n", "small.yaml"),
    (PLAIN + "x: \x00\n", "small.yaml"),
    (PLAIN.encode("utf-16"), "UTF-8"),
    (PLAIN.encode() + b"# \xff\xfe\n", "UTF-8"),
    (b"\x89PNG\r\n\x1a\n" + bytes(100), "small.yaml"),
    (b"\x00" * 1_000, "small.yaml"),
    ("#" * 2_000_000, "small.yaml"),
    ("%YAML 3.0\n---\n" + PLAIN, "small.yaml"),
    ("<html><body>404</body></html>", "small.yaml"),
    ("{" + PLAIN.replace("\n", ", ") + "}extra", "small.yaml"),
    (json.dumps({"space": None, "data": None}), "space"),
]

BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


def texts(rng: random.Random) -> Iterator[Case]:
    """Broken YAML; and a right file cut anywhere, or with a character exchanged, which may be right still."""
    for number, (text, names) in enumerate([*TEXTS, (PLAIN + BOMB, "small.yaml")]):
        yield Case("YAML", f"{number} {text[-40:]!a}", text_file(text), names=names)
    for name in ("my run.yaml", "-a.yaml", "été.yaml", "a\nb.yaml"):
        yield Case("YAML", f"file {name!a}", text_file(PLAIN, name), names="name")
    for text in ("\ufeff" + PLAIN, PLAIN.replace("\n", "\r\n"), PLAIN + "name: 007\n", "--- \n" + PLAIN + "...\n"):
        yield Case("accepted", f"YAML {text!a:.40}", text_file(text), DONE)
    whole = yaml.safe_dump(base(Path("."))) + "quick: {train: {epochs: 1}}\n"
    for number in range(60):
        at = rng.randrange(len(whole))
        changed = whole[:at] + rng.choice("\t\n{}[]:#&*!|>'\"%@`-,? \x00\x7f\ufeff1e.") + whole[at + 1 :]
        text = whole[:at] if number % 3 == 0 else changed
        yield Case("YAML, at random", f"{number} {text[max(0, at - 10) : at + 10]!a}", text_file(text), (0, 2))


# Sweeps

SWEEPS: list[tuple[Any, str]] = [
    (None, "sweep"),
    (3, "sweep"),
    ({}, "sweep.keys"),
    ({"keys": {}}, "sweep.keys"),
    ({"keys": []}, "sweep.keys"),
    ({"keys": {"seed": 3}}, "sweep.keys.seed"),
    ({"keys": {"seed": {}}}, "sweep.keys.seed"),
    ({"keys": {"seed": {"seeds": 0}}}, "sweep.keys.seed"),
    ({"keys": {"seed": {"seeds": 10**9}}}, "sweep.keys.seed"),
    ({"keys": {"seed": {"seeds": 2, "grid": [1]}}}, "sweep.keys.seed"),
    ({"keys": {"train.epochs": {"seeds": 2}}}, "sweep.keys.train.epochs"),
    ({"keys": {"train.epochs": {"grid": []}}}, "sweep.keys.train.epochs"),
    ({"keys": {"train.epochs": {"grid": [1, 1]}}}, "sweep.keys.train.epochs"),
    ({"keys": {"train.epochs": {"grid": ["ten"]}}}, "train.epochs"),
    ({"keys": {"train.epochs": {"grid": [10**20]}}}, "train.epochs"),
    ({"keys": {"train.epoch": {"grid": [1, 2]}}}, "train.epoch"),
    ({"keys": {"train.epochs": {"grid": list(range(1, 200))}, "seed": {"seeds": 100}}}, "sweep.keys"),
    ({"keys": {"train.momentum": {"grid": [float("inf")]}}}, "sweep.keys.train.momentum"),
    ({"keys": {"train.momentum": {"uniform": [0.5, float("inf")]}}}, "sweep.keys.train.momentum"),
    ({"keys": {"train.momentum": {"uniform": [0.5, 0.1]}}}, "sweep.keys.train.momentum"),
    ({"keys": {"train.momentum": {"uniform": [0.5]}}}, "sweep.keys.train.momentum"),
    ({"keys": {"train.momentum": {"loguniform": [0, 0.1]}}}, "sweep.keys.train.momentum"),
    ({"keys": {"train.momentum": {"variants": {}}}}, "sweep.keys.train.momentum"),
    ({"keys": {"how": {"variants": {"a": 3}}}}, "sweep.keys.how"),
    ({"keys": {"how": {"variants": {"a": {"train.epoch": 3}}}}}, "train.epoch"),
    ({"keys": {"name": {"grid": ["a", "b"]}}}, "sweep.keys.name"),
    ({"keys": {"storage_path": {"grid": ["a", "b"]}}}, "sweep.keys.storage_path"),
    ({"keys": {"seed": {"seeds": 2}}, "metric": "acuracy"}, "sweep.metric"),
    ({"keys": {"seed": {"seeds": 2}}, "metric": "tau"}, "sweep.metric"),
    ({"keys": {"seed": {"seeds": 2}}, "also": ["nonsense"]}, "sweep.also"),
    ({"keys": {"seed": {"seeds": 2}}, "samples": 5}, "sweep.samples"),
    ({"keys": {"seed": {"seeds": 2}}, "samples": 10**9}, "sweep.samples"),
    ({"keys": {"seed": {"seeds": 2}}, "searcher": "optuna"}, "sweep.searcher"),
    ({"keys": {"seed": {"seeds": 2}}, "scheduler": "pbt"}, "sweep.scheduler"),
    ({"keys": {"seed": {"seeds": 2}}, "reduction": 1}, "sweep.reduction"),
    ({"keys": {"seed": {"seeds": 2}}, "mode": "best"}, "sweep.mode"),
    ({"keys": {"seed": {"seeds": 2}}, "concurrent": 0}, "sweep.concurrent"),
    ({"keys": {"seed": {"seeds": 2}}, "nonsense": 0}, "sweep.nonsense"),
    ({"keys": {"seed": {"seeds": 2}}, "published": [{"when": {}}]}, "sweep.published"),
    ({"keys": {"seed": {"seeds": 2}}, "published": [{"nonsense": 3}]}, "sweep.published"),
    ({"keys": {"seed": {"seeds": 2}}, "published": [{"tau": 0.5, "when": {"x": 1}}]}, "sweep.published"),
]


def sweeps() -> Iterator[Case]:
    """Sweep sections: `sweep` refuses what `check` refuses."""
    for number, (section, names) in enumerate(SWEEPS):
        for verb in ("check", "sweep"):
            if section is None and verb == "check":
                continue  # a run file without a sweep
            changes = {} if section is None else {"sweep": section}
            yield Case("sweeps", f"{number} {verb} {section!r:.60}", run_file(changes, verb=verb), names=names)
    yield Case("sweeps", "run of a sweep", run_file({"sweep": SWEEPS[7][0]}, verb="run"), names="sweep")


# Benchmarks, arrays, folders of images

ARCHES = [
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|none~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
]
HEADER = "arch,test_accuracy_200\n"

TABLES: list[str | bytes] = [
    "",
    "\n\n",
    "arch\n" + ARCHES[0],
    "test_accuracy_200\n93.1\n",
    HEADER,
    HEADER + f"{ARCHES[0]},\n",
    HEADER + f"{ARCHES[0]},nan\n",
    HEADER + f"{ARCHES[0]},inf\n",
    HEADER + f"{ARCHES[0]},-1\n",
    HEADER + f"{ARCHES[0]},100.1\n",
    HEADER + f"{ARCHES[0]},0.94\n{ARCHES[1]},0.91\n",
    HEADER + f"{ARCHES[0]},ninety\n",
    HEADER + f"{ARCHES[0]},{'9' * 5_000}\n",
    HEADER + f"{ARCHES[0]},93.1\n{ARCHES[0]},92.0\n",
    HEADER + f"{ARCHES[0]},93.1,1\n",
    HEADER + f"{ARCHES[0]}|,93.1\n",
    HEADER + "nonsense,93.1\n",
    HEADER + "\x1b[31m,93.1\n",
    HEADER + f'"{"x" * 200_000}",93.1\n',
    HEADER + f'"{ARCHES[0]},93.1\n',
    HEADER.encode() + b"\xff\xfe,93\n",
    (HEADER + f"{ARCHES[0]},93.1\n").encode("utf-16"),
    b"PK\x03\x04" + bytes(50),
    HEADER + f"{ARCHES[0]},93.1\x00\n",
]


def benchmarks() -> Iterator[Case]:
    """CSV files as benchmarks, of `check` and of `rank`."""

    def write(content: str | bytes, name: str, verb: str) -> Write:
        def of_folder(folder: Path) -> list[str]:
            file = folder / name
            file.write_bytes(content.encode() if isinstance(content, str) else content)
            return run_file({"benchmark.path": str(file), "search.fitness": "num_parameters"}, verb=verb)(folder)

        return of_folder

    for number, content in enumerate(TABLES):
        for verb in ("check", "rank"):
            case = f"{number} {verb} {content[:60]!a}"
            yield Case("benchmarks", case, write(content, "table.csv", verb), names="benchmark.")
    for name in ("table.csv.gz", "table.pickle.pbz2", "table.pth"):
        yield Case("benchmarks", name, write(HEADER + f"{ARCHES[0]},93.1\n", name, "check"), names="benchmark.path")
    rows = "".join(f"{arch},{90 + number}\n" for number, arch in enumerate(ARCHES))
    yield Case("accepted", "a small table", write(HEADER + rows, "table.csv", "rank"), DONE)


def _arrays(**changes: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 255, (64, 8, 8, 3), dtype=np.uint8),
        "train_labels": np.arange(64) % 4,
        "test_images": rng.integers(0, 255, (16, 8, 8, 3), dtype=np.uint8),
        "test_labels": np.arange(16) % 4,
    }
    return {key: value for key, value in {**arrays, **changes}.items() if value is not None}


ARRAYS: list[dict[str, Any]] = [
    {"train_images": None},
    {"test_labels": None},
    {"train_images": np.zeros((64, 8, 8, 3), np.float32)},
    {"train_images": np.zeros((64, 8, 8), np.uint8)},
    {"train_images": np.zeros((64, 8, 9, 3), np.uint8)},
    {"train_images": np.zeros((64, 3, 8, 8), np.uint8)},
    {"train_images": np.zeros((0, 8, 8, 3), np.uint8), "train_labels": np.zeros(0, int)},
    {"train_images": np.zeros((64, 4, 4, 3), np.uint8)},
    {"train_labels": np.zeros(63, int)},
    {"train_labels": np.zeros((64, 1), int)},
    {"train_labels": np.zeros(64)},
    {"train_labels": np.full(64, -1)},
    {"train_labels": np.array(["a"] * 64)},
    {"train_labels": np.array([{}] * 64, dtype=object)},
]


def arrays() -> Iterator[Case]:
    """Files of arrays."""

    def write(content: dict[str, np.ndarray] | bytes, cut: int | None = None) -> Write:
        def of_folder(folder: Path) -> list[str]:
            file = folder / "data.npz"
            if isinstance(content, bytes):
                file.write_bytes(content)
            else:
                np.savez(file, **content)  # type: ignore[arg-type]
                file.write_bytes(file.read_bytes()[:cut])
            return run_file({"data.name": "npz", "data.path": str(file), "data.max_images": None})(folder)

        return of_folder

    for number, changes in enumerate(ARRAYS):
        yield Case("arrays", f"{number} {', '.join(changes)}", write(_arrays(**changes)), names="data.path")
    for cut in (0, 1, 100, 5_000):
        yield Case("arrays", f"cut at {cut}", write(_arrays(), cut), names="data.path")
    for content in (b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00{'descr'"):
        yield Case("arrays", f"{content!r:.30}", write(content), names="data.path")
    yield Case("accepted", "arrays", write(_arrays()), DONE)


def folders() -> Iterator[Case]:
    """Folders of images that hold none."""

    def write(*parts: str) -> Write:
        def of_folder(folder: Path) -> list[str]:
            for part in parts:
                place = folder / "images" / part
                place.parent.mkdir(parents=True, exist_ok=True)
                if place.suffix:
                    place.write_bytes(b"\xff\xd8 no image")
                else:
                    place.mkdir(parents=True)
            return run_file({"data.name": "folder", "data.path": str(folder / "images"), "data.max_images": None})(
                folder
            )

        return of_folder

    for parts in (
        (),
        ("train",),
        ("train/a", "val/a"),
        ("train/a/1.jpg",),
        ("train/a/1.jpg", "val/b/1.jpg"),
        ("1.jpg",),
    ):
        yield Case("folders", ", ".join(parts), write(*parts), names="data.path")


# Spaces of a user's own

SPACE = """
from raynas.spaces.nasbench201 import NasBench201

class Space(NasBench201):
    pass
"""

OWN: list[tuple[str, tuple[int, ...], str]] = [
    ("def broken(:\n", REFUSED, "space.name"),
    ("1 / 0\n", REFUSED, "space.name"),
    ("raise SystemExit(7)\n", REFUSED, "space.name"),
    ("import sys; sys.exit()\n", REFUSED, "space.name"),
    ("import no_such_module_of_mine\n", REFUSED, "space.name"),
    ("raise KeyError('x' * 5000)\n", REFUSED, "space.name"),
    ("raise RuntimeError('a\\nb\\nc\\nd\\ne\\nf')\n", REFUSED, "space.name"),
    ("Space = 3\n", REFUSED, "space.name"),
    ("class Space: pass\n", REFUSED, "space.name"),
    ("\x00", REFUSED, "space.name"),
    (SPACE + "    def __post_init__(self): 1 / 0\n", REFUSED, "space"),
    (SPACE + "    def __post_init__(self): raise SystemExit\n", REFUSED, "space"),
    (SPACE + "    def __post_init__(self): raise ValueError('space.channels: expected a prime')\n", REFUSED, "prime"),
    (SPACE + "    def __init__(self, channels: Missing, cells: int = 1): pass\n", REFUSED, "space"),
    (SPACE + "    def __init__(self, channels, cells): self.x = self.y\n", REFUSED, "space"),
    (SPACE + "    def build_supernet(self, num_classes): 1 / 0\n", FAILED, "ZeroDivisionError"),
    (SPACE + "    def build_supernet(self, num_classes): raise SystemExit(3)\n", FAILED, "SystemExit"),
    (SPACE + "    def build_supernet(self, num_classes): return None\n", FAILED, "internal error"),
    (
        SPACE + "    def build_supernet(self, num_classes): return self.build_supernet(num_classes)\n",
        FAILED,
        "Recursion",
    ),
    (SPACE + "    @property\n    def choices(self): return [][0]\n", FAILED, "IndexError"),
    (SPACE + "    def repair(self, *_): return {}['a']\n", FAILED, "KeyError"),
    (SPACE + "    def repair(self, *_): raise ValueError('mine')\n", FAILED, "mine"),
    (SPACE + "    def describe(self, architecture): raise MemoryError\n", FAILED, "out of memory"),
    (SPACE + "    def describe(self, architecture): raise KeyboardInterrupt\n", (130,), "interrupted"),
]


def spaces() -> Iterator[Case]:
    """Classes of a user's own that fail where they are imported, made or used."""

    def write(number: int, text: str) -> Write:
        def of_folder(folder: Path) -> list[str]:
            (folder / f"fuzzed_space_{number}.py").write_text(text)
            changes = {"space.name": f"fuzzed_space_{number}.Space", "train.epochs": 1}
            return run_file(changes, verb="run")(folder)

        return of_folder

    for number, (text, status, names) in enumerate(OWN):
        yield Case("spaces", f"{number} {text[-50:]!a}", write(number, text), status, names)


# Command lines

COMMANDS: list[tuple[list[str], tuple[int, ...], str]] = [
    ([], REFUSED, "VERB"),
    (["nonsense"], REFUSED, "nonsense"),
    (["run"], REFUSED, "FILE.yaml"),
    (["run", "missing.yaml"], REFUSED, "missing.yaml"),
    (["run", "."], REFUSED, "."),
    (["run", "/dev/null"], REFUSED, "/dev/null"),
    (["run", "/dev/zero"], REFUSED, "/dev/zero"),
    (["run", ""], REFUSED, ""),
    (["run", "small.yaml", "--set"], REFUSED, "--set"),
    (["check", "small.yaml", "--set", ""], REFUSED, "--set"),
    (["check", "small.yaml", "--set", "train"], REFUSED, "--set"),
    (["check", "small.yaml", "--set", "=3"], REFUSED, "--set"),
    (["check", "small.yaml", "--set", "train.epochs="], REFUSED, "train.epochs"),
    (["check", "small.yaml", "--set", "train.epochs.x=3"], REFUSED, "--set"),
    (["check", "small.yaml", "--set", "train..epochs=3"], REFUSED, "train."),
    (["check", "small.yaml", "--set", ".=3"], REFUSED, "unknown key"),
    (["check", "small.yaml", "--set", "train.epochs=[1"], REFUSED, "--set"),
    (["check", "small.yaml", "--set", "train.momentum=.inf"], REFUSED, "--set train.momentum"),
    (["check", "small.yaml", "--set", "train={epochs: 1, epochs: 2}"], REFUSED, "epochs: given twice"),
    (["check", "small.yaml", "--set", "data.path=\udcff"], REFUSED, "data.path"),
    (["check", "small.yaml", "--set", "x" * 5_000], REFUSED, "--set"),
    (["check", "small.yaml", "--set", "quick.seed=3"], REFUSED, "--set"),
    (["check", "small.yaml", "--quick"], REFUSED, "--quick"),
    (["check", "small.yaml", "--nonsense"], REFUSED, "--nonsense"),
    (["rank", "small.yaml", "--sample", "0"], REFUSED, "name"),
    (["rank", "small.yaml", "--sample", "many"], REFUSED, "--sample"),
    (["rank", "small.yaml", "--every-epoch"], REFUSED, "name"),
    (["search", "small.yaml"], REFUSED, "train"),
    (["rank", "small.yaml"], REFUSED, "name"),
    (["sweep", "small.yaml"], REFUSED, "sweep"),
    (["report", "missing"], REFUSED, "missing"),
    (["report", "missing.yaml"], REFUSED, "missing.yaml"),
    (["report", "."], REFUSED, "config.json"),
    (["report", "small.yaml"], REFUSED, "config.json"),
    (["report", "\udcff"], REFUSED, "udcff"),
    (["compare", "missing", "gone"], REFUSED, "missing"),
    (["compare", "missing"], REFUSED, "missing"),
    (["submit", "missing.yaml"], REFUSED, "missing.yaml"),
    (["jobs", "--address", "nonsense"], ANY, "nonsense"),
    (["jobs", "--follow"], REFUSED, "--follow"),
    (["stop"], REFUSED, "ID"),
    (["profile", "small.yaml", "--set", "latency.device=tpu"], REFUSED, "latency.device"),
    (["profile", "small.yaml", "--set", "latency.threads=1000000000"], REFUSED, "latency.threads"),
    (["run", "small.yaml", "--set", "storage_path=/proc/nowhere"], FAILED, "storage_path"),
    (["run", "small.yaml", "--set", "storage_path=/dev/null/a"], FAILED, "storage_path"),
    (["run", "small.yaml", "--set", "storage_path=small.yaml"], FAILED, "storage_path"),
    (["run", "small.yaml", "--set", "data.path=small.yaml", "--set", "data.name=npz"], REFUSED, "data."),
    (["check", "jobs:quickstrt"], REFUSED, "jobs:quickstart"),
    (["run", "jobs:"], REFUSED, "jobs:"),
    (["run", "jobs:../quickstart"], REFUSED, "jobs:"),
    (["check", "small.yaml", "--name", "a/b"], REFUSED, "name"),
    (["check", "small.yaml", "--name", ""], REFUSED, "name"),
    (["check", "small.yaml", "--name", "007"], DONE, ""),
    (["check", "small.yaml", "--json", "--set", "train.epoch=1"], REFUSED, "train.epoch"),
    (["list", "everything"], REFUSED, "KIND"),
    (["list", "runs", "nowhere"], REFUSED, "nowhere"),
    (["list", "runs", "small.yaml"], REFUSED, "small.yaml"),
    (["list", "data", "nowhere"], REFUSED, "DIR"),
    (["new", "small"], REFUSED, "NAME"),
    (["new", "a b"], REFUSED, "name"),
    (["new", "nowhere/mine"], REFUSED, "NAME"),
    (["new", "mine", "--algorithm", "rlna"], REFUSED, "--algorithm"),
    (["new", "mine", "--space", "nasbench"], REFUSED, "--space"),
    (["new", "mine", "--data", "cifar"], REFUSED, "--data"),
    (["new", "mine", "--data", "npz"], REFUSED, "--data"),
    (["new", "mine", "--data", "npz", "--path", "a: [b"], DONE, ""),
    (["explain", "train.epoch"], REFUSED, "train.epochs"),
    (["explain", ""], REFUSED, "key"),
    (["explain", "\x1b[31m"], REFUSED, "key"),
    (["explain", "train.epochs", "--file", "missing.yaml"], REFUSED, "missing.yaml"),
    (["completion", "csh"], REFUSED, "SHELL"),
    (["doctor", "--storage", "/proc/nowhere"], FAILED, "storage_path"),
    (["doctor", "--address", "http://127.0.0.1:9"], FAILED, "127.0.0.1:9"),
]


def commands() -> Iterator[Case]:
    """Command lines, given in a folder with a right run file."""

    def write(arguments: list[str]) -> Write:
        def of_folder(folder: Path) -> list[str]:
            run_file({})(folder)
            return arguments

        return of_folder

    for arguments, status, names in COMMANDS:
        yield Case("command lines", " ".join(arguments)[:60], write(arguments), status, names)
    path = {"storage_path": "runs[/1][bold]", "search.fitness": "num_parameters"}
    yield Case("accepted", "a path that reads as markup", run_file(path, verb="run"), DONE)


# Damaged runs

DAMAGES: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "emptied": lambda content, rng: b"",
    "cut": lambda content, rng: content[: rng.randrange(max(1, len(content)))],
    "a bit flipped": lambda content, rng: _flipped(content, rng),
    "null": lambda content, rng: b"null\n",
    "a text": lambda content, rng: b'"nonsense"\n',
    "an empty mapping": lambda content, rng: b"{}\n",
    "a line of null": lambda content, rng: b"null\n" + content.partition(b"\n")[2],
    "last line of null": lambda content, rng: content[: content[:-1].rfind(b"\n") + 1] + b"null\n",
    "deep": lambda content, rng: b"[" * 100_000,
    "removed": lambda content, rng: None,
    "a folder": lambda content, rng: b"folder",
}


def _flipped(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return b"x"
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def best_of(run: Path) -> Any:
    """Returns what a search found."""
    best = json.loads((run / "search/result.json").read_text())["best"]
    return [(line["architecture"], line["fitness"]) for line in best]


def damaged(finished: Path, rng: random.Random, verbs: tuple[str, ...] = ("run", "resume")) -> Iterator[Case]:
    """Every file of a run, damaged in every way, before another `run` of it.

    Args:
        finished: The folder of a finished run, whose storage path is ``runs`` beside it.
        rng: Where files are cut.
        verbs: `run` reads what is there; `resume` does so after the marks that training and search are done are gone.
    """
    run = finished / "runs/small"
    expected = best_of(run)
    files = sorted(p.relative_to(run) for p in run.rglob("*") if p.is_file() and "events" not in p.name)
    files = [file for file in files if file.name not in ("lock", "notes.txt")]

    def write(file: Path, how: str, verb: str, seed: int) -> Write:
        def of_folder(folder: Path) -> list[str]:
            shutil.copytree(finished / "runs", folder / "runs")
            copy = folder / "runs/small"
            if verb == "resume":
                for mark in (copy / "search/result.json", *copy.glob("supernet/*/result.json")):
                    mark.unlink()
                for late in copy.glob("supernet/*/epoch_00002"):
                    shutil.rmtree(late)
            place = copy / file
            if place.exists():
                content = DAMAGES[how](place.read_bytes(), random.Random(seed))
                place.unlink()
                if content == b"folder":
                    place.mkdir()
                elif content is not None:
                    place.write_bytes(content)
            values = yaml.safe_load((finished / "small.yaml").read_text())
            (folder / "small.yaml").write_text(
                yaml.safe_dump(with_keys(values, {"storage_path": str(folder / "runs")}))
            )
            return ["run", str(folder / "small.yaml")]

        return of_folder

    def wrong(folder: Path) -> str | None:
        found = best_of(folder / "runs/small")
        return None if found == expected else f"another result: {found[:1]} instead of {expected[:1]}"

    for file in files:
        for verb in verbs:
            if verb == "resume" and (file.name == "result.json" or "epoch_00002" in file.parts):
                continue
            for how in rng.sample(sorted(DAMAGES), 3):
                name = f"{verb}: {file} {how}"
                yield Case("damaged runs", name, write(file, how, verb, rng.randrange(10**9)), ANY, unchanged=wrong)


def damaged_reports(finished: Path, rng: random.Random) -> Iterator[Case]:
    """Files that a report reads, damaged."""
    read = ("config.json", "search/result.json", "search/history.jsonl", "supernet/seed_0/metrics.jsonl")
    for case in damaged(finished, rng, ("run",)):
        file, _, how = case.name.removeprefix("run: ").partition(" ")
        if file in read and how in ("emptied", "null", "a text", "an empty mapping", "a line of null", "deep", "cut"):

            def write(folder: Path, copy: Write = case.write) -> list[str]:
                copy(folder)
                return ["report", str(folder / "runs/small")]

            yield Case("damaged reports", case.name.removeprefix("run: "), write, ANY)

"""Wrong inputs end in one line and the right exit status; the table of tests/README.md is what this prints."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from raynas.cli import main
from tests.fuzz import cases as plain
from tests.fuzz import files
from tests.fuzz.cases import Case

SEED = 20251125

LATER: dict[str, str] = {}
"""Cases by name whose fault is known and not mended yet, with what it is; they run, and are not counted."""

FAULTS = ("traceback", "wrong exit status", "more than four lines", "nonsense accepted", "key not named")


def every_case(finished: Path, rng: random.Random) -> Iterator[Case]:
    """Yields all cases, the same ones for the same seed."""
    for kind in (plain.keys, plain.sections, plain.contradictions, plain.accepted, files.sweeps, files.benchmarks):
        yield from kind()
    for more in (files.arrays, files.folders, files.spaces, files.commands):
        yield from more()
    yield from files.texts(rng)
    yield from files.damaged(finished, rng)
    yield from files.damaged_reports(finished, rng)


def faults_of(case: Case, folder: Path) -> list[str]:
    """Returns what is wrong with the answer to a case, as ``fault: how``; none where it is right."""
    folder.mkdir()
    arguments = case.write(folder)
    out, err = io.StringIO(), io.StringIO()
    path = list(sys.path)
    before = Path.cwd()
    os.chdir(folder)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        sys.path.insert(0, str(folder))
        try:
            status: int | str | None = main(arguments)
        except SystemExit as end:  # argparse's
            status = end.code
        except BaseException:  # noqa: BLE001 - what is looked for
            return [f"traceback: {traceback.format_exc()[-300:]}"]
        finally:
            sys.path[:] = path
            os.chdir(before)
    message = err.getvalue()
    lines = message.splitlines()
    found = []
    if "Traceback" in message or "Traceback" in out.getvalue():
        found.append(f"traceback: {message[-300:]}")
    if status not in case.status:
        fault = "nonsense accepted" if status == 0 else "wrong exit status"
        found.append(f"{fault}: {status} instead of {case.status}: {message[:300]}")
    elif status == 0 and case.unchanged is not None and (wrong := case.unchanged(folder)) is not None:
        found.append(f"nonsense accepted: {wrong}")
    elif status and case.names not in message:
        found.append(f"key not named: {case.names} in {message[:300]}")
    if len(lines) > 4 and not message.startswith("usage:") or any(len(line) > 1_100 for line in lines):
        found.append(f"more than four lines: {len(lines)}: {message[:300]}")
    if status and not message:
        found.append("wrong exit status: without a message")
    if "\x1b" in message or "\x00" in message:
        found.append("more than four lines: raw control characters")
    return found


def campaign(cases: Iterable[Case], folder: Path) -> tuple[Counter[str], dict[str, list[str]]]:
    """Returns how many cases of each kind there were, and the faults by case."""
    counts: Counter[str] = Counter()
    faults: dict[str, list[str]] = defaultdict(list)
    names = Counter[str]()
    for number, case in enumerate(cases):
        name = f"{case.kind}: {case.name}"
        names[name] += 1
        found = faults_of(case, folder / str(number))
        shutil.rmtree(folder / str(number))
        if name in LATER:
            continue
        counts[case.kind] += 1
        if found:
            faults[name] = found
            print(name, *found, sep="\n    ", flush=True)
    assert max(names.values()) == 1, names.most_common(1)
    return counts, faults


def table(counts: Counter[str], faults: dict[str, list[str]]) -> str:
    """Returns the table of tests/README.md."""
    lines = [f"| kind of input | inputs | {' | '.join(FAULTS)} |", "|---|---:" + "|---:" * len(FAULTS) + "|"]
    for kind, count in [*counts.items(), ("all", counts.total())]:
        of_kind = [fault for name, found in faults.items() if kind in ("all", name.split(": ")[0]) for fault in found]
        kinds = Counter(fault.partition(":")[0] for fault in of_kind)
        lines.append(f"| {kind} | {count:,} | {' | '.join(str(kinds[fault]) for fault in FAULTS)} |")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a finished run with alphas' and angles' records, and its run file."""
    folder = tmp_path_factory.mktemp("finished")
    changes = {
        "alphas.gates": "mixture",
        "search.fitness": "one_shot_accuracy",
        "search.derivation": "with_none",
        "search.evaluation_images": 16,
        "search.calibration_images": 16,
        "data.max_images": 64,
    }
    arguments = plain.run_file(changes, verb="run")(folder)
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(arguments) == 0
    return folder


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAYNAS_TRACEBACK", "NOT_SET"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.long
def test_no_wrong_input_ends_in_a_traceback_or_is_accepted(finished: Path, tmp_path: Path) -> None:
    began = time.process_time()
    counts, faults = campaign(every_case(finished, random.Random(SEED)), tmp_path)
    print(f"\n{table(counts, faults)}\n{time.process_time() - began:.0f} s of one core")
    assert counts.total() >= 500
    assert faults == {}


def test_a_sample_of_wrong_inputs_is_answered_in_one_line_each(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    quick = [
        case
        for kind in (plain.keys, plain.sections, files.texts)
        for case in (kind(rng) if kind is files.texts else kind())
    ]
    counts, faults = campaign(rng.sample(quick, 60), tmp_path)
    assert counts.total() == 60
    assert faults == {}

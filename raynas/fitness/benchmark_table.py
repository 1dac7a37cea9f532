"""Accuracies that a benchmark measured for the architectures of a space, against which fitnesses are compared.

A table is a CSV, or the files of NATS-Bench for its topology space, which cover NAS-Bench-201 with more seeds
(Dong, Liu, Musial and Gabrys 2021). A CSV has a header, a column ``arch`` that the space can parse, and columns of
accuracies in percent. raynas never downloads a table.
"""

from __future__ import annotations

import csv
import gzip
import math
import pickle
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raynas.data.messages import one_line
from raynas.errors import InputError
from raynas.fitness.row import FitnessRow
from raynas.members import Need
from raynas.messages import echo, shortened
from raynas.search_space import Architecture, SearchSpace, as_array

NATS_DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "ImageNet16-120"}
"""The data sets of NATS-Bench: the name in raynas, and the name in the benchmark."""

_NATS_FILE = ".pickle.pbz2"
_NATS_FOLDER = "NATS-tss-v1_0-3ffb9-simple"
_WHERE = "github.com/D-X-Y/NATS-Bench says where to get it"

_DAMAGED = (
    OSError,
    EOFError,
    pickle.UnpicklingError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    TypeError,
    ValueError,
)
"""Exceptions that unpickling raises if a file is truncated or of another kind."""


class BenchmarkTable:
    """The benchmark accuracy as a fitness, in percent.

    Attributes:
        path: The file or folder of the table.
        column: Name of the accuracy.
    """

    quantities: tuple[str, ...] = ("fitness",)

    def __init__(
        self, space: SearchSpace, accuracies: Mapping[Architecture, float], *, path: Path, column: str
    ) -> None:
        """Stores the known accuracies, in percent; `read_table` reads them from files."""
        self.path = path
        self.column = column
        self._space = space
        self._accuracies = dict(accuracies)

    def __len__(self) -> int:
        """Returns the number of architectures with an accuracy."""
        return len(self._accuracies)

    @property
    def architectures(self) -> np.ndarray:
        """The architectures with an accuracy, in lexicographic order, ``(len, num_choices)`` int64."""
        return as_array(sorted(self._accuracies))

    def accuracies(self, architectures: Sequence[Architecture] | np.ndarray) -> np.ndarray:
        """Returns the accuracy of each architecture, ``(n,)`` float64 percent, NaN where the table has none."""
        rows = architectures.tolist() if isinstance(architectures, np.ndarray) else architectures
        return np.array([self._accuracies.get(tuple(row), math.nan) for row in rows], dtype=np.float64)

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the accuracy of each architecture, ``(n, 1)`` float64 percent.

        Raises:
            InputError: If the table lacks the accuracy of an architecture.
        """
        accuracies = self.accuracies(architectures)
        unknown = np.flatnonzero(np.isnan(accuracies))
        if len(unknown):
            architecture = self._space.check(architectures[unknown[0]])
            raise InputError(
                f"benchmark.path: {self.path} holds {self.column} of {len(self):,} of {self._space.size:,} "
                f"architectures, but not of {self._space.describe(architecture)} {architecture}; take a whole table"
            )
        return accuracies[:, None]


def read_table(
    path: str | Path, space: SearchSpace, *, column: str = "test_accuracy_200", dataset: str = "cifar10"
) -> BenchmarkTable:
    """Returns the accuracies of one column of a benchmark; architectures without one are left out.

    ======================================= ==========================================================================
    path                                    is read as
    ======================================= ==========================================================================
    a folder                                NATS-Bench's ``NATS-tss-v1_0-3ffb9-simple``, one file an architecture
    ``*.pickle.pbz2``                       NATS-Bench in one file, which needs memory for all of its training curves
    any other file, ``.gz`` if compressed   a CSV of one data set
    ======================================= ==========================================================================

    The package ``nats_bench`` reads the files of NATS-Bench. The files are pickles, which can run any code: use only
    those of the benchmark's authors. The accuracies are means over all seeds, after a training of 200 or of 12 epochs:

    - ``test_accuracy_*``: on the test images, with CIFAR-10 trained on its training and validation images together
      (``ori-test``), the others on their training images (``x-test``), as in RLNAS' rank correlations.
    - ``valid_accuracy_*``: on the validation images (``x-valid``), trained without them.

    Args:
        path: The file or folder of the table.
        space: The search space of the benchmark.
        column: The CSV's column; for NATS-Bench ``test_accuracy_200``, ``test_accuracy_12``, ``valid_accuracy_200`` or
            ``valid_accuracy_12``.
        dataset: Data set of NATS-Bench: cifar10, cifar100 or imagenet16-120. A CSV holds one data set.

    Raises:
        InputError: If the files are not as described. The message begins with the key to change: ``benchmark.path``,
            ``benchmark.column`` or ``benchmark.dataset``.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(
            f"benchmark.path: {path} does not exist; expected a CSV with the columns arch and {column}, or the folder "
            f"{_NATS_FOLDER} of NATS-Bench ({_WHERE})"
        )
    if path.suffix == ".pth":
        raise InputError(
            f"benchmark.path: {path} is of NAS-Bench-201's first format, which is read through its package nas_201_api "
            f"(pip install nas-bench-201) only: write a CSV with the columns arch and {column} by it, or take the "
            f"folder {_NATS_FOLDER} of NATS-Bench, which has the same architectures ({_WHERE})"
        )
    if path.is_dir() or path.name.endswith(_NATS_FILE):
        place, rows = "architecture", _nats_rows(path, column, dataset)
    elif dataset != "cifar10":
        raise InputError(
            f"benchmark.dataset: {path} is a CSV, which knows one data set, got {dataset}; leave it out where the file "
            "is of the data that are searched on, or give NATS-Bench's files"
        )
    else:
        place, rows = "line", _csv_rows(path, column)
    accuracies = _collect(space, path, place, rows)
    _check_percent(path, column, accuracies)
    return BenchmarkTable(space, accuracies, path=path, column=column)


def _check_percent(path: Path, column: str, accuracies: Mapping[Architecture, float]) -> None:
    """Checks that accuracies are present and in percent.

    Raises:
        InputError: If no accuracy is present, or if all are fractions.
    """
    if not accuracies:
        raise InputError(
            f"benchmark.column: {path} has no {column} of any architecture; fill the column or name another one"
        )
    if max(accuracies.values()) <= 1:
        raise InputError(
            f"benchmark.column: expected {column} of {path} in percent, got {len(accuracies):,} values from "
            f"{min(accuracies.values()):g} to {max(accuracies.values()):g}, which are fractions: multiply them by 100"
        )


def _collect(
    space: SearchSpace, path: Path, place: str, rows: Iterable[tuple[int, str, float]]
) -> dict[Architecture, float]:
    """Returns the known accuracies of rows (number of the place, architecture as text, accuracy or NaN)."""
    accuracies: dict[Architecture, float] = {}
    places: dict[Architecture, int] = {}
    strange: tuple[int, ValueError] | None = None
    for number, text, accuracy in rows:
        if not (math.isnan(accuracy) or 0 <= accuracy <= 100):
            raise InputError(
                f"benchmark.path: {path}, {place} {number}: expected an accuracy from 0 to 100 percent, got "
                f"{accuracy}; correct it, or name a column of accuracies in benchmark.column"
            )
        try:
            architecture = space.parse(text)
        except ValueError as error:
            strange = strange or (number, error)
            continue
        first = places.setdefault(architecture, number)
        if first != number and repr(accuracies[architecture]) != repr(accuracy):
            raise InputError(
                f"benchmark.path: {path}, {place} {number}: {shortened(text)} has accuracy {_or_none(accuracy)} here "
                f"but {_or_none(accuracies[architecture])} at {place} {first}; leave one of the two"
            )
        accuracies[architecture] = accuracy
    if strange:
        number, mistake = strange
        whole = "" if places else "the table is of another space: "
        raise InputError(
            f"benchmark.path: {path}, {place} {number}: {whole}no architecture of {type(space).__name__}: "
            f"{one_line(mistake)}"
        ) from mistake
    return {architecture: accuracy for architecture, accuracy in accuracies.items() if not math.isnan(accuracy)}


def _or_none(accuracy: float) -> str:
    return "none" if math.isnan(accuracy) else str(accuracy)


def _csv_rows(path: Path, column: str) -> Iterator[tuple[int, str, float]]:
    """Yields the number of the line, the architecture as text and its accuracy, NaN for an empty cell."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines)
            header = [name.strip() for name in next(reader, [])]
            for key, name in (("path", "arch"), ("column", column)):
                if name not in header:
                    raise InputError(
                        f"benchmark.{key}: {path} has no column {name}; its first line should name it, and has "
                        f"{' '.join(', '.join(header).split())[:300] or 'nothing'}"
                    )
            architecture, accuracy = header.index("arch"), header.index(column)
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise InputError(
                        f"benchmark.path: {path}, line {reader.line_num}: expected {len(header)} cells as in the first "
                        f"line, got {len(row)}; correct the line"
                    )
                yield reader.line_num, row[architecture], _number(path, reader.line_num, column, row[accuracy])
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise InputError(
            f"benchmark.path: expected {path} to be a CSV in UTF-8 (compressed if it ends in .gz), or NATS-Bench's "
            f"folder {_NATS_FOLDER} unpacked; {one_line(error)}"
        ) from error


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        return float(cell) if cell.strip() else math.nan
    except ValueError as error:
        raise InputError(
            f"benchmark.path: {path}, line {line}: expected a number or nothing in column {column}, got {echo(cell)}; "
            "correct the cell"
        ) from error


def _nats_rows(path: Path, column: str, dataset: str) -> Iterator[tuple[int, str, float]]:
    """Yields the index, the architecture as text and its accuracy, NaN where the files lack it."""
    found = re.fullmatch(r"(test|valid)_accuracy_(200|12)", column)
    if not found:
        raise InputError(
            "benchmark.column: NATS-Bench has test_accuracy_200, test_accuracy_12, valid_accuracy_200 and "
            f"valid_accuracy_12, got {column!r}; name one of them"
        )
    if dataset not in NATS_DATASETS:
        raise InputError(
            f"benchmark.dataset: NATS-Bench has {', '.join(NATS_DATASETS)}, got {dataset!r}; name one of them"
        )
    part, epochs = found.groups()
    trained_on = "cifar10-valid" if (dataset, part) == ("cifar10", "valid") else NATS_DATASETS[dataset]
    api = _open_nats(path)
    for index in range(len(api)) if path.is_dir() else sorted(api.evaluated_indexes):
        if path.is_dir() and not (path / f"{index:06d}{_NATS_FILE}").is_file():
            continue
        try:
            accuracy = api.get_more_info(index, trained_on, hp=epochs, is_random=False).get(f"{part}-accuracy")
        except _DAMAGED as error:
            if not (isinstance(error, KeyError) and error.args in ((trained_on,), (epochs,))):
                raise _not_nats(path, f"architecture {index}: {one_line(error)}") from error
            accuracy = None  # not trained on that data set, or not for so long
        if path.is_dir():
            api.arch2infos_dict.clear()  # the package keeps every training curve it has read: gigabytes
        yield index, api[index], math.nan if accuracy is None else float(accuracy)


def _open_nats(path: Path) -> Any:
    """Returns the programming interface that the package ``nats_bench`` opens on the files."""
    if path.is_dir() and not (path / f"meta{_NATS_FILE}").is_file():
        raise _not_nats(path, f"it holds no meta{_NATS_FILE}")
    try:
        import nats_bench
    except ModuleNotFoundError as error:
        raise InputError(
            f"benchmark.path: {path} is read by the package nats_bench, which is not installed; "
            "pip install 'raynas[nats-bench]'"
        ) from error
    try:
        return nats_bench.create(str(path), "tss", fast_mode=path.is_dir(), verbose=False)
    except _DAMAGED as error:
        raise _not_nats(path, one_line(error)) from error


def _not_nats(path: Path, why: str) -> InputError:
    return InputError(
        f"benchmark.path: expected {path} to be NATS-Bench's folder {_NATS_FOLDER}, unpacked and whole, or its "
        f"{_NATS_FILE} file; {why}; {_WHERE}"
    )


BENCHMARK_TABLE = FitnessRow(
    name="benchmark_table",
    title="accuracy by the table",
    unit="percent",
    digits=2,
    needs=frozenset({Need.BENCHMARK}),
    make=lambda context, options: context.benchmark,
)

"""The table of a benchmark, read from a CSV and from NATS-Bench's files in miniature."""

from __future__ import annotations

import bz2
import csv
import gzip
import math
import os
import pickle
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from raynas.fitness.benchmark_table import BenchmarkTable, read_table
from raynas.search_space import Choice, SearchSpace, all_architectures, sample
from raynas.spaces.nasbench201 import NasBench201

SPACE = NasBench201()
EVERY = [tuple(architecture) for architecture in all_architectures(SPACE).tolist()]
MEASURING_DATA = Path(os.environ.get("RAYNAS_DATA", Path(__file__).parents[2].parent / "shared" / "data"))

ONE, TWO, THREE = (3, 1, 0, 2, 4, 3), (1, 1, 0, 2, 4, 3), (0, 0, 0, 0, 0, 1)


def text_of(rows):
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def write(path, rows, header=("index", "arch", "test_accuracy_200", "params_m")):
    path.write_text(text_of([header, *rows]), encoding="utf-8")
    return path


def rows_of(accuracies, space=SPACE):
    return [(i, space.describe(a), accuracy, 0.1) for i, (a, accuracy) in enumerate(accuracies.items())]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "table.csv"


class Long(SearchSpace):
    """A chain of 60 ragged choices: more architectures than an int64 can number."""

    name = "long"

    @property
    def choices(self):
        return tuple(Choice(f"c{i}", ("skip", "conv", "pool")[: 2 + i % 2]) for i in range(60))

    def build_supernet(self, num_classes):
        raise NotImplementedError

    def build_network(self, architecture, num_classes):
        raise NotImplementedError


# What a table holds


def test_a_csv_is_not_taken_for_another_data_set_than_it_can_name(file):
    write(file, rows_of({ONE: 91.5}))
    with pytest.raises(ValueError, match=r"^benchmark\.dataset: .* is a CSV, which knows one data set, got cifar100;"):
        read_table(file, SPACE, dataset="cifar100")


def test_a_table_holds_the_accuracy_that_stands_beside_each_architecture(file):
    table = read_table(write(file, rows_of({ONE: 91.25, TWO: 10, THREE: 0})), SPACE)
    accuracies = table.accuracies([THREE, ONE, (4,) * 6, TWO, ONE])
    assert accuracies.dtype == np.float64
    np.testing.assert_array_equal(accuracies, [0, 91.25, math.nan, 10, 91.25])
    assert len(table) == 3 and table.path == file and table.column == "test_accuracy_200"


def test_the_architectures_held_come_in_lexicographic_order(file):
    table = read_table(write(file, rows_of({ONE: 91.25, TWO: 10, THREE: ""})), SPACE)
    assert table.architectures.tolist() == [list(TWO), list(ONE)]
    assert table.architectures.dtype == np.int64


def test_a_missing_accuracy_is_an_architecture_not_held(file):
    rows = [*rows_of({ONE: 91.25, TWO: "", THREE: " "}), (3, SPACE.describe((4,) * 6), "nan", 0.1)]
    table = read_table(write(file, rows), SPACE)
    assert len(table) == 1
    np.testing.assert_array_equal(table.accuracies([ONE, TWO, THREE, (4,) * 6]), [91.25] + [math.nan] * 3)


def test_architectures_may_be_given_as_lists_or_as_an_array(file):
    table = read_table(write(file, rows_of({ONE: 91.25, TWO: 10})), SPACE)
    given = [ONE, THREE, TWO]
    for architectures in (given, [list(a) for a in given], np.array(given)):
        np.testing.assert_array_equal(table.accuracies(architectures), [91.25, math.nan, 10])
    for nothing in ([], np.empty((0, 6), dtype=np.int64)):
        assert table.accuracies(nothing).shape == (0,)


def test_the_column_named_is_the_one_read(file):
    write(file, [(0, SPACE.describe(ONE), 91, 64)], ("index", "arch", "test_accuracy_200", "valid_accuracy_12"))
    assert read_table(file, SPACE, column="valid_accuracy_12")([ONE]).tolist() == [[64]]


def test_only_the_architecture_and_the_column_are_needed_in_any_order(file):
    file.write_text(text_of([(" mine ", "arch "), (50.5, SPACE.describe(ONE)), (), (7, SPACE.describe(TWO))]))
    assert read_table(file, SPACE, column="mine").accuracies([ONE, TWO]).tolist() == [50.5, 7]


def test_what_a_spreadsheet_writes_is_read(file):
    text = text_of([("arch", "accuracy"), (f'"{SPACE.describe(ONE)}"', '"50.5"')]).replace("\n", "\r\n")
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_table(file, SPACE, column="accuracy").accuracies([ONE]).tolist() == [50.5]


def test_a_compressed_table_is_the_same_table(file):
    plain = read_table(write(file, rows_of({ONE: 91.25, TWO: 10})), SPACE)
    packed = file.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert read_table(str(packed), SPACE).accuracies([ONE, TWO]).tolist() == plain.accuracies([ONE, TWO]).tolist()


def test_a_path_may_start_in_the_home_folder(file, monkeypatch):
    write(file, rows_of({ONE: 91.25}))
    monkeypatch.setenv("HOME", str(file.parent))
    assert len(read_table("~/table.csv", SPACE)) == 1


def test_the_same_line_twice_is_one_architecture(file):
    rows = rows_of({ONE: 91.25, TWO: ""})
    assert len(read_table(write(file, rows + rows), SPACE)) == 1


def test_a_space_too_large_to_number_has_a_table_too(file):
    space = Long()
    rng = np.random.default_rng(0)
    truth = {sample(space, rng): float(i) for i in range(50)}
    header = ("arch", "accuracy")
    file.write_text(text_of([header, *((f'"{space.describe(a)}"', value) for a, value in truth.items())]))
    table = read_table(file, space, column="accuracy")
    assert space.size > 2**63
    assert table.accuracies(list(truth)).tolist() == list(truth.values())
    assert table.architectures.tolist() == [list(a) for a in sorted(truth)]


# A fitness


def test_the_fitness_of_an_architecture_is_its_accuracy():
    table = BenchmarkTable(SPACE, {ONE: 91.25, TWO: 10.0}, path=Path("t.csv"), column="accuracy")
    fitness = table([TWO, ONE, TWO])
    assert table.quantities == ("fitness",)
    assert fitness.tolist() == [[10], [91.25], [10]] and fitness.dtype == np.float64
    assert table([]).shape == (0, 1)


def test_an_architecture_without_accuracy_has_no_fitness_and_is_named():
    table = BenchmarkTable(SPACE, {ONE: 91.25, TWO: 10.0}, path=Path("t.csv"), column="accuracy")
    message = (
        "benchmark.path: t.csv holds accuracy of 2 of 15,625 architectures, but not of "
        "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2| (0, 0, 0, 0, 0, 1); take a whole table"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        table([ONE, list(THREE), (4,) * 6])


def test_what_is_no_architecture_of_the_space_is_told_as_such():
    table = BenchmarkTable(SPACE, {ONE: 91.25}, path=Path("t.csv"), column="accuracy")
    with pytest.raises(ValueError, match="architecture has 2 choices but NasBench201 has 6"):
        table([(1, 2)])


# Bad input: one clear line


def refusal(path, column="test_accuracy_200", space=SPACE, **arguments):
    with pytest.raises(ValueError) as caught:
        read_table(path, space, column=column, **arguments)
    (line,) = str(caught.value).splitlines()
    return line


def test_a_missing_file_is_refused_with_what_is_expected(file):
    assert refusal(file) == (
        f"benchmark.path: {file} does not exist; expected a CSV with the columns arch and test_accuracy_200, or the "
        "folder NATS-tss-v1_0-3ffb9-simple of NATS-Bench (github.com/D-X-Y/NATS-Bench says where to get it)"
    )


def test_the_first_format_of_the_benchmark_is_refused_with_a_way_out(tmp_path):
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    path.write_bytes(b"")
    line = refusal(path)
    assert line.startswith(f"benchmark.path: {path} is of NAS-Bench-201's first format, which is read through its pack")
    assert "(pip install nas-bench-201)" in line and "columns arch and test_accuracy_200" in line


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("latin.csv", "arch,café\n".encode("latin-1"), "'utf-8' codec can't decode byte 0xe9"),
        ("packed.csv", gzip.compress(b"arch,accuracy\n"), "'utf-8' codec can't decode byte 0x8b"),
        ("plain.gz", b"arch,accuracy\n", "Not a gzipped file"),
        ("cut.csv.gz", gzip.compress(os.urandom(5000).hex().encode())[:1000], "end-of-stream marker"),
        ("broken.gz", gzip.compress(b"")[:10] + b"\xff" * 50, "Error -3 while decompressing"),
        ("wide.csv", b"arch," + b"x" * 200_000, "field larger than field limit"),
    ],
    ids=["latin", "packed", "plain", "cut", "broken", "wide"],
)
def test_what_is_no_csv_is_refused_with_the_reason(tmp_path, name, content, why):
    path = tmp_path / name
    path.write_bytes(content)
    line = refusal(path)
    assert line.startswith(f"benchmark.path: expected {path} to be a CSV in UTF-8 (compressed if it ends in .gz), or ")
    assert why in line


def test_a_missing_column_is_refused_with_those_there_are(file):
    write(file, rows_of({ONE: 91.25}))
    assert refusal(file, "test_accuracy_12") == (
        f"benchmark.column: {file} has no column test_accuracy_12; its first line should name it, and has index, arch, "
        "test_accuracy_200, params_m"
    )
    file.write_text("architecture,test_accuracy_200\n")
    assert refusal(file) == (
        f"benchmark.path: {file} has no column arch; its first line should name it, and has architecture, "
        "test_accuracy_200"
    )
    file.write_text("")
    assert refusal(file).endswith("has no column arch; its first line should name it, and has nothing")
    file.write_text('"a\nb",' + "x" * 1000)
    assert refusal(file).endswith("and has a b, " + "x" * 295)


@pytest.mark.parametrize("cell", ["91.2%", "n/a", "1e"])
def test_what_is_no_number_is_refused_with_its_line(file, cell):
    write(file, rows_of({ONE: 91.25, TWO: cell}))
    assert refusal(file) == (
        f"benchmark.path: {file}, line 3: expected a number or nothing in column test_accuracy_200, got '{cell}'; "
        "correct the cell"
    )


@pytest.mark.parametrize("value", [-0.5, 100.01, math.inf, -math.inf])
def test_what_is_no_accuracy_is_refused_with_its_line(file, value):
    write(file, rows_of({ONE: 0, TWO: 100, THREE: value}))
    assert refusal(file) == (
        f"benchmark.path: {file}, line 4: expected an accuracy from 0 to 100 percent, got {value}; correct it, or name "
        "a column of accuracies in benchmark.column"
    )


def test_a_line_of_another_length_is_refused(file):
    write(file, [*rows_of({ONE: 91.25}), (1, SPACE.describe(TWO))])
    assert refusal(file).startswith(f"benchmark.path: {file}, line 3: expected 4 cells as in the first line, got 2;")


def test_a_line_that_is_no_architecture_is_refused_with_what_came(file):
    write(file, [*rows_of({ONE: 91.25, TWO: 10}), (2, "|conv_5x5~0|", 5, 1), (3, "|worse~0|", 5, 1)])
    assert refusal(file) == (
        f"benchmark.path: {file}, line 4: no architecture of NasBench201: expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2| "
        "or six integers, got '|conv_5x5~0|'"
    )
    lines = [*rows_of({ONE: 91.25, TWO: 10}), (2, '"two\nlines"', 5, 1)]
    assert refusal(write(file, lines)).endswith(r"got 'two\nlines'")


def test_a_refusal_is_one_line_whatever_the_space_says(file, monkeypatch):
    def parse(self, text):
        raise ValueError("two\nlines")

    monkeypatch.setattr(NasBench201, "parse", parse)
    assert refusal(write(file, [(0, "text", 5, 1)])).endswith("no architecture of NasBench201: two lines")


def test_a_table_of_another_space_is_refused_as_such(file):
    write(file, [(0, "64:64:64:64:8", 91, 1), (1, "64:64:64:64:16", 91, 1)])
    assert refusal(file).startswith(
        f"benchmark.path: {file}, line 2: the table is of another space: no architecture of NasBench201: expected |op"
    )
    write(file, rows_of({ONE: "", TWO: ""}))
    assert "of another space: no architecture of Long: expected an architecture such as 'c0=" in refusal(
        file, space=Long()
    )


def test_an_architecture_with_two_accuracies_is_refused_with_both_lines(file):
    rows = rows_of({ONE: 91.25, TWO: 10})
    write(file, [*rows, (2, SPACE.describe(ONE).replace("nor_conv", "conv"), 91.5, 1)])
    assert refusal(file) == (
        f"benchmark.path: {file}, line 4: {SPACE.describe(ONE).replace('nor_conv', 'conv')} has accuracy 91.5 here but "
        "91.25 at line 2; leave one of the two"
    )
    write(file, [*rows, (2, SPACE.describe(TWO), "", 1)])
    assert refusal(file).endswith("has accuracy none here but 10.0 at line 3; leave one of the two")


def test_a_table_without_any_accuracy_is_refused(file):
    line = refusal(write(file, rows_of({ONE: "", TWO: ""})))
    assert line.startswith(f"benchmark.column: {file} has no test_accuracy_200 of any architecture;")
    assert refusal(write(file, [])) == line


# The whole of NAS-Bench-201


@pytest.fixture(scope="module")
def whole():
    table = MEASURING_DATA / "nasbench201_cifar10.csv.gz"
    if not table.is_file():
        pytest.skip(f"no NAS-Bench-201 table in {MEASURING_DATA}; set RAYNAS_DATA to where {table.name} lies")
    return table


@pytest.mark.parametrize("column", ["test_accuracy_200", "valid_accuracy_12"])
def test_the_whole_benchmark_is_read_as_it_stands(whole, column):
    table = read_table(whole, SPACE, column=column)
    with gzip.open(whole, "rt", encoding="utf-8", newline="") as lines:
        rows = [(SPACE.parse(row["arch"]), float(row[column])) for row in csv.DictReader(lines)]
    assert table.accuracies([a for a, _ in rows]).tolist() == [accuracy for _, accuracy in rows]
    assert len(table) == 15_625 and table.architectures.tolist() == list(map(list, EVERY))
    if column == "test_accuracy_200":
        assert table(EVERY).max() == pytest.approx(94.373, abs=5e-4)


def test_all_architectures_are_looked_up_in_a_few_milliseconds_and_read_in_a_third_of_a_second(file):
    accuracies = dict(zip(EVERY, np.random.default_rng(0).uniform(10, 95, len(EVERY)).round(6), strict=True))
    write(file, rows_of(accuracies))
    reading, asking = [], []
    for _ in range(3):
        began = time.process_time()
        table = read_table(file, SPACE)
        reading.append(time.process_time() - began)
        began = time.process_time()
        assert table(EVERY)[:, 0].tolist() == list(accuracies.values())
        asking.append(time.process_time() - began)
    assert min(reading) < 0.6 and min(asking) < 0.05  # 0.2 and 0.004 on an idle core


# NATS-Bench

TRAININGS = {  # data set trained on -> seeds of the trainings of 200 and of 12 epochs, sets evaluated on
    "cifar10-valid": ({"200": (777, 888, 999), "12": (777, 888)}, ("x-valid", "ori-test")),
    "cifar10": ({"200": (777, 888, 999), "12": (777,)}, ("ori-test",)),
    "cifar100": ({"200": (777, 888), "12": (777,)}, ("x-valid", "x-test", "ori-test")),
    "ImageNet16-120": ({"200": (777, 999), "12": (777,)}, ("x-valid", "x-test", "ori-test")),
}


def measured(index, epochs, trained_on, seed, on, epoch):
    """Returns an accuracy that spells where it stands, below 100 percent."""
    key = list(TRAININGS).index(trained_on) * 3 + ("x-valid", "x-test", "ori-test").index(on)
    return key * 8 + index % 7 + seed / 1e4 + (0.5 if epochs == "12" else 0) + epoch / 1e5


def training(index, epochs, trained_on, seed, sets, number):
    """Returns what NATS-Bench keeps of one training."""
    last = int(epochs)
    keys = [(on, epoch) for on in sets for epoch in range(last)]
    return {
        "name": "infer.tiny",
        "net_state_dict": None,
        "train_acc1es": {epoch: 99.0 for epoch in range(last)},
        "train_acc5es": {epoch: 99.5 for epoch in range(last)},
        "train_losses": {epoch: 0.1 for epoch in range(last)},
        "train_times": {epoch: 7.0 for epoch in range(last)},
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": "", "class_num": 10},
        "params": 0.1,
        "flop": 15.6,
        "seed": seed,
        "epochs": last,
        "latency": [0.01],
        "eval_names": list(sets),
        "eval_acc1es": {f"{on}@{e}": number(measured(index, epochs, trained_on, seed, on, e)) for on, e in keys},
        "eval_losses": {f"{on}@{epoch}": 1.0 for on, epoch in keys},
        "eval_times": {f"{on}@{epoch}": 1.0 for on, epoch in keys},
    }


def results(index, text, trained_on=tuple(TRAININGS), lengths=("200", "12"), number=float):
    """Returns the content of the file of one architecture."""
    of = {
        epochs: {
            (name, seed): sets
            for name in trained_on
            for sets in [TRAININGS[name][1]]
            for seed in TRAININGS[name][0][epochs]
        }
        for epochs in lengths
    }
    return {
        epochs: {
            "arch_index": index,
            "arch_str": text,
            "all_results": {
                (name, seed): training(index, epochs, name, seed, sets, number)
                for (name, seed), sets in trainings.items()
            },
            "dataset_seed": {name: [seed for of_name, seed in trainings if of_name == name] for name in trained_on},
            "clear_net_done": True,
        }
        for epochs, trainings in of.items()
    }


def expected(index, trained_on, on, epochs):
    seeds = TRAININGS[trained_on][0][epochs]
    return sum(measured(index, epochs, trained_on, seed, on, int(epochs) - 1) for seed in seeds) / len(seeds)


def pack(path, content):
    path.write_bytes(bz2.compress(pickle.dumps(content, protocol=4)))


HELD = (0, 3, 11, 12_345)
ORDER = np.random.default_rng(201).permutation(len(EVERY)).tolist()
META = {"meta_archs": [SPACE.describe(EVERY[number]) for number in ORDER], "total_archs": len(EVERY)}
COLUMNS = [
    ("cifar10", "test_accuracy_200", "cifar10", "ori-test"),
    ("cifar10", "valid_accuracy_200", "cifar10-valid", "x-valid"),
    ("cifar10", "test_accuracy_12", "cifar10", "ori-test"),
    ("cifar10", "valid_accuracy_12", "cifar10-valid", "x-valid"),
    ("cifar100", "test_accuracy_200", "cifar100", "x-test"),
    ("cifar100", "valid_accuracy_12", "cifar100", "x-valid"),
    ("imagenet16-120", "test_accuracy_12", "ImageNet16-120", "x-test"),
    ("imagenet16-120", "valid_accuracy_200", "ImageNet16-120", "x-valid"),
]


@pytest.fixture(scope="module")
def nats_bench():
    return pytest.importorskip("nats_bench", reason="NATS-Bench's files are read by raynas[nats-bench]")


@pytest.fixture(scope="module")
def nats_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nats") / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    pack(folder / "meta.pickle.pbz2", META)
    for index in HELD:
        pack(folder / f"{index:06d}.pickle.pbz2", results(index, META["meta_archs"][index]))
    return folder


@pytest.fixture(scope="module")
def nats_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("nats") / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
    infos = {index: results(index, META["meta_archs"][index]) for index in HELD}
    pack(file, {**META, "arch2infos": infos, "evaluated_indexes": list(HELD)})
    return file


@pytest.fixture(params=["folder", "file"])
def nats(request, nats_bench):
    return request.getfixturevalue(f"nats_{request.param}")


@pytest.mark.parametrize(("dataset", "column", "trained_on", "on"), COLUMNS)
def test_nats_bench_tells_the_mean_over_seeds_after_the_last_epoch(nats, dataset, column, trained_on, on):
    table = read_table(nats, SPACE, column=column, dataset=dataset)
    architectures = [EVERY[ORDER[index]] for index in HELD]
    values = [expected(index, trained_on, on, column.rpartition("_")[2]) for index in HELD]
    np.testing.assert_allclose(table.accuracies(architectures), values, rtol=1e-12)
    assert table.architectures.tolist() == sorted(map(list, architectures))
    assert np.isnan(table.accuracies(EVERY)).sum() == len(EVERY) - len(HELD)


def test_the_authors_way_to_ask_gives_the_same(nats_bench, nats_folder):
    table = read_table(str(nats_folder), SPACE)
    api = nats_bench.create(str(nats_folder), "tss", fast_mode=True, verbose=False)
    for index in HELD:
        metrics = api.query_meta_info_by_index(index, hp="200").get_metrics("cifar10", "ori-test")
        assert table([SPACE.parse(api.arch(index))]) == pytest.approx(metrics["accuracy"], abs=1e-12)


def test_reading_nats_bench_prints_nothing_and_leaves_random_numbers_alone(nats, capfd):
    import random

    state = random.getstate()
    read_table(nats, SPACE)
    assert capfd.readouterr() == ("", "")
    assert random.getstate() == state


def test_accuracies_that_an_old_numpy_pickled_are_read(nats_bench, nats_folder, tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "meta.pickle.pbz2").write_bytes((nats_folder / "meta.pickle.pbz2").read_bytes())
    text = pickle.dumps(results(3, META["meta_archs"][3], number=np.float64), protocol=2)
    old = text.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert old.count(b"cnumpy.core.multiarray\n") == 1
    (folder / "000003.pickle.pbz2").write_bytes(bz2.compress(old))
    assert read_table(folder, SPACE)([EVERY[ORDER[3]]]) == pytest.approx(expected(3, "cifar10", "ori-test", "200"))


@pytest.mark.parametrize(
    "there", [{"trained_on": ("cifar100",)}, {"lengths": ("12",)}], ids=["on another data set", "for fewer epochs"]
)
def test_an_architecture_that_was_not_trained_so_is_not_held(nats_bench, nats_folder, tmp_path, there):
    folder = tmp_path / "part"
    folder.mkdir()
    for name in ("meta.pickle.pbz2", "000003.pickle.pbz2"):
        (folder / name).write_bytes((nats_folder / name).read_bytes())
    pack(folder / "000011.pickle.pbz2", results(11, META["meta_archs"][11], **there))
    table = read_table(folder, SPACE)
    assert table.architectures.tolist() == [list(EVERY[ORDER[3]])]
    (folder / "000003.pickle.pbz2").unlink()
    assert refusal(folder).startswith(f"benchmark.column: {folder} has no test_accuracy_200 of any architecture;")


def test_only_one_architectures_training_curves_are_kept_at_a_time(nats_bench, nats_folder, monkeypatch):
    kept, create = [], nats_bench.create

    def watched(*arguments, **keywords):
        api = create(*arguments, **keywords)
        ask = api.get_more_info

        def asked(*arguments, **keywords):
            answer = ask(*arguments, **keywords)
            kept.append(len(api.arch2infos_dict))
            return answer

        api.get_more_info = asked
        return api

    monkeypatch.setattr(nats_bench, "create", watched)
    read_table(nats_folder, SPACE)
    assert kept == [1] * len(HELD)


def test_columns_and_data_sets_that_nats_bench_lacks_are_refused(nats_folder, nats_file):
    for path in (nats_folder, nats_file):
        assert refusal(path, "test_accuracy_90") == (
            "benchmark.column: NATS-Bench has test_accuracy_200, test_accuracy_12, valid_accuracy_200 and "
            "valid_accuracy_12, got 'test_accuracy_90'; name one of them"
        )
        assert refusal(path, dataset="digits") == (
            "benchmark.dataset: NATS-Bench has cifar10, cifar100, imagenet16-120, got 'digits'; name one of them"
        )


def test_the_files_of_nats_bench_without_its_package_say_what_to_install(nats_folder, nats_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "nats_bench", None)
    for path in (nats_folder, nats_file):
        assert refusal(path) == (
            f"benchmark.path: {path} is read by the package nats_bench, which is not installed; "
            "pip install 'raynas[nats-bench]'"
        )


def test_a_folder_of_something_else_is_refused(tmp_path):
    assert refusal(tmp_path) == (
        f"benchmark.path: expected {tmp_path} to be NATS-Bench's folder NATS-tss-v1_0-3ffb9-simple, unpacked and "
        "whole, or its .pickle.pbz2 file; it holds no meta.pickle.pbz2; "
        "github.com/D-X-Y/NATS-Bench says where to get it"
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "end-of-stream marker"),
        (b"not compressed", "Invalid data stream"),
        (bz2.compress(pickle.dumps(META))[:-20], "end-of-stream marker"),
        (bz2.compress(b"not pickled"), "pickle"),
        (bz2.compress(pickle.dumps({"archs": []})), "meta_archs"),
        (bz2.compress(pickle.dumps([1, 2])), ""),
        (bz2.compress(b"cno_such_module\nname\n."), "no_such_module"),
        (bz2.compress(b"cos\nno_such_name\n."), "no_such_name"),
    ],
    ids=["empty", "not compressed", "cut", "not pickled", "another dictionary", "a list", "no module", "no name"],
)
@pytest.mark.parametrize("place", ["meta", "architecture", "file"])
def test_damaged_files_of_nats_bench_are_refused(nats_bench, tmp_path, place, content, why):
    path = tmp_path / "NATS.pickle.pbz2" if place == "file" else tmp_path
    pack(tmp_path / "meta.pickle.pbz2", META)
    damaged = {"meta": tmp_path / "meta.pickle.pbz2", "architecture": tmp_path / "000002.pickle.pbz2", "file": path}
    damaged[place].write_bytes(content)
    line = refusal(path)
    assert line.startswith(f"benchmark.path: expected {path} to be NATS-Bench's folder")
    assert line.endswith("; github.com/D-X-Y/NATS-Bench says where to get it")
    if place == "architecture":
        assert "; architecture 2: " in line
    else:
        assert why in line


def test_the_size_space_of_nats_bench_is_another_space(nats_bench, tmp_path):
    pack(tmp_path / "meta.pickle.pbz2", {"meta_archs": ["8:8:8:8:8", "8:8:8:8:16"]})
    pack(tmp_path / "000001.pickle.pbz2", results(1, "8:8:8:8:16", lengths=("12",)))
    assert refusal(tmp_path).startswith(
        f"benchmark.path: {tmp_path}, architecture 1: the table is of another space: no architecture of NasBench201: "
    )

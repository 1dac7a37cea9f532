"""The verb `network`: what is printed of an architecture, and wrong input in one line with exit status 2."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from raynas.cli import main
from raynas.networks.published import PUBLISHED
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
SKIPS_AND_SEPS = (
    f"Genotype(normal={[('skip_connect', 0), ('sep_conv_3x3', 1)] * 4}, "
    f"reduce={[('skip_connect', 0), ('sep_conv_3x3', 1)] * 4})"
)


def answer(capsys, *arguments):
    status = main(["network", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err


def figures_of(line):
    """Returns the whole numbers of a row with thousands separators."""
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*,\d{3}", line)]


@pytest.mark.parametrize(
    "text",
    [
        CELL,
        "3, 3, 1, 4, 0, 2",
        "(3,3,1,4,0,2)",
        CELL.replace("nor_", ""),
        "((('nor_conv_3x3', 0),), (('nor_conv_3x3', 0), ('skip_connect', 1)), "
        "(('avg_pool_3x3', 0), ('none', 1), ('nor_conv_1x1', 2)))",
    ],
)
def test_any_spelling_gives_the_same_text_integers_and_costs_of_the_benchmark(capsys, text):
    status, lines, err = answer(capsys, text)
    assert (status, err) == (0, "")
    assert lines[0] == "space: nasbench201" and lines[1] == f"architecture: {CELL}"
    assert "integers: 3, 3, 1, 4, 0, 2" in lines
    # 7.78305 M, 35.38944 M for each convolution of 3x3 and 3.93216 M for each of 1x1.
    _, multiply_adds = figures_of(lines[-1])
    assert multiply_adds == 7_783_050 + 2 * 35_389_440 + 3_932_160


def test_integers_that_are_printed_are_read_again(capsys):
    _, lines, _ = answer(capsys, CELL)
    (integers,) = (line.removeprefix("integers: ") for line in lines if line.startswith("integers: "))
    assert answer(capsys, integers)[1] == lines


def test_the_representative_of_equal_functions_is_printed_where_it_is_another(capsys):
    _, lines, _ = answer(capsys, "|skip_connect~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|")
    space = NasBench201()
    (text,) = (line.removeprefix("equal function: ") for line in lines if line.startswith("equal function: "))
    canonical = space.parse(text)
    assert canonical == space.canonical((1, 0, 1, 0, 0, 3)) != (1, 0, 1, 0, 0, 3)
    assert not [line for line in answer(capsys, text)[1] if line.startswith("equal function")]


def test_size_resolution_and_classes_are_those_that_are_given(capsys):
    options = ["--set", "space.channels=8", "--set", "space.cells=1", "--resolution", 16, "--classes", 7]
    status, lines, _ = answer(capsys, CELL, *options)
    assert status == 0 and lines[-1].startswith("network, C 8, 1 cells, 16 px, 7 classes")
    # 3x3 stem; three stages of one cell; two reduction blocks; a classifier of 32 inputs with a bias.
    stem = 3 * 8 * 9 * 256
    cells = sum(c * c * (2 * 9 + 1) * pixels for c, pixels in ((8, 256), (16, 64), (32, 16)))
    blocks = sum((c * 2 * c * 9 + 4 * c * c * 9 + c * 2 * c) * pixels for c, pixels in ((8, 64), (16, 16)))
    assert figures_of(lines[-1])[-1] == stem + cells + blocks + 33 * 7


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GDAS_V1", "gdas-v1"])
def test_a_published_name_has_the_papers_sizes_beside_those_counted(capsys, name):
    status, lines, _ = answer(capsys, name)
    assert status == 0 and lines[0] == "space: darts"
    header, cifar, imagenet = lines[-3:]
    assert "paper" in header
    parameters, multiply_adds = figures_of(cifar)
    assert (round(parameters / 1e6, 3), round(multiply_adds / 1e6, 1)) == (3.369, 519.4)
    assert cifar.split()[-3:] == ["3.4", "M", "-"]
    parameters, multiply_adds = figures_of(imagenet)
    assert (round(parameters / 1e6, 3), round(multiply_adds / 1e6, 1)) == (5.345, 581.0)
    assert imagenet.split()[-4:] == ["5.3", "M", "581", "M"]


def test_a_published_cell_is_built_in_another_size_with_what_it_needs(capsys):
    status, lines, _ = answer(capsys, "GDAS_F1", "--set", "space.channels=8", "--set", "space.cells=3")
    assert status == 0 and lines[1].endswith("reduce=None, reduce_concat=range(2, 6))")
    assert lines[-1].startswith("network, C 8, 3 cells, 32 px, 10 classes")


def test_integers_of_rlnas_are_read_as_a_network_of_its_space(capsys):
    text = PUBLISHED["RLNAS_MOBILENET"].text
    status, lines, _ = answer(capsys, text, "--resolution", 224, "--classes", 1000)
    assert status == 0 and lines[0] == "space: mobilenet"
    assert lines[1] == f"architecture: {MobileNet().describe(MobileNet().parse(text))}"
    assert figures_of(lines[-1]) == [5_255_648, 471_522_184]


def test_without_an_architecture_the_published_ones_are_listed(capsys):
    status, lines, _ = answer(capsys)
    assert status == 0 and lines[0].split() == ["name", "space", "for", "parameters", "mult-adds", "source"]
    assert list(dict.fromkeys(line.split()[0] for line in lines[1:])) == list(PUBLISHED)


def test_the_latency_is_measured_here(capsys):
    small = ("--set", "space.channels=4", "--set", "space.cells=1", "--resolution", 8)
    status, lines, _ = answer(capsys, CELL, "--latency", *small)
    assert status == 0 and lines[-2].split()[-1] == "latency"
    value, unit = lines[-1].split()[-2:]
    assert unit == "ms" and 0.01 < float(value) < 10_000


def test_a_drawing_names_every_operation(capsys, tmp_path):
    file = tmp_path / "cell.svg"
    status, lines, _ = answer(capsys, CELL, "--draw", file)
    assert status == 0 and lines[-1] == f"drawing: {file}"
    root = ElementTree.parse(file).getroot()
    assert root.tag.endswith("svg")
    labels = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(labels) == sorted(
        ["conv 3\u00d73", "conv 3\u00d73", "skip", "avg pool", "3\u00d73", "conv 1\u00d71", "in", "1", "2", "out"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([CELL.replace("skip_connect", "conv_9x9")], "architecture: expected one of the space darts or mobilenet or"),
        (
            [CELL.replace("skip_connect", "conv_9x9"), "--space", "nasbench201"],
            "--space nasbench201: an operation is one of none, skip_connect, ",
        ),
        (["GDAS_V9"], "got 'GDAS_V9'; did you mean GDAS_V1?"),
        (["nonsense"], "architecture: expected the text of an architecture or one of DARTS_V1, DARTS_V2"),
        ([CELL, "--space", "darts"], "--space darts: expected Genotype("),
        ([CELL, "--space", "dart"], "space.name: expected one of darts, mobilenet, nasbench201, quadruples"),
        ([SKIPS_AND_SEPS], "is an architecture of darts and of quadruples; give one of them"),
        (["GDAS_V1", "--space", "nasbench201"], "--space: GDAS_V1 is an architecture of darts, got 'nasbench201'"),
        ([CELL, "--space", "nasbench201", "--set", "space.width=2"], "space.width: unknown key"),
        ([CELL, "--set", "channels=8"], "--set: expected space.KEY=VALUE such as space.channels=36, got 'channels=8'"),
        ([CELL, "--set", "space.name=darts"], "the space is named by --space"),
        ([CELL, "--set", "space.channels=0"], "space.channels: expected 2 to 10,000, got 0; give --space"),
        ([CELL, "--resolution", "0"], "--resolution: expected 1 to 4,096, got 0"),
        ([CELL, "--classes", "0"], "--classes: expected 1 to 1,000,000, got 0"),
        ([CELL, "--draw", "cell.png"], "--draw: expected the name of an .svg file, got 'cell.png'"),
        ([CELL, "--draw", "nowhere/cell.svg"], "--draw: there is no folder 'nowhere'"),
        (["\n".join(["Genotype(", "normal=3)"])], "got 'Genotype(\\nnormal=3)'"),
    ],
)
def test_wrong_input_is_one_line_with_status_2(capsys, arguments, message):
    status, lines, err = answer(capsys, *arguments)
    assert (status, lines) == (2, [])
    assert message in err and len(err.splitlines()) == 1 and err.startswith("raynas: ")


def test_a_drawing_that_cannot_be_written_is_said_in_one_line(capsys, tmp_path):
    folder = Path(tmp_path / "cell.svg")
    folder.mkdir()
    status, _, err = answer(capsys, CELL, "--draw", folder)
    assert status == 2 and err.startswith("raynas: --draw: ") and len(err.splitlines()) == 1

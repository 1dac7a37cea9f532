"""The text of DARTS' cells, in every spelling in use."""

from __future__ import annotations

import pytest

from raynas.spaces.darts import Darts
from raynas.spaces.darts_operations import PRIMITIVES
from raynas.spaces.genotype import read_genotype, write_genotype
from tests.spaces import genotypes

FORM = r"^expected Genotype\(normal=\[.*got "


def nodes(*pairs):
    """Returns the nodes of a cell given as ``sep_conv_3x3 0`` and so on."""
    split = [(operation, int(source)) for operation, source in map(str.split, pairs)]
    return [split[start : start + 2] for start in range(0, 8, 2)]


NORMAL = nodes(
    *("sep_conv_3x3 0", "sep_conv_3x3 1", "sep_conv_3x3 0", "sep_conv_3x3 1"),
    *("sep_conv_3x3 1", "skip_connect 0", "skip_connect 0", "dil_conv_3x3 2"),
)
REDUCTION = nodes(
    *("max_pool_3x3 0", "max_pool_3x3 1", "skip_connect 2", "max_pool_3x3 1"),
    *("max_pool_3x3 0", "skip_connect 2", "skip_connect 2", "max_pool_3x3 1"),
)
PAIRS = [pair for node in NORMAL for pair in node]
NESTED = [tuple(node) for node in NORMAL]


@pytest.mark.parametrize(
    "text",
    [
        genotypes.DARTS_V2,
        genotypes.DARTS_V2.removeprefix("DARTS_V2 = "),
        genotypes.DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6)"),
        genotypes.DARTS_V2.replace("[2, 3, 4, 5]", "(2, 3, 4, 5)").replace(", ", ",\n  "),
        genotypes.DARTS_V2.replace("3)", "3,\n)").replace("'", '"'),
        f"Genotype(reduce={[(*pair, 0.1) for node in REDUCTION for pair in node]}, normal={PAIRS})",
        f"Genotype(normal={NESTED}, reduce={REDUCTION}, normal_concat=[2, 3, 4, 5], connectN=None, connects=None)",
        f"{{'normal': {NESTED}, 'normal_concat': [2, 3, 4, 5], 'reduce': {REDUCTION}, 'reduce_concat': [2, 3, 4, 5]}}",
        genotypes.DARTS_V2.replace("sep_conv", "dua_sepc").replace("dil_conv", "dil_sepc"),
    ],
)
def test_every_spelling_of_a_genotype_is_read_alike(text):
    assert read_genotype(text) == {"normal": [NORMAL], "reduce": [REDUCTION]}


def test_a_fixed_reduction_cell_is_none_or_left_out():
    f1 = nodes("skip_connect 0", "skip_connect 1", *["skip_connect 0", "sep_conv_3x3 2"] * 3)
    assert read_genotype(genotypes.GDAS_F1) == {"normal": [f1], "reduce": []}
    assert read_genotype(f"{{'normal': {f1}, 'normal_concat': [2, 3, 4, 5]}}") == {"normal": [f1]}


def test_autodls_names_of_operations_are_read_as_darts():
    names = {"dua_sepc_3x3": "sep_conv_3x3", "dua_sepc_5x5": "sep_conv_5x5", "dil_sepc_3x3": "dil_conv_3x3",
             "dil_sepc_5x5": "dil_conv_5x5", "avg_pool_3x3": "avg_pool_3x3"}  # fmt: skip
    for theirs, ours in names.items():
        cell = read_genotype(f"Genotype(normal={[(theirs, 0), (theirs, 1)] * 4})")["normal"][0]
        assert cell == [[(ours, 0), (ours, 1)]] * 4


def test_what_is_written_is_darts_own_text_and_read_again():
    pairs = [pair for node in REDUCTION for pair in node]
    text = write_genotype({"normal": PAIRS, "reduce": pairs})
    assert text == genotypes.DARTS_V2.removeprefix("DARTS_V2 = ").replace("[2, 3, 4, 5]", "range(2, 6)")
    assert read_genotype(text) == {"normal": [NORMAL], "reduce": [REDUCTION]}
    cells = read_genotype(write_genotype({"cells": [PAIRS, pairs, PAIRS]}))
    assert cells == {"cells": [NORMAL, REDUCTION, NORMAL]}


@pytest.mark.parametrize(
    "text",
    [
        *("", "Genotype", "Genotype(", "Genotype[normal]", "Cell(normal=[])", "sep_conv_3x3 0", "{1, 2}", "a = b"),
        *("Genotype([('sep_conv_3x3', 0)])", "Genotype(**{})", "{**{}}", "genotypes.Genotype(normal=[])", "\0"),
        "Genotype(normal=open('x'))",
        "Genotype(normal=__import__('os').getcwd())",
        "{[]: 1}",
        "Genotype(normal=[]); Genotype(normal=[])",
        "Genotype(normals=[])",
        "Genotype(normal=[range(2, stop=6)])",
    ],
)
def test_a_text_of_no_such_form_is_refused_in_one_line_and_nothing_is_run(text):
    with pytest.raises(ValueError, match=FORM) as caught:
        read_genotype(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "cell",
    [
        *(PAIRS[:-1], PAIRS[:-2], [*PAIRS, *PAIRS[:2]], NESTED[:3], [*NESTED, NESTED[0]], [], 7, "seven", [1, 2, 3, 4]),
        *([*NESTED[:3], NESTED[3][:1]], [*NESTED[:3], (*NESTED[3], ("none", 1))], [*PAIRS[:7], ["sep_conv_3x3"]]),
        *([*PAIRS[:7], (0, "sep_conv_3x3")], [*PAIRS[:7], ("sep_conv_3x3", 1.0)], [*PAIRS[:7], ("sep_conv_3x3", True)]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("key", ["normal", "reduce", "cells"])
def test_a_cell_that_is_not_four_nodes_of_two_pairs_is_refused_by_its_name(cell, key):
    with pytest.raises(ValueError, match=f"^{key}: expected (4 nodes with two|a) pairs? .*got "):
        read_genotype(f"Genotype({key}={[cell] if key == 'cells' else cell!r})")


@pytest.mark.parametrize(
    "concat", ["[4, 5, 6]", "[2, 3, 4, 6]", "range(2, 7)", "[2, 3, 4]", "range(10**12)", "4", "None"]
)
def test_a_cell_that_concatenates_other_nodes_is_refused(concat):
    with pytest.raises(
        ValueError, match=r"expected Genotype|^normal_concat: a cell concatenates its nodes 2 to 5, got "
    ):
        read_genotype(f"Genotype(normal={PAIRS}, normal_concat={concat})")


# In the space


SPACE = Darts()
FRC = Darts(reduction="fixed")
PUBLISHED = {
    "darts": (SPACE, genotypes.DARTS_V2),
    "pc-darts": (SPACE, genotypes.PC_DARTS_CIFAR),
    "rlnas": (SPACE, genotypes.RLNAS_CIFAR),
    "rlnas, imagenet": (SPACE, genotypes.RLNAS_IMAGENET),
    "rlnas, imagenet, 600 M": (SPACE, genotypes.RLNAS_IMAGENET_600M),
    "gdas": (SPACE, genotypes.GDAS_V1),
    "gdas, frc": (FRC, genotypes.GDAS_F1),
    "setn": (Darts(operations=genotypes.SETN_OPERATIONS), genotypes.SETN),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_cells_come_back_as_they_went_in_but_for_the_order_at_a_node(name):
    space, text = PUBLISHED[name]
    again = read_genotype(space.describe(space.parse(text)))
    published = read_genotype(text)
    assert again.keys() == published.keys()
    for key, cells in published.items():
        in_order = [[sorted(node, key=lambda pair: pair[1]) for node in cell] for cell in cells]
        assert again[key] == in_order


def test_rlnas_integers_are_the_genotypes_it_published_beside_them():
    for text, integers in (
        (genotypes.RLNAS_IMAGENET, genotypes.RLNAS_IMAGENET_INTEGERS),
        (genotypes.RLNAS_IMAGENET_600M, genotypes.RLNAS_IMAGENET_600M_INTEGERS),
    ):
        in_a_row = integers.replace("[", "").replace("]", "")
        assert SPACE.parse(text) == SPACE.parse(integers) == SPACE.parse(in_a_row) == SPACE.parse(f"({in_a_row},)")
    assert SPACE.parse(genotypes.RLNAS_IMAGENET)[:5] == (4, 4, 0, 4, 4)


def test_integers_are_candidates_of_any_construction():
    s2 = Darts(edges="fixed", operations=("skip_connect", "sep_conv_3x3"), share_cells=False, cells=4)
    assert s2.parse(", ".join("01" * 16)) == (0, 1) * 16
    architecture = (4, 3, 1, 1, 0, 2, 0, 0, 2, 0, 0, 0, 7, 7)
    assert FRC.parse(str(list(architecture))) == FRC.parse(str(architecture)) == architecture


def swapped(text, old, new):
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("space", "text", "message"),
    [
        (SPACE, swapped(genotypes.DARTS_V2, "('sep_conv_3x3', 1)", "('sep_conv_3x3', 0)"),
         r"^normal: node 2 takes both inputs from 0"),
        (SPACE, swapped(genotypes.DARTS_V2, "('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"),
         r"^normal: node 5 has edges from 0, 1, 2, 3, 4, got one from 5"),
        (SPACE, swapped(genotypes.DARTS_V2, "('max_pool_3x3', 1)", "('max_pool_3x3', -1)"),
         r"^reduction: node 2 has edges from 0, 1, got one from -1"),
        (SPACE, swapped(genotypes.DARTS_V2, "dil_conv_3x3", "dil_conv_9x9"),
         r"^normal 5<-2: expected one of none, max_pool_3x3, .*, got 'dil_conv_9x9'"),
        (SPACE, genotypes.SETN, r"^normal 5<-4: expected one of .*got 'conv_3x1_1x3'"),
        (SPACE, swapped(genotypes.DARTS_V2, "skip_connect", "none"), r"^architecture gives a node 1 inputs"),
        (SPACE, genotypes.GDAS_F1, r"^expected normal of 1 cells, reduce of 1 cells, got normal of 1, reduce of 0 in"),
        (FRC, genotypes.DARTS_V2, r"^expected normal of 1 cells, reduce of 0 cells, got normal of 1, reduce of 1 in"),
        (Darts(edges="fixed", operations=PRIMITIVES[1:]), genotypes.DARTS_V2,
         r"^normal: node 3 has edges from 0, 2, got one from 1"),
        (Darts(share_cells=False), genotypes.DARTS_V2, r"^expected cells of 8 cells, got cells of 0, normal of 1"),
        (SPACE, genotypes.RLNAS_IMAGENET_INTEGERS.replace("5", "8"), r"^architecture takes candidate 8 at normal 4<-1"),
        (SPACE, "[4, 4]", r"^architecture has 2 choices but Darts has 28"),
        (SPACE, genotypes.RLNAS_IMAGENET_INTEGERS.replace("0", "1"), r"^architecture gives a node 3 inputs .*3<-0, "),
    ],
)  # fmt: skip
def test_a_genotype_that_the_space_does_not_hold_is_refused_in_one_line(space, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        space.parse(text)
    assert "\n" not in str(caught.value)

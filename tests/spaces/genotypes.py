"""Published cells of the DARTS space, in the spellings of the code they were published in."""

from __future__ import annotations

from raynas.networks.published import PUBLISHED, SETN_OPERATIONS
from raynas.spaces.genotype import read_genotype


def text_of(name):
    return PUBLISHED[name].text


def as_lists(text):
    """Returns a text that concatenates a list of nodes, as DARTS and RLNAS write it."""
    return text.replace("range(2, 6)", "[2, 3, 4, 5]")


def nested(name, text):
    """Returns a text as AutoDL writes it: pairs by node, on lines of their own, assigned to a name."""
    lines = [f"{name} = Genotype("]
    for kind, cells in read_genotype(text).items():
        nodes = ",\n".join(f"    {tuple(tuple(pair) for pair in node)}" for node in cells[0])
        lines += [f"  {kind}=[\n{nodes}],", f"  {kind}_concat=[2, 3, 4, 5],"]
    return "\n".join([*lines, "  connectN=None, connects=None", ")\n"])


def with_probabilities(name, text):
    """Returns a text of one cell as AutoDL's older code writes it: pairs with probabilities, and no reduction cell."""
    (nodes,) = read_genotype(text)["normal"]
    pairs = [(*pair, 0.16) for node in nodes for pair in node]
    cell = f"  normal={pairs},\n  normal_concat=[2, 3, 4, 5],\n  reduce=None,\n  reduce_concat=[2, 3, 4, 5],\n"
    return f"{name} = Genotype(  # fixed reduction cell\n{cell})\n"


DARTS_V2 = f"DARTS_V2 = {as_lists(text_of('DARTS_V2'))}"
PC_DARTS_CIFAR = text_of("PC_DARTS_CIFAR10")
RLNAS_CIFAR = f"RLDARTS = {as_lists(text_of('RLNAS_CIFAR10'))}".replace(", (", ",\n          (").replace("2),", "2,),")
RLNAS_IMAGENET = as_lists(text_of("RLNAS_IMAGENET"))
RLNAS_IMAGENET_600M = as_lists(text_of("RLNAS_IMAGENET_600M"))
GDAS_V1 = nested("GDAS_V1", text_of("GDAS_V1"))
GDAS_F1 = with_probabilities("GDAS_F1", text_of("GDAS_F1"))
SETN = nested("SETN", text_of("SETN"))
SETN_OPERATIONS = tuple(SETN_OPERATIONS["operations"])

RLNAS_IMAGENET_INTEGERS = "[[4, 4, 0, 4, 4, 4, 5, 0, 0, 4, 4, 0, 0, 0], [4, 4, 5, 0, 4, 5, 0, 5, 0, 0, 0, 4, 0, 4]]"
"""The cells of RLNAS_IMAGENET as its search prints them."""

RLNAS_IMAGENET_600M_INTEGERS = (
    "[[4, 4, 0, 3, 4, 0, 4, 4, 0, 3, 0, 0, 0, 4], [4, 1, 4, 3, 0, 4, 6, 0, 0, 3, 4, 0, 0, 0]]"
)
"""The cells of RLNAS_IMAGENET_600M as its search prints them."""

"""Published cells of the DARTS space, in the spelling of the code they were published in."""

from __future__ import annotations

DARTS_V2 = (
    "DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
"""Liu et al. 2019, second order."""

PC_DARTS_CIFAR = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), "
    "('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)], normal_concat=range(2, 6), "
    "reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)], reduce_concat=range(2, 6))"
)
"""Xu et al. 2020, on CIFAR-10."""

RLNAS_CIFAR = """RLDARTS = Genotype(
          normal=[
             ('sep_conv_5x5', 0), ('sep_conv_3x3', 1),
             ('dil_conv_3x3', 0), ('sep_conv_5x5', 2),
             ('sep_conv_3x3', 0), ('dil_conv_5x5', 3), ('dil_conv_5x5', 1), ('dil_conv_3x3', 2)],
          normal_concat=[2, 3, 4, 5],
          reduce=[
             ('sep_conv_5x5', 0), ('dil_conv_3x3', 1),
             ('sep_conv_3x3', 0), ('sep_conv_5x5', 2),
             ('dil_conv_3x3', 1), ('sep_conv_3x3', 3),
             ('max_pool_3x3', 1), ('sep_conv_5x5', 2,)],
          reduce_concat=[2, 3, 4, 5])
"""
"""Zhang et al. 2021, searched on CIFAR-10."""

RLNAS_IMAGENET = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2), "
    "('sep_conv_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 2), ('sep_conv_5x5', 0), "
    "('sep_conv_5x5', 2), ('sep_conv_3x3', 2), ('sep_conv_3x3', 4)], reduce_concat=[2, 3, 4, 5])"
)
"""Zhang et al. 2021, searched on ImageNet without a limit."""

RLNAS_IMAGENET_INTEGERS = "[[4, 4, 0, 4, 4, 4, 5, 0, 0, 4, 4, 0, 0, 0], [4, 4, 5, 0, 4, 5, 0, 5, 0, 0, 0, 4, 0, 4]]"
"""The same as its search prints it."""

RLNAS_IMAGENET_600M = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 1), ('sep_conv_3x3', 2), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 2), ('skip_connect', 0), ('sep_conv_3x3', 4)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('sep_conv_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 0), "
    "('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
"""Zhang et al. 2021, searched on ImageNet within 600 M multiply-adds."""

RLNAS_IMAGENET_600M_INTEGERS = (
    "[[4, 4, 0, 3, 4, 0, 4, 4, 0, 3, 0, 0, 0, 4], [4, 1, 4, 3, 0, 4, 6, 0, 0, 3, 4, 0, 0, 0]]"
)
"""The same as its search prints it."""

GDAS_V1 = """GDAS_V1 = Genotype(
  normal=[
    (('skip_connect', 0), ('skip_connect', 1)),
    (('skip_connect', 0), ('sep_conv_5x5', 2)),
    (('sep_conv_3x3', 3), ('skip_connect', 0)),
    (('sep_conv_5x5', 4), ('sep_conv_3x3', 3))],
  normal_concat=[2, 3, 4, 5],
  reduce=[
    (('sep_conv_5x5', 0), ('sep_conv_3x3', 1)),
    (('sep_conv_5x5', 2), ('sep_conv_5x5', 1)),
    (('dil_conv_5x5', 2), ('sep_conv_3x3', 1)),
    (('sep_conv_5x5', 0), ('sep_conv_5x5', 1))],
  reduce_concat=[2, 3, 4, 5],
  connectN=None, connects=None
)
"""
"""Dong and Yang 2019 (GDAS)."""

GDAS_F1 = """GDAS_F1 = Genotype(  # fixed reduction cell
  normal=[('skip_connect', 0, 0.16), ('skip_connect', 1, 0.13), ('skip_connect', 0, 0.17), ('sep_conv_3x3', 2, 0.15),
          ('skip_connect', 0, 0.17), ('sep_conv_3x3', 2, 0.15), ('skip_connect', 0, 0.16), ('sep_conv_3x3', 2, 0.15)],
  normal_concat=[2, 3, 4, 5],
  reduce=None,
  reduce_concat=[2, 3, 4, 5],
)
"""
"""Dong and Yang 2019 (GDAS), with the fixed reduction cell."""

SETN = """Genotype(
  normal=[
    (('skip_connect', 0), ('sep_conv_5x5', 1)),
    (('sep_conv_5x5', 0), ('sep_conv_3x3', 1)),
    (('sep_conv_5x5', 1), ('sep_conv_5x5', 3)),
    (('max_pool_3x3', 1), ('conv_3x1_1x3', 4))],
  normal_concat=[2, 3, 4, 5],
  reduce=[
    (('sep_conv_3x3', 0), ('sep_conv_5x5', 1)),
    (('avg_pool_3x3', 0), ('sep_conv_5x5', 1)),
    (('avg_pool_3x3', 0), ('sep_conv_5x5', 1)),
    (('avg_pool_3x3', 0), ('skip_connect', 1))],
  reduce_concat=[2, 3, 4, 5],
  connectN=None, connects=None
)
"""
"""Dong and Yang 2019 (SETN)."""

SETN_OPERATIONS = (
    *("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "conv_3x1_1x3"),
)

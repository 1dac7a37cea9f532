"""The plainest baselines: the largest architecture by what it costs. Nothing is trained.

A search that does not beat the most parameters, or the most multiply-adds, has found what a count knows.
"""

from raynas.algorithms import Algorithm

NUM_PARAMETERS = Algorithm(sampling="uniform", labels="true", search="evolution", fitness="num_parameters")

MULTIPLY_ADDS = Algorithm(sampling="uniform", labels="true", search="evolution", fitness="multiply_adds")

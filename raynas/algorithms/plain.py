"""The plainest baselines: the largest architecture by what it costs. Nothing is trained.

A search that does not beat the most parameters, or the most multiply-adds, has found what a count knows.
"""

from raynas.algorithms import Algorithm

NUM_PARAMETERS = Algorithm(
    name="num_parameters", sampling="uniform", labels="true", search="evolution", fitness="num_parameters"
)

MULTIPLY_ADDS = Algorithm(
    name="multiply_adds", sampling="uniform", labels="true", search="evolution", fitness="multiply_adds"
)

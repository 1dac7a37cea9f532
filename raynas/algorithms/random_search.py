"""Random search: the best of some random architectures by one-shot accuracy.

The supernet is that of SPOS; only the proposal of architectures is left out, 100 are sampled (RLNAS, Zhang et al. 2021,
Table 7: `search.population` 100, `search.generations` 1). A search that does not beat it has found nothing.

Reference: Li and Talwalkar 2019, "Random Search and Reproducibility for Neural Architecture Search", UAI.
"""

from raynas.algorithms import Algorithm

RANDOM_SEARCH = Algorithm(
    name="random_search", sampling="uniform", labels="true", search="random", fitness="one_shot_accuracy"
)

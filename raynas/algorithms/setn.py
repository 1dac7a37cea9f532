r"""SETN: a template network trained on random paths, and an evaluator that learns which candidates to try.

    w     <- SGD along dL_train of a uniform random candidate, another in every cell       (Eq. 1 to 3)
    alpha <- Adam along dL_val of the mixture of all candidates                             (Eq. 10)
    a*    = the lowest one-shot loss on the search split among T = 1000 candidates sampled by softmax(alpha)

In the space ``quadruples`` the alphas are the paper's: two vectors over a node's inputs and one over pairs of
operations; on NAS-Bench-201 there is one for each edge. Its variants are settings of this row:

    SETN-LR     train.path_per_cell: false      all cells share a candidate
    SETN-NON    train.sampling: mixture         weights are trained on the mixture too
    SETN-RAND   search.name: random             candidates are sampled uniformly
    T = 1       search.name: derive             the most probable candidate is taken unseen

Departs from the authors' code (on NAS-Bench-201), which trains the same candidate in all cells and evaluates the
hundred most probable ones on one batch each.

Reference: Dong and Yang 2019, "One-Shot Neural Architecture Search via Self-Evaluated Template Network", ICCV.
"""

from raynas.algorithms import Algorithm

SETN = Algorithm(
    name="setn",
    sampling="uniform",
    labels="true",
    search="alpha_sampling",
    fitness="one_shot_loss",
    gates="mixture",
    gradient="first",
    path_per_cell=True,
    derivation="with_none",
)

r"""GDAS: gradient descent through sampled architectures.

    h = one_hot(argmax_k (log p_k + o_k)),    p = softmax(alpha),  o_k Gumbel(0, 1)             (Eq. 5 and 6)
    forward h, backward h~ = softmax((log p + o) / tau), tau from 10 to 0.1 over the epochs     (Eq. 7)
    w <- SGD along dL_train of one sample,  alpha <- Adam along dL_val of another               (Algorithm 1)
    a* = at every node the two edges whose strongest candidate is most probable, and their strongest operations

Only what is sampled runs. Each cell has its own sample (section 3.2); in the authors' code all cells of a kind share
one (``train.path_per_cell: false``). On NAS-Bench-201 that code adds the weights of the candidates that were not
sampled, which are 0, so that their gradients reach the alphas (``alphas.idle: true``; in the DARTS space and its
kin not through a node that receives nothing). A fixed reduction cell is
the space's (``space.reduction: fixed``), several seeds of which the best is taken are `train.base_seeds`: here the
best is by one-shot accuracy on the search split, mean over the supernets.

Departs from the paper:
    Where ``none`` is the strongest candidate of an edge that is kept, the operation after it is taken.
    In the DARTS space poolings are normalised; in the authors' code they are not (``space.pool_bn: false``).
A step of the alphas follows one sample, as in paper and code; ``alphas.draws`` averages several.

Reference: Dong and Yang 2019, "Searching for A Robust Neural Architecture in Four GPU Hours", CVPR.
"""

from raynas.algorithms import Algorithm

GDAS = Algorithm(
    name="gdas",
    sampling="gumbel",
    labels="true",
    search="derive",
    fitness="one_shot_accuracy",
    gates="gumbel",
    gradient="first",
    path_per_cell=True,
    derivation="with_none",
)

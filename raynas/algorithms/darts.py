r"""DARTS: the architecture by gradient descent on a continuous relaxation.

    o(x) = sum_k softmax(alpha)_k o_k(x)                                          (Eq. 2)   every choice, in every step
    alpha <- Adam along d L_val(w - xi dL_train/dw, alpha) / dalpha               (Eq. 6 and 7)
    w     <- SGD along dL_train(w, alpha) / dw
    a*    = at every node the two edges whose strongest operation is most probable, and these operations (section 2.4)

First order is xi = 0; in second order xi is the learning rate, and the step that is unrolled has momentum and weight
decay as the next step of the weights will have.

Departs from the paper:
    The unrolled step is that of the optimiser; the paper's is w - xi dL_train/dw (``alphas.virtual_step: plain``).
    Under Nesterov's momentum it moves 1.9 times as far along the gradient of the batch as in the codes of DARTS and
    of NAS-Bench-201 (``alphas.virtual_step: momentum``).

Departs from the paper's code:
    Second derivatives are exact; its finite differences are ``alphas.radius: 0.01``.
    Batches of the search split come in order, each image once an epoch; the code samples a new one for each step.
    Running statistics of batch normalisation move in the step of the weights alone.
On NAS-Bench-201 the benchmark's code lets ``none`` win: ``search.derivation: with_none``. In first order it takes the
weights' step before the alphas': ``alphas.before_weights: false``.

Reference: Liu, Simonyan, Yang 2019, "DARTS: Differentiable Architecture Search", ICLR.
"""

from dataclasses import replace

from raynas.algorithms import Algorithm

DARTS = Algorithm(
    name="darts",
    sampling="mixture",
    labels="true",
    search="derive",
    fitness="one_shot_accuracy",
    gates="mixture",
    gradient="first",
    before_weights=True,
)

DARTS_SECOND_ORDER = replace(DARTS, name="darts_second_order", gradient="second")

r"""RLNAS: search with random labels, by how far training turned the weights.

    W* = argmin_W  E_{a ~ U(A)}  L(a, W, R)                  (Eq. 7)   one path a step, labels R sampled once
    a* = argmax_a  arccos <V(a, W0), V(a, W*)> / (|V(a, W0)| |V(a, W*)|)       (Eq. 8 and 9)   evolution

R holds one label per image, uniform over the categories and independent of the image; W0 is the initialisation, and
V(a, W) the weights along every live path of a. Architectures that converge fast turn their weights far.

Departs from the paper:
    Idle candidates stand still in a step; in the code of the paper momentum and weight decay moved them too, which is
    `train.idle_weights: coast`. It changes the order by angle: tests/performance/README.md, "Idle weights".
    The last incomplete batch of an epoch is left out (every epoch has its own order).
    Random labels, paths and order are hashed from the seed, not taken from one running generator.
The paper's text and its code differ further, and each difference is a key of the run file: one path for all cells or
one per cell (`train.path_per_cell`), the weights that make up V (`search.angle`), mutation that never takes ``none``
(`search.mutation_excludes`). `search.angle` is paper, official or published: the paper's text, its code as it was
meant, and its code to the letter, by which the published cells were found. In the last the normalisation of a dilated
convolution counts by its weight twice. Each part of V is a key too (`search.angle_extras`, `angle_pool`, `angle_skip`,
`angle_norms`, `angle_ends`), as section 3.2.2 discusses (`jobs/sweep_rlnas_angle_parts.yaml`).

The paper does not say of which distribution W0 is. Its code has
layers' own in small spaces, and other ones on ImageNet (`train.initialisation`, `train.linear_initialisation`).

Reference: Zhang, Hou, Zhang, Sun 2021, "Neural Architecture Search with Random Labels", CVPR.
"""

from raynas.algorithms import Algorithm

RLNAS = Algorithm(name="rlnas", sampling="uniform", labels="random", search="evolution", fitness="angle")

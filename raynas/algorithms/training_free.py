r"""Training-free angle: how far two initialisations lie apart, architecture by architecture.

    a* = argmax_a  arccos <V(a, W0), V(a, W0')> / (|V(a, W0)| |V(a, W0')|),    W0, W0' of different seeds

Nothing is trained. If the angle of RLNAS favoured some architectures whatever training did, this would find them; the
paper shows that it does not (Table 7, with normal and with uniform initialisation: `train.initialisation`; by default
each layer's own).

Reference: Zhang, Hou, Zhang, Sun 2021, "Neural Architecture Search with Random Labels", CVPR, section 4.3.
"""

from raynas.algorithms import Algorithm

TRAINING_FREE = Algorithm(
    name="training_free", sampling="uniform", labels="random", search="evolution", fitness="initial_angle"
)

r"""SPOS: single path one-shot search with uniform sampling.

    W* = argmin_W  E_{a ~ U(A)}  L_train(a, W)               (Eq. 7)   one path a step, true labels
    a* = argmax_a  accuracy_search(a; W*, s_a)               (Eq. 6)   evolution, under limits on costs

s_a are statistics of batch normalisation measured anew for each architecture on training images.

Departs from the paper's code:
    Statistics are averaged over their batches, where the code runs on with the momentum of training and so forgets all
    but the last 19 of its 200 batches; tests/performance/README.md says how many images are enough.
    Paths are uniform, as in the text. The code samples them evenly by multiply-adds, from 290 to 360 million.
    Pixels are from 0 to 1 in the order red, green, blue. The code has 0 to 255 in the reverse order, which a batch
    normalisation behind the first convolution makes the same.
    The last incomplete batch of an epoch is left out.
As in the code, candidates that a step does not run rest in it (`train.idle_weights: rest`).

Reference: Guo, Zhang, Mu, Heng, Liu, Wei, Sun 2020, "Single Path One-Shot Neural Architecture Search with Uniform
Sampling", ECCV.
"""

from raynas.algorithms import Algorithm

SPOS = Algorithm(name="spos", sampling="uniform", labels="true", search="evolution", fitness="one_shot_accuracy")

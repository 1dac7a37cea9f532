r"""Amended-DARTS: DARTS with what its gradient leaves out, estimated so that search may converge.

    g  = g1 + g2,    g1 = dL_val/dalpha,    g2 = -M H^-1 v                      (Eq. 6)
    g2' = -eta M H v                                                            (Eq. 7)   in the place of g2

at the current weights, with v = dL_val/dw, M = d2 L_train/(dalpha dw), H = d2 L_train/dw2; eta is 0.1 in the paper.

The paper concludes that g2' never points away from g2 (Eq. 8). That does not follow: see `supernet.amended`.

Departs from the paper, whose code is not published:
    Both products with H and M are exact; finite differences are ``alphas.radius``.
    Which step comes first is not said; here the alphas' as in DARTS.
    Its dropout while searching, of which nothing more is said, is drop-path in `jobs/`.
    First alphas are small normal numbers as in DARTS; its equal weights are ``alphas.initial: equal``, as in `jobs/`.
Its first space, 14 edges without ``none`` (section 4.1.1), is ``space.edges: kept``. Two edges of every node are
derived, or all of them under ``search.derivation: all_edges``. ``alphas.measures_descent`` tells whether the alphas'
steps lower the loss that they follow. ``alphas.eta_unit: relative`` gives the correction a length relative to the first
term, so that 0.01, 0.1 and 1 do what the paper says of them. Finite differences of networks with ReLUs are mostly
noise.

Reference: Bi, Hu, Xie, Chen, Wei, Tian 2019, "Stabilizing DARTS with Amended Gradient Estimation on Architectural
Parameters", arXiv 1910.11831.
"""

from dataclasses import replace

from raynas.algorithms.darts import DARTS

AMENDED_DARTS = replace(DARTS, name="amended_darts", gradient="amended")

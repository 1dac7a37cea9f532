"""DARTS+: DARTS, stopped before skip connections take over.

The alphas are taken as they were in the last epoch before the normal cell that they stand for had two skip connections
(criterion 1). Training goes on all the same, so that the report shows what would have come of it.

Departs from the paper: the weights are those of the end; only what was derived is evaluated with them.

Reference: Liang et al. 2019, "DARTS+: Improved Differentiable Architecture Search with Early Stopping", arXiv
1909.06035, section 3.
"""

from dataclasses import replace

from raynas.algorithms.darts import DARTS

DARTS_PLUS = replace(DARTS, name="darts_plus", most_skips=2)

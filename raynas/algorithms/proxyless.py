"""ProxylessNAS: the weights on one sampled path, the alphas on two that compete.

A step of the weights runs a path sampled by softmax(alpha). A step of the alphas runs two candidates of every choice,
sampled by it and weighted by the softmax over their two alphas.

Departs from the paper: its binarised gates have the gradient of a straight-through estimate and rescale the alphas that
were not sampled; here the two that were sampled are a mixture of their own, and the others rest.

Reference: Cai, Zhu, Han 2019, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware", ICLR,
section 3.2.
"""

from dataclasses import replace

from raynas.algorithms.gdas import GDAS

PROXYLESS = replace(GDAS, name="proxyless", gates="two_paths", path_per_cell=False)

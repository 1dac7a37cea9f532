"""FairNAS: SPOS with strict fairness, every candidate of a choice trained once in every step.

A step adds up the gradients of as many paths as a choice has candidates, no two of which share one.

Reference: Chu, Zhang, Xu 2021, "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture Search",
ICCV, Algorithm 1.
"""

from dataclasses import replace

from raynas.algorithms.spos import SPOS

FAIRNAS = replace(SPOS, name="fairnas", sampling="fair")

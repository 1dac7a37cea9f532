"""The hyper-parameters of architecture parameters. Imports nothing of torch, so that a run file is read without it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raynas.options import Count, Options


class AlphaRecipe(Options):
    """How alphas are trained; the defaults are those of DARTS (Liu et al. 2019), GDAS and Amended-DARTS.

    Attributes:
        gradient: Which gradient they follow; first order where it is left open.
        eta: The amending coefficient (Amended-DARTS, Bi et al. 2020, Eq. 7).
        eta_unit: What eta measures. absolute: the factor of Eq. 7. relative: the correction is given 10 eta times the
            length of the first term, so that it is ignorable at 0.01, as long at 0.1, and dominates at 1.
        radius: Radius of finite differences in second derivatives; exact ones by default.
        learning_rate: Learning rate of Adam.
        betas: Decay rates of Adam's two averages.
        weight_decay: L2 penalty.
        clip_norm: Bound on the norm of the gradient; none by default.
        before_weights: Whether their step comes before the step of the weights on the same batch (DARTS), or after it;
            after it where it is left open.
        first_epoch: Epochs during which they rest (PC-DARTS: 15).
        initial: Their first values: normal (0.001 times normal numbers, DARTS), or equal (Amended-DARTS).
        measures_descent: Whether the loss on each batch of theirs is taken after the step too, for one more forward
            pass, to see whether their steps descend.
    """

    gradient: str | None = None
    eta: Annotated[float, Field(ge=0)] = 0.1
    eta_unit: Literal["absolute", "relative"] = "absolute"
    radius: Annotated[float, Field(gt=0)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = [0.5, 0.999]
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    before_weights: bool | None = None
    first_epoch: Count = 0
    initial: Literal["normal", "equal"] = "normal"
    measures_descent: bool = False

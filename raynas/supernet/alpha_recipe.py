"""The hyper-parameters of architecture parameters. Imports nothing of torch, so that a run file is read without it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raynas.options import Count, Options, Positive


class AlphaRecipe(Options):
    """How alphas are trained; the defaults are those of DARTS (Liu et al. 2019), GDAS and Amended-DARTS.

    Attributes:
        gradient: Gradient of the alphas: of first order (first), of second order (second), amended, or the dotted path
            of a rule of your own.
        eta: Amending coefficient of the gradient amended (Amended-DARTS, Bi et al. 2020, Eq. 7).
        eta_unit: Unit of the amending coefficient. absolute: the factor of Eq. 7. relative: the correction has 10 eta
            times the length of the first term, so that it is ignorable at 0.01, as long at 0.1, and dominates at 1.
        radius: Radius of the finite differences that approximate second derivatives. By default they are computed
            exactly.
        learning_rate: Learning rate of Adam, the optimiser of the alphas.
        betas: Decay rates of the two averages of Adam, for the alphas.
        weight_decay: Coefficient of the L2 penalty on the alphas.
        clip_norm: Largest norm of the gradient of the alphas; a larger gradient is scaled down. No bound by default.
        before_weights: Whether the alphas take their step before the weights take theirs, as in DARTS; otherwise after
            them.
        first_epoch: Number of epochs at the start in which the alphas do not change (PC-DARTS: 15).
        initial: Initial alphas: 0.001 times normal random numbers (normal, DARTS), or all of them equal (equal,
            Amended-DARTS).
        draws: Number of samples of which one step of the alphas takes the mean gradient, where the gates sample. More
            samples mean less noise, at the cost of one forward and one backward pass each.
        virtual_step: Step of the weights that the second-order gradient looks ahead by: that of their optimiser
            (optimizer), the same with momentum but not Nesterov's (momentum, as in the codes of DARTS and of
            NAS-Bench-201), or learning rate times gradient alone (plain, as in DARTS' Eq. 7).
        measures_descent: Whether the loss on each batch of the alphas is measured again after their step, which shows
            whether their steps descend. This costs one more forward pass.
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
    draws: Positive = 1
    virtual_step: Literal["optimizer", "momentum", "plain"] = "optimizer"
    measures_descent: bool = False

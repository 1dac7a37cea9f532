"""How the driver asks training workers to save and stop: through a Ray actor.

Imports nothing of torch: the actor starts in a fraction of a second.
"""

from __future__ import annotations

from typing import Any

from raynas.stages.requests import Stop


class Mailbox:
    """Passes a request of the driver on to worker 0; a Ray actor that takes no CPU.

    If it is lost, it starts again empty, and the driver repeats its request.
    """

    def __init__(self) -> None:
        """Starts empty."""
        self._asked_by: int | None = None
        self._request: tuple[int, Stop] | None = None

    def ask(self, attempt: int) -> Stop | None:
        """Returns what is asked of an attempt, if anything is."""
        self._asked_by = attempt
        return self._request[1] if self._request is not None and self._request[0] == attempt else None

    def post(self, attempt: int, request: Stop) -> bool:
        """Asks an attempt to stop, and returns whether that attempt has begun to train."""
        self._request = attempt, request
        return self._asked_by == attempt


def make_mailbox() -> Any:
    """Returns the handle of a new mailbox on this machine."""
    return on_this_node(Mailbox)


def on_this_node(role: type) -> Any:
    """Returns the handle of a new actor on this machine that takes no CPU and starts again if it is lost.

    The explicit placement keeps it out of the placement group of a trial.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(role).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()

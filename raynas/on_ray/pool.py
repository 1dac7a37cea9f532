"""Evaluating populations in parallel: Ray actors around one shared set of weights and images.

Objects are put into the object store once for all actors. Numpy arrays inside them arrive as read-only views of shared
memory, so that an actor adds almost nothing to the memory of the weights. (torch ignores that they are read-only: code
that wraps them with ``from_numpy`` must not write.) Every task names the version of its fitness. An actor that holds
another version builds this one first: no actor evaluates by old weights, however late it came.

A task is a batch of candidates (see `batches`), and each actor has two. Fast actors therefore take more. Inside a batch
the candidates are evaluated one by one. As long as the fitness depends on the candidate alone, no number depends on
batches, on actors, or on the order of arrival.

There are never more actors than candidates left. Where their number is not given and the cluster may grow, the number
follows the cluster and the work: as many actors as find room, or one for every ten seconds of the work that is left if
that is more. Nodes come for actors without a place. An actor that has found no place in a minute is given up as soon as
it is not needed, and its demand for a node ends.

If an actor is lost, its batches are evaluated again, first of all, and a new actor takes its place. Losses count by
candidate. A machine that goes with all of its actors is one loss to each candidate; a candidate that ends every actor
is stopped, however many others finish in between. Ray restarts no actor itself: it would count restarts over an actor's
life.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from raynas.errors import RunError
from raynas.fitness import Fitness
from raynas.on_ray.batches import IN_FLIGHT, Work, worthwhile_actors
from raynas.on_ray.evaluator import Evaluator
from raynas.on_ray.nodes import Needs, missing
from raynas.search_space import Architecture

if TYPE_CHECKING:
    from ray.exceptions import RayError

PATIENCE_SECONDS = 10.0
"""Seconds without an actor before that is said."""

START_SECONDS = 60.0
"""Seconds after which an actor that has not come waits for a place."""

REMEDY = "where memory is short lower search.evaluators"


@dataclass(eq=False)
class _Member:
    """An actor of the pool. `coming` is answered when the actor is up, and None from then on."""

    actor: Any
    coming: Any | None
    began: float

    @property
    def has_no_place(self) -> bool:
        """Whether it takes longer to come than to start."""
        return self.coming is not None and time.monotonic() - self.began > START_SECONDS


def _ignore(line: str | None) -> None:
    """Says nothing."""


class Pool:
    """Actors that evaluate candidates, for the time of a ``with`` block in which Ray is connected.

    They are started on first use and serve any number of fitnesses one after another. They are killed when the block
    ends, so that their nodes may go. While the cluster cannot place an actor, the others work; a cluster that can grow
    grows for it.

    Attributes:
        most: How many actors to have; None for a number that follows the cluster and the work.
        room: Actors that find room on the cluster as it is, where their number follows it.
        seconds: Seconds that a candidate takes, by the version of the fitness.
        max_failures: Losses in a row after which evaluating fails.
        wait_for: Takes a line that says what is waited for, and None when that is over.
    """

    def __init__(
        self,
        *,
        evaluators: int | None,
        cpus: float = 1,
        gpus: float = 0,
        max_failures: int = 3,
        note: Callable[[str], None] = _ignore,
        wait_for: Callable[[str | None], None] = _ignore,
    ) -> None:
        """Sets the pool up; nothing is started.

        Args:
            evaluators: How many actors to have; None for as many as find room, and more that are worth a node each.
            cpus: CPUs, and torch threads, of an actor.
            gpus: GPUs of an actor, or a fraction of one.
            max_failures: Losses in a row over the same candidate, or of actors that only start while no other works,
                after which evaluating fails.
            note: Takes a line when an actor is lost.
            wait_for: Takes a line that says what is waited for while no actor is up, and None when one is up.
        """
        self.most = evaluators
        self._takes = {"CPU": cpus, "GPU": gpus}
        self.max_failures = max_failures
        self._note = note
        self.wait_for = wait_for
        self._members: list[_Member] = []
        self.room = 0
        self.seconds: dict[int, float] = {}  # that a candidate takes, by the version of the fitness
        self._versions = 0
        self._failed_starts = 0
        self._entered = False

    def __enter__(self) -> Pool:
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import ray

        self._entered = False
        while self._members:
            ray.kill(self._members.pop().actor)

    def fitness(
        self, make: Callable[..., Fitness], *objects: Any, quantities: tuple[str, ...], together: int = 1
    ) -> PooledFitness:
        """Returns the fitness ``make(*objects)``, evaluated by the actors.

        Args:
            make: Builds the fitness inside an actor; a function of an importable module that does not write to its
                arguments.
            objects: Its arguments, put into the object store here and now.
            quantities: The quantities that the fitness measures; a fitness that measures others is an error.
            together: How many candidates it is asked for at once, if those that follow each other share work.
        """
        import ray

        self._versions += 1
        return PooledFitness(self, self._versions, [ray.put(thing) for thing in (make, *objects)], quantities, together)

    # For `_Call`

    def coming(self) -> dict[Any, _Member]:
        """Returns the actors that are not up yet, by what is answered when they are."""
        return {member.coming: member for member in self._members if member.coming is not None}

    def came(self, member: _Member) -> None:
        """Notes that an actor is up."""
        member.coming = None
        self.wait_for(None)
        self.count_room()  # it may have come with a node that holds more

    def took(self, version: int, seconds: float) -> None:
        """Notes the seconds that a candidate takes by a fitness."""
        self.seconds[version] = seconds
        self._failed_starts = 0

    def actors_up(self, wanted: int) -> list[_Member]:
        """Returns the actors that are up, after starting missing actors and giving up those that are not needed.

        An actor that is up stays: the next call has work for it.
        """
        import ray

        if not self._entered:
            raise RunError("the pool evaluates only inside its `with` block")
        # Without a strategy, what a trial of a sweep starts has to fit into the placement group of the trial.
        actor = ray.remote(
            num_cpus=self._takes["CPU"], num_gpus=self._takes["GPU"], max_restarts=0, scheduling_strategy="DEFAULT"
        )(Evaluator)
        while len(self._members) < wanted:
            handle: Any = actor.remote(max(1, int(self._takes["CPU"])))
            self._members.append(_Member(handle, handle.__ray_ready__.remote(), time.monotonic()))
        for member in [member for member in self._members if member.has_no_place][: len(self._members) - wanted]:
            self._members.remove(member)
            ray.kill(member.actor)
        return [member for member in self._members if member.coming is None]

    def count_room(self) -> None:
        """Counts the actors that find room, if their number follows it: those with a place, and free resources."""
        import ray

        if self.most is not None:
            return
        free = ray.available_resources()  # type: ignore[no-untyped-call]
        more = min(int(free.get(kind, 0) / amount) for kind, amount in self._takes.items() if amount)
        self.room = more + sum(not member.has_no_place for member in self._members)

    def lose(self, member: _Member, error: RayError) -> None:
        """Removes a lost actor, unless another stream has done so before.

        Raises:
            RunError: If it could not start, and another actor could not either.
        """
        import ray

        if member not in self._members:
            return
        self._members.remove(member)
        ray.kill(member.actor)  # one that is only out of reach would keep its resources
        if member.coming is not None:
            self._failed_starts += 1
            if getattr(error, "actor_init_failed", False):
                raise RunError(f"evaluators cannot start: {str(error).splitlines()[-1]}")
            if self._failed_starts >= self.max_failures:
                raise RunError(f"evaluators cannot start: {type(error).__name__}; {REMEDY}")
        self._note("an evaluator was lost; its candidates are evaluated again")

    def needs(self) -> Needs:
        """Returns the resources of one actor, all on one node."""
        takes = {kind: amount for kind, amount in self._takes.items() if amount}
        return Needs("search.evaluators", "an evaluator needs", takes, {}, bundle=takes)

    def lack(self) -> str:
        """Returns a line that says what is waited for while no actor is up."""
        import ray

        needs = self.needs()
        if lacking := missing(needs):
            return f"waiting for {lacking}: search.evaluators needs it"
        free, total = ray.available_resources(), ray.cluster_resources()  # type: ignore[no-untyped-call]
        takes = " and ".join(f"{amount:g} {kind}" for kind, amount in needs.resources.items())
        there = " and ".join(f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}" for kind in needs.resources)
        return f"waiting for an evaluator to start (search.evaluators): it takes {takes}, and {there} are free"


class _Call:
    """One call of a pooled fitness: its batches in flight, and the seconds that a candidate took each actor."""

    def __init__(self, pool: Pool, task: tuple[Any, ...], work: Work, architectures: Sequence[Architecture]) -> None:
        """Takes the pool, the arguments of `Evaluator.evaluate` before the architectures, and the candidates."""
        self._pool = pool
        self._task = task
        self._work = work
        self._architectures = architectures
        self._in_flight: dict[Any, tuple[_Member, list[int]]] = {}
        self._seconds: dict[_Member, float] = {}
        self._spoke: float | None = None

    def rows(self) -> Iterator[np.ndarray]:
        """Yields the rows of the architectures in order, for `PooledFitness.stream`."""
        pool, work = self._pool, self._work
        pool.count_room()
        while work.left:
            wanted = worthwhile_actors(pool.most, work.left, pool.room, pool.seconds.get(self._task[0]))
            up = pool.actors_up(wanted)
            self._send(up)
            if len(rows := work.take()):
                yield rows
                continue
            self._say_who_is_missing(up)
            self._wait()

    def _send(self, up: Sequence[_Member]) -> None:
        """Gives every actor its batches. Each actor has its first batch before any has a second.

        An actor with a candidate that was lost before gets no second batch.
        """
        load = Counter(member for member, _ in self._in_flight.values())
        full = {member for member, batch in self._in_flight.values() if self._work.was_lost(batch)}
        for depth in range(IN_FLIGHT):
            for member in up:
                if load[member] != depth or member in full:
                    continue
                batch = self._work.next_batch(len(up), self._seconds.get(member), is_only=depth == 0)
                if not batch:
                    continue
                architectures = [self._architectures[position] for position in batch]
                ref = member.actor.evaluate.remote(*self._task, architectures)
                self._in_flight[ref] = (member, batch)
                load[member] += 1
                if self._work.was_lost(batch):
                    full.add(member)

    def _say_who_is_missing(self, up: Sequence[_Member]) -> None:
        """Says what is waited for while no actor is up.

        Resources that no node holds are said at once, a busy cluster only when it stays busy.
        """
        if up:
            self._spoke = time.monotonic()
        elif self._spoke is None:
            self._spoke = -math.inf if missing(self._pool.needs()) else time.monotonic()
        if time.monotonic() - self._spoke > PATIENCE_SECONDS:
            self._spoke = time.monotonic()
            self._pool.wait_for(self._pool.lack())

    def _wait(self) -> None:
        """Waits for a result or for an actor to come up, at most 0.2 s: between two waits Ctrl-C is heard."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        coming = self._pool.coming()
        for ref in ray.wait([*self._in_flight, *coming], timeout=0.2)[0]:
            member, batch = self._in_flight[ref] if ref in self._in_flight else (coming[ref], [])
            try:
                answer = ray.get(ref)
            except RayTaskError as error:
                raise error.cause from None
            except RayError as error:  # the actor is lost; Ray has many kinds of error for that
                self._lost(member, error)
                continue
            if batch:
                self._received(ref, member, batch, answer)
            else:
                self._pool.came(member)

    def _received(self, ref: Any, member: _Member, batch: list[int], answer: tuple[np.ndarray, float]) -> None:
        """Keeps the rows of a batch, and the seconds that a candidate took."""
        rows, seconds = answer
        self._work.evaluated(batch, rows)
        self._seconds[member] = seconds / len(batch)
        self._pool.took(self._task[0], mean(self._seconds.values()))
        del self._in_flight[ref]

    def _lost(self, member: _Member, error: RayError) -> None:
        """Lets the batches of a lost actor wait again.

        Raises:
            RunError: If the actor could not start, or one candidate was lost too often.
        """
        self._pool.lose(member, error)
        mine = [ref for ref, (owner, _) in self._in_flight.items() if owner is member]
        batches = [self._in_flight.pop(ref)[1] for ref in mine]
        if not batches:
            return
        times = self._work.lost(batches)
        if times >= self._pool.max_failures and len(batches[0]) == 1:
            raise RunError(
                f"an evaluator was lost {times} times in a row while evaluating "
                f"{self._architectures[batches[0][0]]} ({type(error).__name__}); {REMEDY}"
            ) from None


class PooledFitness:
    """A fitness that the actors of a pool evaluate; `Pool.fitness` makes it.

    Attributes:
        quantities: Names of what it measures; the first is ``fitness``.
    """

    def __init__(self, pool: Pool, version: int, boxed: list[Any], quantities: tuple[str, ...], together: int) -> None:
        """Takes the pool, and the arguments of `Evaluator.evaluate`."""
        self.quantities = quantities
        self._pool = pool
        self._task = (version, boxed, quantities, together)

    def stream(self, architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
        """Yields the quantities of the architectures, in their order, ``(k, q)`` float64 as soon as they are known.

        If a stream is left early, its batches in flight are evaluated to their end and dropped: at most two an actor,
        for which the next stream waits. (Ray cannot interrupt an actor, and is slow to cancel its tasks.)

        Raises:
            InputError: If the fitness raises one; it names the architecture.
            RunError: If it fails in any other way, is not finite or of a wrong shape; it names the architecture.
                If actors are lost again and again.
        """
        work = Work(len(architectures), len(self.quantities), together=self._task[-1])
        return _Call(self._pool, self._task, work, architectures).rows()

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the quantities of the architectures, ``(n, q)`` float64; a larger fitness is better."""
        return np.concatenate([np.empty((0, len(self.quantities))), *self.stream(architectures)])

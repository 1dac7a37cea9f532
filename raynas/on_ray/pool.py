"""Judging populations in parallel: Ray actors around one shared set of weights and images.

Objects are put into the object store once for all actors; numpy arrays inside them arrive as read-only views of shared
memory, so that an actor adds next to nothing to what the weights take. (torch ignores that they are read-only: whoever
wraps them with ``from_numpy`` must not write.) Every task names the version of its fitness, and an actor that holds
another builds this one first: none judges by old weights, however late it came.

A task is a batch of candidates, and each actor has two: one that it judges, and one to go on with while the first
result travels. So fast actors take more. With r candidates waiting, m actors up, and s seconds that a candidate of its
last batch took, an actor's next batch holds

    max(1, min( ceil(r / 2m), floor(0.5 / s) ))        and 1 as long as s is unknown:

half a second of work makes the few milliseconds of a task small, and what then waits is still about two batches for
every actor, so that they end together. Inside a batch the candidates are judged one by one: neither batches nor actors
nor the order of arrival can change a number, as long as the fitness depends on the candidate alone. A fitness that
shares work among neighbours is asked for all of a batch at once instead, which then holds min(ceil(r / 2m), most) of
them whatever time they take.

There are never more actors than candidates left. Where their number is not given and the cluster may grow, it follows
what there is and what there is to do: as many as find room, or one for every ten seconds of the work that is left if
these are more; nodes come for those without a place. One that has found no place in a minute is given up as soon as it
is too many, and its demand for a node ends with it.

An actor that is lost costs the batches it had, which come first again, and a new actor takes its place. Candidates
whose actor was lost are judged in batches of one from then on, so that one that always kills its actor is found out.
Losses count by candidate: a machine that goes with all of its actors is one loss to each candidate, while a candidate
that ends every actor is stopped, however many others finish in between. Ray restarts no actor itself: it would count
restarts over an actor's life.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from raynas.fitness import Fitness
from raynas.on_ray.cluster import Needs, missing
from raynas.search_space import Architecture

if TYPE_CHECKING:
    from ray.exceptions import RayError

IN_FLIGHT = 2
BATCH_SECONDS = 0.5
WORTH_SECONDS = 10.0  # so much work is worth a node that must come first
PATIENCE_SECONDS = 10.0  # so long nothing is said while no actor is up
START_SECONDS = 60.0  # an actor that has not come after these waits for a place
MEND = "where memory is short lower search.evaluators"


def batch_size(waiting: int, evaluators: int, seconds: float | None, together: int = 1) -> int:
    """Returns how many candidates an actor's next batch holds.

    Args:
        waiting: Candidates that are in no batch, at least 1.
        evaluators: Actors that are up.
        seconds: What a candidate of the actor's last batch took; None before that.
        together: The most that share work; 1 if none do.
    """
    share = math.ceil(waiting / (IN_FLIGHT * evaluators))
    if together > 1:
        return min(share, together)
    if seconds is None:
        return 1
    return share if share * seconds <= BATCH_SECONDS else max(1, int(BATCH_SECONDS / seconds))


def worthwhile_actors(most: int | None, left: int, room: int, seconds: float | None) -> int:
    """Returns how many actors to have while candidates are left.

    Args:
        most: The number that is asked for; None for one by what there is to do.
        left: Candidates that are left, at least 1.
        room: Actors that find room on the cluster as it is.
        seconds: What a candidate takes; None as long as nobody knows.
    """
    return min(left, most or max(1, room, int(left * (seconds or 0) / WORTH_SECONDS)))


class Work:
    """The candidates of one call, by their positions: which wait, which were lost, and the rows of those judged.

    Attributes:
        left: How many rows have not been taken.
    """

    def __init__(self, count: int, width: int, together: int = 1) -> None:
        """Sets `count` candidates waiting, each to become a row of `width` numbers; `together` share work at most."""
        self.left = count
        self._together = together
        self._waiting = list(range(count))  # a heap: what comes back is judged first
        self._losses: Counter[int] = Counter()
        self._rows = np.empty((count, width))
        self._judged = np.zeros(count + 1, dtype=bool)  # the last never is, and so ends what can be taken

    def next_batch(self, evaluators: int, seconds: float | None) -> list[int]:
        """Returns the batch to be judged next, of a size by `batch_size`; empty if nothing waits."""
        if not self._waiting:
            return []
        lost = self._losses[self._waiting[0]] > 0
        size = 1 if lost else batch_size(len(self._waiting), evaluators, seconds, self._together)
        return [heapq.heappop(self._waiting) for _ in range(size)]

    def judged(self, batch: list[int], rows: np.ndarray) -> None:
        """Takes the rows of a batch."""
        self._rows[batch] = rows
        self._judged[batch] = True

    def lost(self, batches: list[list[int]]) -> int:
        """Sets the batches of a lost actor waiting again.

        Returns:
            How often the candidates of the first batch, the one it was judging, were lost so far.
        """
        for position in itertools.chain(*batches):
            heapq.heappush(self._waiting, position)
        self._losses.update(batches[0])
        return max(self._losses[position] for position in batches[0])

    def take(self) -> np.ndarray:
        """Returns the rows from the last one taken up to the first that is not judged, ``(k, width)``."""
        start = len(self._rows) - self.left
        self.left -= int(self._judged[start:].argmin())
        return self._rows[start : len(self._rows) - self.left]


class Evaluator:
    """Judges candidates in a process of its own."""

    def __init__(self, threads: int) -> None:
        """Takes how many threads torch may use."""
        import torch

        torch.set_num_threads(threads)
        self._version: int | None = None
        self._fitness: Fitness | None = None

    def judge(
        self,
        version: int,
        boxed: list[Any],
        quantities: tuple[str, ...],
        together: int,
        architectures: Sequence[Architecture],
    ) -> tuple[np.ndarray, float]:
        """Returns what the candidates are worth, ``(n, q)``, and the seconds that took.

        Args:
            version: Which fitness.
            boxed: References to what builds it and to the objects it is built of, in a list so that only who builds
                fetches them.
            quantities: What it must measure.
            together: How many candidates to ask it for at once.
            architectures: The candidates.

        Raises:
            ValueError: If the fitness says so.
            RuntimeError: If it fails in any other way.
        """
        if version != self._version:
            import ray

            self._version = self._fitness = None  # what goes leaves room for what comes
            with _in_one_line("building the fitness"):
                make, *objects = ray.get(boxed)
                self._fitness = make(*objects)
                if self._fitness.quantities != quantities:
                    raise TypeError(f"it measures {self._fitness.quantities}, expected {quantities}")
            self._version = version
        assert self._fitness is not None
        began = time.perf_counter()
        starts = range(0, len(architectures), together)
        rows = [_judge_some(self._fitness, architectures[start : start + together]) for start in starts]
        return np.concatenate(rows), time.perf_counter() - began


def _judge_some(fitness: Fitness, architectures: Sequence[Architecture]) -> np.ndarray:
    """Returns what one or more candidates are worth, ``(n, q)``."""
    with _in_one_line(f"evaluating {' or '.join(map(str, architectures))}"):
        values = np.asarray(fitness(architectures), dtype=np.float64)
        expected = (len(architectures), len(fitness.quantities))
        if values.shape != expected:
            raise TypeError(f"expected shape {expected}, one row each, got {values.shape}")
        for row in values:
            if not np.isfinite(row).all():
                raise ArithmeticError(f"expected finite {', '.join(fitness.quantities)}, got {row.tolist()}")
    return values


@contextlib.contextmanager
def _in_one_line(doing: str) -> Iterator[None]:
    """Turns what is raised into one line that crosses processes: a ValueError stays one, all else failed."""
    try:
        yield
    except Exception as error:
        message = " ".join(str(error).partition("\ntraceback: ")[0].split())  # Ray's own errors end with one
        if isinstance(error, ValueError):
            raise ValueError(f"{doing} failed: {message}") from error
        raise RuntimeError(f"{doing} failed: {type(error).__name__}: {message}") from error


@dataclass(eq=False)
class _Member:
    """An actor of the pool; `coming` is answered when it is up, and None from then on."""

    actor: Any
    coming: Any | None
    began: float

    @property
    def has_no_place(self) -> bool:
        """Whether it has been coming for longer than starting takes."""
        return self.coming is not None and time.monotonic() - self.began > START_SECONDS


def _ignore(line: str | None) -> None:
    """Says nothing."""


class Pool:
    """Actors that judge candidates, for the time of a ``with`` block in which Ray is connected.

    They are started on first use, serve any number of fitnesses one after another, and are killed on leaving, so that
    the nodes they were on may go. Those that the cluster cannot place yet are waited for while the others work; a
    cluster that grows grows for them.
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
            max_failures: Losses in a row over the same candidate, or of actors that only start while none judges, after
                which judging fails.
            note: Told in one line when an actor is lost.
            wait_for: Told what is waited for while no actor is up, and None when one is.
        """
        self._evaluators = evaluators
        self._takes = {"CPU": cpus, "GPU": gpus}
        self._max_failures = max_failures
        self._note = note
        self._wait_for = wait_for
        self._members: list[_Member] = []
        self._room = 0
        self._seconds: dict[int, float] = {}  # what a candidate takes, by the version of the fitness
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
        """Returns the fitness ``make(*objects)``, judged by the actors.

        Args:
            make: Builds the fitness inside an actor, from what it must not write to; a function of an importable
                module.
            objects: What it takes, put into the object store here and now.
            quantities: What the fitness measures; building one that measures anything else is an error.
            together: How many candidates it is asked for at once, if those that follow each other share work.
        """
        import ray

        self._versions += 1
        return PooledFitness(self, self._versions, [ray.put(thing) for thing in (make, *objects)], quantities, together)

    def _judge(self, task: tuple[Any, ...], work: Work, architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
        """Yields the rows of the architectures in order, for `PooledFitness.stream`."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        in_flight: dict[Any, tuple[_Member, list[int]]] = {}
        seconds: dict[_Member, float] = {}  # what a candidate took
        spoke: float | None = None
        self._count_room()
        while work.left:
            up = self._up(worthwhile_actors(self._evaluators, work.left, self._room, self._seconds.get(task[0])))
            load = Counter(member for member, _ in in_flight.values())
            for depth in range(IN_FLIGHT):  # each actor has its first batch before any has a second
                for member in up:
                    if load[member] == depth and (batch := work.next_batch(len(up), seconds.get(member))):
                        ref = member.actor.judge.remote(*task, [architectures[position] for position in batch])
                        in_flight[ref] = (member, batch)
                        load[member] += 1
            if len(rows := work.take()):
                yield rows
                continue
            if up:
                spoke = time.monotonic()
            elif spoke is None:  # what no node holds is said at once, a busy cluster only when it stays busy
                spoke = -math.inf if missing(self._needs()) else time.monotonic()
            if time.monotonic() - spoke > PATIENCE_SECONDS:
                spoke = time.monotonic()
                self._wait_for(self._lack())
            coming = {member.coming: member for member in self._members if member.coming is not None}
            for ref in ray.wait([*in_flight, *coming], timeout=0.2)[0]:  # between two waits Ctrl-C is heard
                member, batch = in_flight[ref] if ref in in_flight else (coming[ref], [])
                try:
                    answer = ray.get(ref)
                except RayTaskError as error:
                    raise error.cause from None
                except RayError as error:  # the actor is lost; Ray says by many kinds of what
                    self._lose(member, error)
                    mine = [other for other, (whose, _) in in_flight.items() if whose is member]
                    batches = [in_flight.pop(other)[1] for other in mine]
                    if batches and (times := work.lost(batches)) >= self._max_failures and len(batches[0]) == 1:
                        raise RuntimeError(
                            f"an evaluator was lost {times} times in a row while judging "
                            f"{architectures[batches[0][0]]} ({type(error).__name__}); {MEND}"
                        ) from None
                    continue
                if batch:
                    work.judged(batch, answer[0])
                    seconds[member] = answer[1] / len(batch)
                    self._seconds[task[0]] = mean(seconds.values())
                    del in_flight[ref]
                    self._failed_starts = 0
                else:
                    member.coming = None
                    self._wait_for(None)
                    self._count_room()  # it may have come with a node that holds more

    def _up(self, wanted: int) -> list[_Member]:
        """Returns the actors that are up, after starting those that are missing and giving up those that are too many.

        Who is up stays: the next call will have work for it.
        """
        import ray

        if not self._entered:
            raise RuntimeError("the pool judges only inside its `with` block")
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

    def _count_room(self) -> None:
        """Counts the actors that find room, if their number follows it: those that have some, and what is free."""
        import ray

        if self._evaluators is not None:
            return
        free = ray.available_resources()  # type: ignore[no-untyped-call]
        more = min(int(free.get(kind, 0) / amount) for kind, amount in self._takes.items() if amount)
        self._room = more + sum(not member.has_no_place for member in self._members)

    def _lose(self, member: _Member, error: RayError) -> None:
        """Strikes an actor off, unless another stream has noticed before.

        Raises:
            RuntimeError: If it could not start, and another one would not either.
        """
        import ray

        if member not in self._members:
            return
        self._members.remove(member)
        ray.kill(member.actor)  # one that is only out of reach would keep its resources
        if member.coming is not None:
            self._failed_starts += 1
            if getattr(error, "actor_init_failed", False):
                raise RuntimeError(f"evaluators cannot start: {str(error).splitlines()[-1]}")
            if self._failed_starts >= self._max_failures:
                raise RuntimeError(f"evaluators cannot start: {type(error).__name__}; {MEND}")
        self._note("an evaluator was lost; its candidates are judged again")

    def _needs(self) -> Needs:
        """Returns what one actor takes, of which no part may lie on another node."""
        takes = {kind: amount for kind, amount in self._takes.items() if amount}
        return Needs("search.evaluators", "an evaluator needs", takes, {}, bundle=takes)

    def _lack(self) -> str:
        """Returns what is waited for while no actor is up."""
        import ray

        needs = self._needs()
        if lacking := missing(needs):
            return f"waiting for {lacking}: search.evaluators needs it"
        free, total = ray.available_resources(), ray.cluster_resources()  # type: ignore[no-untyped-call]
        takes = " and ".join(f"{amount:g} {kind}" for kind, amount in needs.resources.items())
        there = " and ".join(f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}" for kind in needs.resources)
        return f"waiting for an evaluator to start (search.evaluators): it takes {takes}, and {there} are free"


class PooledFitness:
    """A fitness that the actors of a pool judge; `Pool.fitness` makes it.

    Attributes:
        quantities: Names of what it measures; the first is ``fitness``.
    """

    def __init__(self, pool: Pool, version: int, boxed: list[Any], quantities: tuple[str, ...], together: int) -> None:
        """Takes the pool, and what `Evaluator.judge` takes."""
        self.quantities = quantities
        self._pool = pool
        self._task = (version, boxed, quantities, together)

    def stream(self, architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
        """Yields what the architectures are worth, in their order, ``(k, q)`` float64 at a time as soon as it is known.

        What is in flight when a stream is left early is judged to its end and dropped: at most two batches an actor,
        which the next stream waits for. (Ray cannot interrupt an actor, and is slow to tell it of what is cancelled.)

        Raises:
            ValueError: If the fitness raises one; it names the architecture.
            RuntimeError: If it fails in any other way, is not finite or of a wrong shape; it names the architecture.
                If actors are lost again and again.
        """
        work = Work(len(architectures), len(self.quantities), together=self._task[-1])
        return self._pool._judge(self._task, work, architectures)

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns what the architectures are worth, ``(n, q)`` float64, larger fitness is better."""
        return np.concatenate([np.empty((0, len(self.quantities))), *self.stream(architectures)])

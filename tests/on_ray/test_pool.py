"""Evaluation on Ray actors: the same numbers however many there are, whenever they come, and whichever are killed."""

from __future__ import annotations

import ast
import contextlib
import itertools
import os
import random
import signal
import sys
import threading
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from raynas.errors import InputError, RunError
from raynas.on_ray import pool as pool_module
from raynas.on_ray.batches import Work, batch_size, worthwhile_actors
from raynas.on_ray.evaluator import Evaluator, evaluate_some
from raynas.on_ray.pool import Pool
from raynas.storage.temporary_folder import temporary_folder
from tests.on_ray import pool_fitness
from tests.on_ray.pool_fitness import Memory, Surroundings, Troubled, Uneven, Weighted, Where, unbuildable

WEIGHTS = np.array([1.0, 0.1, 0.001])
CPUS = 4


def architectures(count: int) -> list[tuple[int, ...]]:
    return [(1, index % 7, index) for index in range(count)]


# The rules, without Ray.


def test_an_actors_first_batch_holds_one_candidate():
    assert batch_size(1000, 1, None) == 1


def test_a_batch_is_the_largest_of_half_a_second_that_leaves_two_for_every_actor():
    for waiting, evaluators, seconds in itertools.product(range(1, 60), range(1, 6), (0.0, 1e-9, 0.01, 0.1, 0.3, 9.0)):

        def allowed(size: int) -> bool:
            leaves_two_each = 2 * evaluators * (size - 1) < waiting  # noqa: B023
            return leaves_two_each and size * seconds <= 0.5  # noqa: B023

        expected = max((size for size in range(1, waiting + 1) if allowed(size)), default=1)
        assert batch_size(waiting, evaluators, seconds) == expected, (waiting, evaluators, seconds)


@pytest.mark.parametrize("seed", range(20))
def test_rows_leave_in_order_whatever_the_order_they_come_in_and_whatever_is_lost(seed: int) -> None:
    draw = random.Random(seed)
    count = draw.randrange(1, 60)
    work, flying, left = Work(count, 2), [], []
    evaluated: Counter[int] = Counter()
    while work.left:
        while len(flying) < 6 and (batch := work.next_batch(3, draw.choice([None, 0.02, 0.2]))):
            flying.append(batch)
        draw.shuffle(flying)
        if flying and draw.random() < 0.3:
            work.lost([flying.pop() for _ in range(min(len(flying), 2))])
        elif flying:
            batch = flying.pop()
            work.evaluated(batch, np.array([[position, -position] for position in batch], dtype=float))
            evaluated.update(batch)
        left.append(work.take())
        known = np.concatenate(left)
        assert len(known) == next((position for position in range(count) if not evaluated[position]), count)
    assert np.array_equal(known, [[position, -position] for position in range(count)])
    assert set(evaluated.values()) == {1}
    assert work.next_batch(3, None) == []


def test_lost_candidates_come_first_and_alone_once_they_were_being_evaluated():
    work = Work(100, 1)
    first, second = work.next_batch(1, 0.1), work.next_batch(1, 0.1)
    assert (first, second) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    work.lost([first, second])
    assert [work.next_batch(1, 0.1) for _ in range(6)] == [[0], [1], [2], [3], [4], [5, 6, 7, 8, 9]]


def test_a_loss_counts_against_what_was_being_evaluated_and_not_against_what_waited_behind_it():
    work = Work(100, 1)
    first, second = work.next_batch(1, 0.1), work.next_batch(1, 0.1)
    assert work.lost([first, second]) == 1
    alone = [work.next_batch(1, 0.1) for _ in range(6)]
    assert work.lost([alone[2]]) == 2
    assert work.lost([alone[5]]) == 1


def test_a_candidate_that_was_lost_is_all_that_its_actor_has() -> None:
    """Else the result before it, on its way when it ends the actor, would be lost with it and named in its place."""
    work = Work(12, 1)
    work.lost([[work.next_batch(1, None)[0], work.next_batch(1, None)[0]]])
    refs = itertools.count()
    actors = [types.SimpleNamespace(evaluate=types.SimpleNamespace(remote=lambda *_: next(refs))) for _ in range(3)]
    members = [pool_module._Member(actor, None, 0.0) for actor in actors]
    call = pool_module._Call(types.SimpleNamespace(), (1,), work, architectures(12))  # type: ignore[arg-type]
    call._send(members)
    sent = [[batch for owner, batch in call._in_flight.values() if owner is member] for member in members]
    assert sent == [[[0]], [[1]], [[2], [3]]]
    assert work.next_batch(3, None, is_only=False) == [4]


def test_there_are_as_many_actors_as_are_asked_for_but_never_more_than_candidates():
    assert [worthwhile_actors(10, left, 2, 1000.0) for left in (100, 10, 3, 1)] == [10, 10, 3, 1]


@pytest.mark.parametrize(
    ("left", "room", "seconds", "expected"),
    [
        (50, 0, None, 1),  # a cluster without a CPU: a node has to come first
        (50, 4, None, 4),
        (3, 64, None, 3),
        (1000, 4, 0.01, 4),  # 10 s of work are not worth a node more
        (1000, 4, 0.5, 50),  # 500 s of work are worth one for every 10 s
        (8, 1, 600.0, 8),
    ],
)
def test_without_a_number_actors_fill_the_room_there_is_and_ask_for_more_if_the_work_is_worth_it(
    left: int, room: int, seconds: float | None, expected: int
) -> None:
    assert worthwhile_actors(None, left, room, seconds) == expected


class Handle:
    """Stands for an actor that never comes."""

    class __ray_ready__:
        @staticmethod
        def remote() -> object:
            return object()


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """Actors that were killed, without a Ray: three CPUs of ten are free."""
    killed: list[Handle] = []
    actor = types.SimpleNamespace(remote=lambda threads: Handle())
    monkeypatch.setattr(ray, "remote", lambda **resources: lambda kind: actor)
    monkeypatch.setattr(ray, "kill", killed.append)
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 3.0, "GPU": 1.0})
    return killed


def test_an_actor_without_a_place_is_given_up_once_it_is_too_many_and_who_is_up_or_starting_stays(
    monkeypatch: pytest.MonkeyPatch, killed: list[Handle]
) -> None:
    with Pool(evaluators=6) as pool:
        pool.actors_up(6)
        up, *coming = pool._members
        up.coming = None
        coming[-1].began = time.monotonic() + 100
        assert pool.actors_up(1) == [up]
        assert killed == [], "all may just be starting"
        monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + pool_module.START_SECONDS)
        pool.actors_up(3)
        assert killed == [member.actor for member in coming[:3]]
        assert pool.actors_up(1) == [up]
        assert killed == [member.actor for member in coming[:4]]
        assert pool._members == [up, coming[-1]]


def test_actors_are_asked_for_as_soon_as_a_candidate_has_shown_what_the_work_is_worth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a cluster of two CPUs that grows for nobody; each candidate takes two seconds, it says."""
    numbers: list[int] = []

    class Ref:
        def __init__(self, value: Any) -> None:
            self.value = value

    class Actor:
        def __init__(self, threads: int) -> None:
            remote = lambda *task: Ref((Weighted(WEIGHTS)(task[-1]), 2.0 * len(task[-1])))  # noqa: E731
            self.evaluate = types.SimpleNamespace(remote=remote)
            self.__ray_ready__ = types.SimpleNamespace(remote=lambda: Ref(None))
            free["CPU"] -= 1

    def wait(refs: list[Ref], timeout: float) -> tuple[list[Ref], list[Ref]]:
        numbers.append(len(pool._members))
        answered = [ref for ref in refs if ref.value is not None or ref is pool._members[0].coming]
        return answered, []

    free = {"CPU": 2.0}
    monkeypatch.setattr(ray, "remote", lambda **resources: lambda kind: types.SimpleNamespace(remote=Actor))
    monkeypatch.setattr(ray, "available_resources", lambda: free)
    monkeypatch.setattr(ray, "kill", lambda actor: None)
    monkeypatch.setattr(ray, "put", id)
    monkeypatch.setattr(ray, "wait", wait)
    monkeypatch.setattr(ray, "get", lambda ref: ref.value)
    monkeypatch.setattr(pool_module, "missing", lambda needs: "")
    asked = architectures(100)
    with Pool(evaluators=None) as pool:
        fitness = pool.fitness(Weighted, WEIGHTS, quantities=Weighted.quantities)
        assert np.array_equal(fitness(asked), Weighted(WEIGHTS)(asked))
        assert numbers[:3] == [2, 2, 20]
        numbers.clear()
        fitness(asked)
        assert numbers[0] == 20, "what a candidate takes is known from the call before"


@pytest.mark.parametrize(("gpus", "free"), [(0.0, 3), (0.5, 2), (1.0, 1), (2.0, 0)])
@pytest.mark.usefixtures("killed")
def test_room_is_what_is_free_and_what_the_actors_have_but_not_what_some_still_wait_for(gpus: float, free: int) -> None:
    with Pool(evaluators=None, gpus=gpus) as pool:
        pool.count_room()
        assert pool.room == free
        pool.actors_up(4)
        pool._members[0].coming = None
        pool._members[1].began -= 2 * pool_module.START_SECONDS
        pool.count_room()
        assert pool.room == free + 3


TROUBLES = {
    "mistake": (InputError, "evaluating (1, 2, 0) failed: data.path: no images there"),
    "error": (RunError, "evaluating (1, 2, 0) failed: KeyError: 'what'"),
    "infinite": (
        RunError,
        "evaluating (1, 2, 0) failed: ArithmeticError: expected finite fitness, square, got [1.2, inf]",
    ),
    "nan": (
        RunError,
        "evaluating (1, 2, 0) failed: ArithmeticError: expected finite fitness, square, got [nan, nan]",
    ),
    "flat": (RunError, "evaluating (1, 2, 0) failed: TypeError: expected shape (1, 2), one row each, got (1,)"),
    "narrow": (
        RunError,
        "evaluating (1, 2, 0) failed: TypeError: expected shape (1, 2), one row each, got (1, 1)",
    ),
    "long": (RunError, "evaluating (1, 2, 0) failed: TypeError: expected shape (1, 2), one row each, got (2, 2)"),
}


def test_candidates_evaluated_together_are_asked_for_at_once_and_named_in_their_error():
    class Counted(Weighted):
        asked: list[int] = []

        def __call__(self, architectures):
            self.asked.append(len(architectures))
            return super().__call__(architectures)

    candidates = [(0, 1, 2), (1, 1, 2), (2, 0, 0), (3, 1, 1), (0, 0, 1)]
    fitness = Counted(WEIGHTS)
    evaluator = Evaluator(1)
    evaluator._version, evaluator._fitness = 7, fitness
    rows, _ = evaluator.evaluate(7, [], fitness.quantities, 2, candidates)
    assert fitness.asked == [2, 2, 1]
    assert np.array_equal(rows, Weighted(WEIGHTS)(candidates))
    with pytest.raises(RuntimeError, match=r"^evaluating \(1, 2, 0\) or \(1, 2, 4\) failed: "):
        evaluate_some(Troubled(WEIGHTS, (1, 2, 0), "nan"), [(1, 2, 0), (1, 2, 4)])


def test_what_shares_work_is_sent_in_large_batches_that_shrink_towards_the_end():
    work, sizes = Work(50, 1, together=16), []
    while batch := work.next_batch(2, 100.0):
        sizes.append(len(batch))
    assert sizes == [13, 10, 7, 5, 4, 3, 2, 2, 1, 1, 1, 1]
    assert batch_size(1000, 1, None, together=16) == 16
    work = Work(8, 1, together=16)
    work.lost([work.next_batch(1, 1.0)])
    assert [len(work.next_batch(1, 1.0)) for _ in range(5)] == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_candidate_that_fails_is_an_error_in_one_line_that_names_it_and_never_a_score(trouble: str) -> None:
    kind, line = TROUBLES[trouble]
    fitness = Troubled(WEIGHTS, (1, 2, 0), trouble)
    assert np.array_equal(evaluate_some(fitness, [(1, 2, 4)]), Weighted(WEIGHTS)([(1, 2, 4)]))
    with pytest.raises(kind) as caught:
        evaluate_some(fitness, [(1, 2, 0)])
    assert type(caught.value) is kind
    assert str(caught.value) == line


def test_a_pool_that_has_nothing_to_evaluate_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "put", id)
    monkeypatch.delattr(ray, "remote")
    with Pool(evaluators=2) as pool:
        fitness = pool.fitness(Weighted, quantities=Weighted.quantities)
        assert fitness.quantities == ("fitness", "square")
        assert fitness([]).shape == (0, 2)
        assert list(fitness.stream([])) == []


def test_a_pool_evaluates_only_inside_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "put", id)
    pool = Pool(evaluators=1)
    fitness = pool.fitness(Weighted, quantities=Weighted.quantities)
    message = "the pool evaluates only inside its `with` block"
    with pytest.raises(RuntimeError, match=message):
        fitness([(1, 2, 3)])
    with pool:
        pass
    with pytest.raises(RuntimeError, match=message):
        fitness([(1, 2, 3)])


# With a real Ray of four CPUs and one GPU, which are only counted.


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    with temporary_folder() as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", os.getcwd())
        ray.init(
            address="local",
            num_cpus=CPUS,
            num_gpus=1,
            include_dashboard=False,
            object_store_memory=300_000_000,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=str(folder),
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def notes() -> list[str]:
    return []


@pytest.fixture(scope="module")
def pool(local_ray: None, notes: list[str]) -> Iterator[Pool]:
    """Two actors for all tests that can share them."""
    with Pool(evaluators=2, max_failures=2, note=notes.append) as pool:
        yield pool


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def free(kind: str) -> float:
    return float(ray.available_resources().get(kind, 0))


@ray.remote(num_cpus=1)
class Holder:
    """Holds a CPU."""


def hold() -> Any:
    holder = Holder.remote()
    ray.get(holder.__ray_ready__.remote())
    return holder


def on_ray(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.slow(pytest.mark.ray(test))


@on_ray
def test_rows_are_those_of_one_process_and_come_as_soon_as_they_are_known(pool: Pool, tmp_path: Path) -> None:
    asked = architectures(60)
    fitness = pool.fitness(Weighted, WEIGHTS, 0.04, quantities=Weighted.quantities)
    where = pool.fitness(Where, WEIGHTS, 0.04, tmp_path / "log", quantities=Where.quantities)
    wait_until(lambda: len(set(where(asked[:2])[:, 1])) == 2)  # both are up, and two candidates are one for each
    began, chunks, seconds = time.monotonic(), [], []
    for chunk in fitness.stream(asked):
        chunks.append(chunk)
        seconds.append(time.monotonic() - began)
    assert all(chunk.dtype == np.float64 and len(chunk) for chunk in chunks)
    assert np.array_equal(np.concatenate(chunks), Weighted(WEIGHTS)(asked))
    assert seconds[0] < seconds[-1] / 3, "the first rows waited for the others"


@on_ray
def test_each_actor_has_two_batches_and_goes_on_while_no_one_takes_the_rows(pool: Pool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    where = pool.fitness(Where, WEIGHTS, 0.3, log, quantities=Where.quantities)
    wait_until(lambda: len(set(where(architectures(2))[:, 1])) == 2)
    log.unlink()
    stream = where.stream(architectures(10))
    rows = len(next(stream))
    time.sleep(1.5)
    begun = len(log.read_text().splitlines())
    assert begun - rows in (4, 5), "two actors have four batches of one; the row of another may wait for an earlier one"
    assert rows + sum(map(len, stream)) == 10


@on_ray
def test_an_actor_that_is_fast_takes_more(pool: Pool, tmp_path: Path) -> None:
    fitness = pool.fitness(Uneven, WEIGHTS, 0.01, tmp_path / "log", quantities=Uneven.quantities)
    processes = Counter(fitness(architectures(100))[:, 1])
    few, many = sorted(processes.values())
    assert many > 2 * few


@on_ray
def test_fitnesses_take_turns_and_each_is_evaluated_by_its_own_weights(pool: Pool) -> None:
    asked = architectures(12)
    one, other = (pool.fitness(Weighted, factor * WEIGHTS, quantities=Weighted.quantities) for factor in (1, 2))
    expected, doubled = (Weighted(factor * WEIGHTS)(asked) for factor in (1, 2))
    for _ in range(2):
        assert np.array_equal(one(asked), expected)
        assert np.array_equal(other(asked), doubled)
    streams = one.stream(asked), other.stream(asked)
    rows: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for chunks in itertools.zip_longest(*streams):
        for collected, chunk in zip(rows, chunks, strict=True):
            collected += [] if chunk is None else [chunk]
    assert np.array_equal(np.concatenate(rows[0]), expected)
    assert np.array_equal(np.concatenate(rows[1]), doubled)


@on_ray
def test_a_killed_actor_costs_its_batches_and_is_replaced(pool: Pool, notes: list[str], tmp_path: Path) -> None:
    """One is killed while it evaluates, the other while no one looks."""
    notes.clear()
    asked = architectures(40)
    old = pool.fitness(Where, WEIGHTS, 0.1, tmp_path / "log", quantities=Where.quantities)
    new = pool.fitness(Weighted, 2 * WEIGHTS, quantities=Weighted.quantities)
    killed: int | None = None
    rows: list[np.ndarray] = []
    for chunk in old.stream(asked):
        rows.append(chunk)
        if killed is None and len(set(np.concatenate(rows)[:, 1])) == 2:
            killed = int(chunk[-1, 1])
            os.kill(killed, signal.SIGKILL)
    values, processes = np.concatenate(rows).T
    assert np.array_equal(values, Weighted(WEIGHTS)(asked)[:, 0])
    assert killed is not None
    assert killed not in processes[-10:]
    assert notes == ["an evaluator was lost; its candidates are evaluated again"]
    evaluated = Counter(ast.literal_eval(line) for line in (tmp_path / "log").read_text().splitlines())
    assert set(evaluated) == set(asked)
    assert sum(evaluated.values()) - len(asked) <= 5, "only the batch that it was evaluating may be evaluated twice"

    others = set(processes.astype(int)) - {killed}
    for process in others:
        os.kill(process, signal.SIGKILL)
    assert np.array_equal(new(asked), Weighted(2 * WEIGHTS)(asked))
    assert len(notes) == 1 + len(others)


@on_ray
def test_an_actor_that_ray_ends_for_want_of_memory_is_a_lost_one_too(
    pool: Pool, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray reports it by an error of another kind, which is put in the way of the third answer here."""
    notes.clear()
    answers = itertools.count()

    def get(ref: Any, real: Callable[[Any], Any] = ray.get) -> Any:
        if next(answers) == 2:
            raise ray.exceptions.OutOfMemoryError("the machine has no memory left")
        return real(ref)

    monkeypatch.setattr(ray, "get", get)
    asked = architectures(20)
    fitness = pool.fitness(Weighted, WEIGHTS, 0.05, quantities=Weighted.quantities)
    assert np.array_equal(fitness(asked), Weighted(WEIGHTS)(asked))
    assert len(notes) == 1


@on_ray
def test_a_candidate_that_kills_every_actor_is_found_and_the_pool_goes_on(pool: Pool, notes: list[str]) -> None:
    notes.clear()
    asked = architectures(40)
    deadly = pool.fitness(Troubled, WEIGHTS, asked[25], "killed", quantities=Troubled.quantities)
    with pytest.raises(RuntimeError) as caught:
        deadly(asked)
    assert str(caught.value) == (
        f"an evaluator was lost 2 times in a row while evaluating {asked[25]} (ActorDiedError); where memory is short "
        "lower search.evaluators"
    )
    assert len(notes) == 2
    healthy = pool.fitness(Weighted, WEIGHTS, quantities=Weighted.quantities)
    assert np.array_equal(healthy(asked), Weighted(WEIGHTS)(asked))


@on_ray
def test_a_failure_in_an_actor_is_one_line_here_and_the_pool_goes_on(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = architectures(40)
    healthy = pool.fitness(Weighted, WEIGHTS, quantities=Weighted.quantities)
    for trouble in ("mistake", "error", "nan"):
        kind, line = TROUBLES[trouble]
        with pytest.raises(kind) as caught:
            pool.fitness(Troubled, WEIGHTS, asked[25], trouble, quantities=Troubled.quantities)(asked)
        assert type(caught.value) is kind
        assert str(caught.value).startswith(line.split(":")[0].replace("(1, 2, 0)", str(asked[25])))
        assert len(str(caught.value).splitlines()) == 1
        assert np.array_equal(healthy(asked), Weighted(WEIGHTS)(asked))
    with pytest.raises(RuntimeError) as caught:
        pool.fitness(unbuildable, quantities=("fitness",))(asked)
    assert str(caught.value) == "building the fitness failed: OSError: no room"
    with pytest.raises(RuntimeError) as caught:
        pool.fitness(Weighted, WEIGHTS, quantities=("fitness", "loss"))(asked)
    assert str(caught.value) == (
        "building the fitness failed: TypeError: it measures ('fitness', 'square'), expected ('fitness', 'loss')"
    )
    stranger = types.ModuleType("stranger")
    stranger.Weights = type("Weights", (), {"__module__": "stranger"})
    monkeypatch.setitem(sys.modules, "stranger", stranger)
    with pytest.raises(RuntimeError) as caught:
        pool.fitness(Weighted, stranger.Weights(), quantities=Weighted.quantities)(asked)
    assert str(caught.value) == (
        "building the fitness failed: RaySystemError: System error: No module named 'stranger'"
    )
    assert np.array_equal(healthy(asked), Weighted(WEIGHTS)(asked))


@on_ray
def test_weights_are_shared_and_cannot_be_written(pool: Pool) -> None:
    fitness = pool.fitness(Surroundings, {"w": np.ones(100_000)}, quantities=Surroundings.quantities)
    threads, writeable, owned = fitness(architectures(4)).T
    assert set(threads) == {1}
    assert not writeable.any()
    assert not owned.any()


@on_ray
def test_100_mb_of_weights_take_next_to_no_memory_of_an_actors_own(pool: Pool) -> None:
    def private(weights: dict[str, np.ndarray], copied: bool = False) -> float:
        return float(pool.fitness(Memory, weights, copied, quantities=Memory.quantities)(architectures(6)).max())

    small, large = {"w": np.ones(1000)}, {str(layer): np.ones(125_000) for layer in range(100)}
    private(small)
    before = private(small)
    assert private(large) < before + 10
    assert private(large, copied=True) > before + 90, "the measure would show a copy"


@pytest.fixture
def two_free(pool: Pool) -> None:
    """Two CPUs are free: both actors of `pool` have theirs."""
    pool.fitness(Weighted, WEIGHTS, quantities=Weighted.quantities)(architectures(40))  # enough for both
    wait_until(lambda: free("CPU") == CPUS - 2)


@on_ray
@pytest.mark.usefixtures("two_free")
def test_actors_without_a_place_are_waited_for_and_join_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pool_module, "PATIENCE_SECONDS", 0.5)
    holders = [hold(), hold()]
    said: list[str | None] = []

    def say(line: str | None) -> None:
        said.append(line)
        if len(said) == 1:
            ray.kill(holders.pop())

    asked = architectures(1000)
    rows: list[np.ndarray] = []
    with Pool(evaluators=2, wait_for=say) as late:
        for chunk in late.fitness(Where, WEIGHTS, 0.05, tmp_path / "log", quantities=Where.quantities).stream(asked):
            rows.append(chunk)
            if holders:
                ray.kill(holders.pop())
            if len(set(np.concatenate(rows)[:, 1])) == 2:
                break
    values, processes = np.concatenate(rows).T
    assert np.array_equal(values, Weighted(WEIGHTS)(asked[: len(values)])[:, 0])
    assert len(set(processes)) == 2
    assert list(processes[:2]) == [processes[0]] * 2, "the first one went ahead"
    assert said[0] == "waiting for an evaluator to start (search.evaluators): it takes 1 CPU, and 0 of 4 CPU are free"
    assert set(said[said.index(None) :]) == {None}, "nothing is waited for once one is up"
    wait_until(lambda: free("CPU") == 2)


@on_ray
@pytest.mark.usefixtures("local_ray")
def test_an_actor_larger_than_any_node_is_said_at_once() -> None:
    class Said(Exception):
        pass

    def say(line: str | None) -> None:
        raise Said(line)

    began = time.monotonic()
    with Pool(evaluators=1, cpus=64, wait_for=say) as pool, pytest.raises(Said) as said:
        pool.fitness(Weighted, WEIGHTS, quantities=Weighted.quantities)([(1, 2, 3)])
    assert str(said.value) == (
        f"waiting for a node with 64 CPU (the largest there is has {CPUS} CPU), which is of no node type that can "
        "come: search.evaluators needs it"
    )
    assert time.monotonic() - began < 5


@on_ray
@pytest.mark.usefixtures("two_free")
def test_actors_share_a_gpu_and_however_many_there_are_the_numbers_are_the_same(pool: Pool, tmp_path: Path) -> None:
    """Three fit on the GPU and a fourth waits; candidates of different length mix batches and the order of arrival."""
    asked = [(index % 4, index % 7, index) for index in range(80)]
    two = pool.fitness(Weighted, WEIGHTS, 0.01, quantities=Weighted.quantities)(asked)
    with Pool(evaluators=4, cpus=0.5, gpus=0.3) as shared:
        where = shared.fitness(Where, WEIGHTS, 0.02, tmp_path / "log", quantities=Where.quantities)
        processes: set[float] = set()

        def all_came() -> bool:
            processes.update(where(architectures(12))[:, 1])
            return len(processes) == 3

        wait_until(all_came)
        three = shared.fitness(Weighted, WEIGHTS, 0.01, quantities=Weighted.quantities)(asked)
        processes.update(where(architectures(40))[:, 1])
        assert len(processes) == 3
        assert free("GPU") == pytest.approx(0.1)
        assert free("CPU") == 0.5
    assert np.array_equal(two, three)
    assert np.array_equal(two, Weighted(WEIGHTS)(asked))
    wait_until(lambda: (free("GPU"), free("CPU")) == (1, 2))
    time.sleep(1)
    assert (free("GPU"), free("CPU")) == (1, 2), "the one that waited came after all"


@on_ray
@pytest.mark.usefixtures("two_free")
@pytest.mark.parametrize("interrupted", [True, False], ids=["Ctrl-C", "an abandoned stream"])
def test_leaving_ends_what_is_being_evaluated_and_gives_the_cpus_back(interrupted: bool) -> None:
    with contextlib.ExitStack() as block:
        if interrupted:
            block.enter_context(pytest.raises(KeyboardInterrupt))
        left = block.enter_context(Pool(evaluators=1, cpus=2))
        surroundings = left.fitness(Surroundings, {"w": np.ones(1)}, quantities=Surroundings.quantities)
        assert surroundings([(1,)])[0, 0] == 2, "threads of torch"
        assert free("CPU") == 0
        stream = left.fitness(Weighted, WEIGHTS, 1.0, quantities=Weighted.quantities).stream([(0, 0, 0), (600, 0, 0)])
        next(stream)
        began = time.monotonic()
        if interrupted:
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            next(stream)
    assert time.monotonic() - began < 5
    wait_until(lambda: free("CPU") == 2, seconds=5)
    with pytest.raises(StopIteration if interrupted else RuntimeError):
        next(stream)


@on_ray
@pytest.mark.usefixtures("two_free")
@pytest.mark.parametrize(
    ("actor", "line"),
    [
        ("CannotStart", "evaluators cannot start: ModuleNotFoundError: No module named 'raynas'"),
        ("DiesStarting", "evaluators cannot start: ActorDiedError; where memory is short lower search.evaluators"),
    ],
)
def test_actors_that_cannot_start_are_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, actor: str, line: str
) -> None:
    monkeypatch.setattr(pool_module, "Evaluator", getattr(pool_fitness, actor))
    with pytest.raises(RuntimeError) as caught, Pool(evaluators=1) as pool:
        pool.fitness(Weighted, WEIGHTS, quantities=Weighted.quantities)([(1, 2, 3)])
    assert str(caught.value) == line

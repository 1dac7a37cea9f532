"""When to save in mid-epoch: by a clock that stands still here but for what a step takes."""

from collections.abc import Callable

import pytest
import torch

from raynas.stages import checkpoint_clock
from raynas.stages.checkpoint_clock import CheckpointClock, Reason
from raynas.stages.requests import Requests, Stop
from raynas.training.workers import ALONE, Workers
from tests.supernet.test_train_supernet import Together

CPU = torch.device("cpu")


class Steps:
    """A training of steps that take so many seconds each, and what its clock said after each of them."""

    def __init__(
        self,
        pace: Callable[[int], float],
        minutes: float | None,
        warned_at: float = float("inf"),
        workers: Workers = ALONE,
        saving: float = 0.0,
        requests: Requests | None = None,
    ) -> None:
        self.time, self.asked = 0.0, list[float]()
        self.pace, self.warned_at, self.saving = pace, warned_at, saving
        self.clock = CheckpointClock(workers, CPU, minutes, requests or Requests(self.warning), lambda: self.time)

    def warning(self) -> str | None:
        self.asked.append(self.time)
        return "a machine" if self.time >= self.warned_at else None

    def take(self, number: int) -> dict[int, Reason]:
        """Takes so many steps, saves when it is said, and returns why, by step."""
        reasons = {}
        for step in range(1, number + 1):
            self.time += self.pace(step)
            reason = self.clock.reason()
            if reason is not None:
                reasons[step] = reason
                self.time += self.saving
                self.clock.saved()
        return reasons


@pytest.mark.parametrize("pace", [0.001, 0.3, 2.0, 7.0])
def test_workers_are_asked_every_three_seconds_or_every_step(pace: float) -> None:
    training = Steps(lambda step: pace, None)
    assert training.take(round(300 / pace)) == {}
    between = [b - a for a, b in zip(training.asked, training.asked[1:], strict=False)]
    assert training.asked[0] == pace, "after the first step already"
    assert max(between) <= max(pace, 3) * 1.001
    assert min(between[-5:]) >= max(pace, 2) * 0.999
    assert len(training.asked) < 300 / max(pace, 2) + 14


def test_a_first_step_that_is_much_faster_or_slower_than_the_others_does_no_harm() -> None:
    slow = Steps(lambda step: 1e-7 if step == 1 else 1.0, None)
    slow.take(60)
    assert max(b - a for a, b in zip(slow.asked, slow.asked[1:], strict=False)) <= 3.001
    fast = Steps(lambda step: 60.0 if step == 1 else 0.01, None)
    fast.take(3000)
    assert fast.asked[-1] - fast.asked[-2] == pytest.approx(3, abs=0.1)


def test_no_more_time_than_was_asked_for_passes_between_checkpoints() -> None:
    training = Steps(lambda step: 0.1, minutes=2, saving=5.0)
    reasons = training.take(12_000)
    assert set(reasons.values()) == {Reason()}
    gaps = [(b - a) * 0.1 for a, b in zip([0, *reasons], reasons, strict=False)]
    assert len(gaps) == 9
    assert 120 <= min(gaps) and max(gaps) <= 123.1


def test_a_checkpoint_between_two_epochs_counts_too() -> None:
    training = Steps(lambda step: 1.0, minutes=1)
    assert not training.take(50)
    training.clock.saved()
    assert not training.take(59)
    assert next(iter(training.take(10))) <= 4


@pytest.mark.parametrize("steps", [1, 7, 29, 31])
def test_checkpoints_that_come_more_often_than_questions_do_not_put_these_off(steps: int) -> None:
    """A question is due every 30 steps; the time that checkpoints take is no time of steps."""
    training = Steps(lambda step: 0.1, minutes=None)
    training.take(120)
    training.asked.clear()
    for _ in range(600 // steps):
        assert not training.take(steps)
        training.time += 0.5
        training.clock.saved()
    assert len(training.asked) == pytest.approx(600 / 30, abs=1)


def test_without_minutes_only_a_warning_is_a_reason() -> None:
    training = Steps(lambda step: 0.5, minutes=None, warned_at=1000.0)
    reasons = training.take(2200)
    first = next(iter(reasons))
    assert 1000 <= first * 0.5 <= 1003
    assert reasons[first] == Reason(Stop("a machine"))


@pytest.mark.parametrize("world", [2, 3])
def test_workers_whose_clocks_differ_agree_on_every_step_and_worker_0_decides(world: int) -> None:
    def work(rank: int, workers: Workers) -> tuple[list[int], int]:
        training = Steps(lambda step: 0.2 * (1 + 3 * rank), minutes=0.5, workers=workers)
        return list(training.take(1000)), len(training.asked)

    results, errors = Together(world).run(work)
    assert errors == [None] * world
    alone = Steps(lambda step: 0.2, minutes=0.5)
    assert results == [(list(alone.take(1000)), len(alone.asked))] * world
    assert len(results[0][0]) == 6


def test_an_interval_of_nothing_asks_after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_clock, "INTERVAL", 0.0)
    training = Steps(lambda step: 0.001, minutes=None, warned_at=0.0)
    assert list(training.take(20)) == list(range(1, 21))


@pytest.mark.parametrize("world", [1, 3])
def test_a_request_of_the_driver_reaches_all_workers_through_worker_0_alone(world: int) -> None:
    stop = Stop("there is room for 4")

    def work(rank: int, workers: Workers) -> tuple[int, Reason, int]:
        questions = list[float]()

        def asked() -> Stop | None:
            questions.append(training.time)
            return stop if training.time >= 20 else None

        training = Steps(lambda step: 1.0, None, workers=workers, requests=Requests(asked=asked))
        ((step, reason),) = training.take(23).items()
        return step, reason, len(questions)

    results, errors = Together(world).run(work)
    assert errors == [None] * world
    assert {step for step, _, _ in results} in ({20}, {21}, {22})
    assert results[0][1] == Reason(stop)
    assert all(reason.stop is not None for _, reason, _ in results)
    assert [number > 0 for _, _, number in results] == [True] + [False] * (world - 1)


def test_a_question_that_costs_nothing_is_asked_after_every_step() -> None:
    questions = list[float]()
    requests = Requests(asked=lambda: questions.append(0.0), seconds=0)  # type: ignore[func-returns-value]
    assert Steps(lambda step: 0.001, None, requests=requests).take(50) == {}
    assert len(questions) == 50

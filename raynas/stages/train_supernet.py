"""The first stage of a run: train the supernet of every base seed, wherever the workers are.

`train_supernets` is what one worker does. It needs no cluster: one worker alone, in this process, is a `Workers()`.
"""

from __future__ import annotations

import functools
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from raynas.config.run_config import RunConfig
from raynas.config.train_section import AlphasSection
from raynas.fitness.angle import SUMS, angle_table
from raynas.messages import shortened
from raynas.search_space import AdditiveTable, SearchSpace
from raynas.stages.checkpoint_clock import CheckpointClock, Reason
from raynas.stages.requests import NO_REQUESTS, Requests
from raynas.stages.task import Task
from raynas.storage.checkpoint import (
    Checkpoint,
    DamagedCheckpoint,
    drop_checkpoints,
    epoch_folder,
    latest_checkpoint,
    load_checkpoint,
    restore,
    save_checkpoint,
)
from raynas.storage.mirror import Mirror
from raynas.storage.run_folder import (
    METRICS,
    NOTES,
    PROGRESS,
    append_text,
    lacking,
    records,
    seed_folder,
    whole_lines,
    write_bytes,
    write_json,
    write_text,
)
from raynas.supernet.alphas import AlphaRecipe, AlphaTraining, initial_alphas
from raynas.supernet.gates import MIXTURE
from raynas.supernet.initial_weights import draw_kernels
from raynas.supernet.one_shot import EpochMetrics, Recipe, StepMetrics, make_optimizer, train_supernet
from raynas.supernet.routes import GATES, SAMPLINGS, Routing
from raynas.training.determinism import deterministic_algorithms
from raynas.training.workers import Workers


def is_trained(folder: Path, base_seed: int) -> bool:
    """Returns whether the supernet of this seed is done."""
    return (seed_folder(folder, base_seed) / "result.json").exists()


class SavedAndStopped(RuntimeError):
    """Training was asked to stop: it saved first, and no step is repeated.

    Attributes:
        position: Where training is, such as ``epoch 3, step 66``; the next command continues with the step after it.
    """

    def __init__(self, why: str, position: str) -> None:
        """Takes who asked, and the position."""
        super().__init__(why, position)  # all arguments, so that it can be pickled
        self.position = position

    def __str__(self) -> str:
        return f"{self.args[0]}: saved at {self.position}"


def saved_line(position: str) -> str:
    """Returns what a command says that a signal ended after training had saved."""
    return f"saved at {position}; give the same command again"


def train_supernets(
    task: Task,
    mirror: Mirror,
    workers: Workers,
    device: torch.device,
    after_epoch: Callable[[], None] = lambda: None,
    requests: Requests = NO_REQUESTS,
) -> None:
    """Trains, or goes on training, the supernet of every base seed that is not done, and leaves it in the run folder.

    Every worker of the run calls this. Worker 0 writes; the others only read the checkpoint it chose.

    Args:
        task: Space and images.
        mirror: The run's folder, and what carries its files to where all workers see them.
        workers: Who trains together.
        device: Where this worker computes.
        after_epoch: Called when an epoch's lines are written.
        requests: Who can ask this training to save and stop.

    Raises:
        SavedAndStopped: If somebody did. The checkpoint is of that step, so no step is repeated.
        ValueError: If the folder holds another run's weights, or the data are not as the configuration says.
        RuntimeError: If the training diverges or the workers disagree.
    """
    torch.set_num_threads(task.config.train.cpus_per_worker)
    with deterministic_algorithms(task.config.train.deterministic):
        for base_seed in task.config.base_seeds:
            if not is_trained(mirror.folder, base_seed):
                _train_supernet(task, mirror, base_seed, workers, device, after_epoch, requests)


def recipe_of(config: RunConfig) -> Recipe:
    """Returns the hyper-parameters of the one-shot training that a configuration describes."""
    shared = set(Recipe.__dataclass_fields__) & set(type(config.train).model_fields)
    return Recipe(**{key: getattr(config.train, key) for key in shared}, bfloat16=config.train.precision == "bfloat16")


def alpha_recipe_of(config: RunConfig) -> AlphaRecipe:
    """Returns the hyper-parameters of the alphas that a configuration describes."""
    shared = set(AlphaRecipe.__dataclass_fields__) & set(type(config.alphas).model_fields) - {"betas"}
    beta1, beta2 = config.alphas.betas
    return AlphaRecipe(**{key: getattr(config.alphas, key) for key in shared}, betas=(beta1, beta2))


def routing_of(task: Task, base_seed: int, num_cells: int, steps_per_epoch: int) -> Routing:
    """Returns the routes of a training that a configuration describes."""
    config = task.config
    assert config.train.sampling is not None
    last_epoch = max(1, config.train.epochs - 1)
    return Routing(
        task.space,
        base_seed,
        SAMPLINGS.row(config.train.sampling),
        num_cells if config.train.path_per_cell else 1,
        GATES.row(config.alphas.gates) if config.alphas.gates else MIXTURE,
        config.alphas.idle,
        lambda step: temperature_at(config.alphas, step // steps_per_epoch, last_epoch),
    )


def temperature_at(alphas: AlphasSection, epoch: int, last_epoch: int) -> float:
    """Returns the temperature of an epoch: the first number at 0, the second at `last_epoch`."""
    hottest, coldest = alphas.temperature
    if alphas.temperature_schedule == "linear":
        return hottest - (hottest - coldest) * epoch / last_epoch
    return float(hottest * (coldest / hottest) ** (epoch / last_epoch))


ANGLE_TABLES = "angle_tables.jsonl"
"""What the angle of any architecture after any epoch is made of: a line of sums for each epoch."""

ALPHAS, DERIVED = "alphas.npy", "derived.jsonl"
"""The alphas after every epoch, and the architectures that they stand for."""

DEFINITIONS = ("paper", "official")
"""Weight vectors that are recorded, where the space has them."""


def read_angle_tables(file: Path, definition: str) -> dict[int, AdditiveTable]:
    """Returns the sums under the angle by the number of epochs done."""
    lines = _angle_lines(file)
    return {
        line["epochs"]: AdditiveTable(SUMS, *(np.array(line[definition][part]) for part in ("always", "candidates")))
        for line in lines
        if definition in line
    }


def _angle_lines(file: Path) -> list[dict[str, Any]]:
    """Returns the lines of sums under the angle, up to the first that is damaged or out of its place."""
    lines = records(file, {"epochs": int})
    good = [
        line["epochs"] == number and all(_are_sums(line[name]) for name in DEFINITIONS if name in line)
        for number, line in enumerate(lines, start=1)
    ]
    return lines[: good.index(False) if False in good else None]


def _are_sums(sums: object) -> bool:
    """Returns whether a value of a line is what `write_angle` writes."""
    if lacking(sums, {"always": list, "candidates": list}) is not None:
        return False
    assert isinstance(sums, dict)
    try:
        always, candidates = (np.array(sums[part], dtype=np.float64) for part in ("always", "candidates"))
    except (ValueError, TypeError):
        return False
    finite = bool(np.isfinite(always).all() and np.isfinite(candidates).all())
    return finite and always.shape == (len(SUMS),) and candidates.ndim == 3 and candidates.shape[2] == len(SUMS)


def read_probabilities(file: Path) -> list[list[np.ndarray]]:
    """Returns softmax(alpha) of every choice, before the first epoch and after each."""
    rows = torch.from_numpy(read_alphas(file))
    return [[torch.softmax(row[~row.isnan()], dim=0).numpy() for row in of_epoch] for of_epoch in rows]


def read_alphas(file: Path) -> np.ndarray:
    """Returns the alphas before the first epoch and after each, ``(epochs + 1, choices, candidates)``.

    Raises:
        ValueError: If the file is not what was written.
    """
    try:
        rows = np.lib.format.read_array(io.BytesIO(file.read_bytes()), allow_pickle=False)
        damage = None if rows.ndim == 3 and rows.dtype.kind == "f" else "other numbers"
    except (OSError, EOFError, ValueError) as error:
        damage = shortened(str(error))
    if damage is not None:
        raise ValueError(f"{file} is damaged ({damage}); put it back, or remove {file.parent} to train anew")
    return np.asarray(rows)


def build_supernet(task: Task, base_seed: int) -> nn.Module:
    """Returns the supernet with the initial weights of a seed, a function of the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(base_seed)
        supernet = task.space.build_supernet(task.num_categories)
        if task.config.train.initialisation is not None:
            draw_kernels(supernet, task.config.train.initialisation)
        return supernet


def _train_supernet(
    task: Task,
    mirror: Mirror,
    base_seed: int,
    workers: Workers,
    device: torch.device,
    after_epoch: Callable[[], None],
    requests: Requests,
) -> None:
    folder = mirror.folder
    config, place, about = task.config, seed_folder(folder, base_seed), task.about(base_seed)
    recipe = recipe_of(config)
    supernet = build_supernet(task, base_seed).to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(supernet, recipe)
    batches = task.train_batches(base_seed, device)
    routing = routing_of(task, base_seed, int(supernet.num_cells), batches.steps_per_epoch)  # type: ignore[arg-type]
    alphas = None
    if config.alphas.gates is not None:
        alphas = AlphaTraining(
            [nn.Parameter(alpha.detach().to(device)) for alpha in initial_alphas(task.space, base_seed)],
            task.search_batches(base_seed, device),
            routing.of_alphas,
            alpha_recipe_of(config),
            objective=recipe.objective,
            seeds=(lambda step: (base_seed, step, workers.rank)) if recipe.drop_path else None,
            temperature=routing.gates_temperature,
        )
    with ExitStack() as stack:
        found = None
        if workers.rank == 0:
            say = functools.partial(_note, folder)
            # Workers of a run whose driver was just killed may live for some seconds: wait for them.
            stack.enter_context(mirror.owned(say, wait=60, part=place))
            drop_checkpoints(place, config.train.keep_checkpoints)
            if not _has_initial(place, about, say):
                save_checkpoint(place / "initial", supernet, None, 0, 0, about)
            found = latest_checkpoint(place, about, say, _recorded_epochs(place, alphas is not None))
            mirror.push()
        agreed = torch.tensor([found.epochs, found.steps] if found else [0, 0], dtype=torch.float64, device=device)
        workers.add_up(agreed)  # the others contribute 0
        epochs, steps = map(int, agreed.tolist())
        if workers.rank != 0:
            mirror.pull(place / "initial", epoch_folder(place, epochs, steps))
        initial = load_checkpoint(place / "initial", about)
        last = load_checkpoint(epoch_folder(place, epochs, steps), about) if epochs or steps else initial
        restore(last, supernet, optimizer, alphas)
        if alphas is not None and last.sums:
            alphas.restore_sums(last.sums["alphas"], workers)
        clock = CheckpointClock(workers, device, config.train.checkpoint_minutes, requests)
        reason: Reason | None = None
        logbook = None
        if workers.rank == 0:
            logbook = stack.enter_context(
                _Logbook(task, mirror, base_seed, last, batches.steps_per_epoch, workers.world)
            )
            if alphas is not None and last is initial:
                logbook.write_alphas(0, alphas.alphas)

        def save(epochs: int, step: int, sums: Mapping[str, Tensor] | None = None) -> None:
            _average_buffers(supernet, workers)
            steps = step - epochs * batches.steps_per_epoch
            if workers.rank == 0:
                mirror.check()
                to = epoch_folder(place, epochs, steps)
                save_checkpoint(to, supernet, optimizer, epochs, step, about, alphas, steps, sums)
                drop_checkpoints(place, config.train.keep_checkpoints, to)
            clock.saved()
            stop = reason.stop if reason is not None and epochs < recipe.epochs else None
            if workers.rank == 0:
                if stop is not None and stop.noted:
                    _note(
                        folder, f"{stop.why}: saved after epoch {epochs} and step {steps} of {batches.steps_per_epoch}"
                    )
                mirror.push()
            if stop is not None:
                workers.add_up(torch.zeros(1, device=device))  # no worker ends before the checkpoint is written
                raise SavedAndStopped(stop.why, _position(config, base_seed, epochs, steps))

        def report_step(metrics: StepMetrics) -> None:
            nonlocal reason
            if logbook is not None:
                logbook.write_step(metrics)
            reason = clock.reason()
            if reason is not None and metrics.step % batches.steps_per_epoch:  # else the epoch's end saves
                of_alphas = {"alphas": alphas.sums(workers)} if alphas is not None else {}
                save(metrics.epoch, metrics.step, {"weights": metrics.sums(workers), **of_alphas})

        def report_epoch(metrics: EpochMetrics) -> None:
            done = metrics.epoch + 1
            if logbook is not None:
                mirror.check()
                logbook.write_epoch(metrics)
                logbook.write_angle(done, angle_tables(task, initial.weights, supernet))
                if alphas is not None:
                    logbook.write_alphas(done, alphas.alphas)
            if done % config.train.checkpoint_every == 0 or done == recipe.epochs or reason is not None:
                save(done, metrics.step)
            if workers.rank == 0:
                mirror.push(every=5)
            after_epoch()

        train_supernet(
            supernet,
            optimizer,
            batches,
            routing.of_weights,
            recipe,
            alphas=alphas,
            seed=base_seed,
            first_epoch=epochs,
            first_step=steps,
            sums=last.sums.get("weights"),
            workers=workers,
            report_step=report_step,
            report_epoch=report_epoch,
        )
        if workers.rank == 0:
            write_json(
                place / "result.json", {"epochs": recipe.epochs, "steps": recipe.epochs * batches.steps_per_epoch}
            )
            mirror.push()


def angle_tables(task: Task, initial: Mapping[str, Tensor], supernet: nn.Module) -> dict[str, AdditiveTable]:
    """Returns the sums under the angle by definition, of those that the space has."""
    if type(task.space).weight_vector is SearchSpace.weight_vector:
        return {}
    trained = supernet.state_dict()
    return {definition: angle_table(task.space, initial, trained, definition) for definition in DEFINITIONS}


def _average_buffers(supernet: nn.Module, workers: Workers) -> None:
    """Averages running statistics over the workers, so that a checkpoint is not one worker's view."""
    for buffer in supernet.buffers():
        if workers.world > 1 and buffer.is_floating_point():
            workers.add_up(buffer)
            buffer /= workers.world


def _share(candidate: str, space: SearchSpace, probabilities: Sequence[np.ndarray]) -> float | None:
    """Returns the mean probability of a candidate over the choices that have it; None where none has."""
    found = [
        row[choice.candidates.index(candidate)]
        for choice, row in zip(space.choices, probabilities, strict=True)
        if candidate in choice.candidates
    ]
    return float(np.mean(found)) if found else None


def _position(config: RunConfig, base_seed: int, epochs: int, steps: int) -> str:
    """Returns where a training is after so many epochs and steps of the next one; epochs count from 1."""
    seed = f"seed {base_seed}, " if len(config.base_seeds) > 1 else ""
    return seed + (f"epoch {epochs + 1}, step {steps}" if steps else f"the end of epoch {epochs}")


def _note(folder: Path, line: str) -> None:
    append_text(folder / NOTES, f"{line}\n")


def _has_initial(place: Path, about: Mapping[str, Any], say: Callable[[str], None]) -> bool:
    """Returns whether the initial weights are there as they were written; damage is said."""
    if not (place / "initial").exists():
        return False
    try:
        load_checkpoint(place / "initial", about)
    except DamagedCheckpoint as error:
        say(f"{error}; drawn again from the seed")
        return False
    return True


def _recorded_epochs(place: Path, alphas: bool) -> int:
    """Returns after how many epochs the first of a supernet's records ends, lines that were cut off left out."""
    metrics = [line["epoch"] == number for number, line in enumerate(records(place / METRICS, {"epoch": int}))]
    ends = [metrics.index(False) if False in metrics else len(metrics), len(_angle_lines(place / ANGLE_TABLES))]
    if alphas:  # whose first line and row are from before the first epoch
        derived = [line["epochs"] == number for number, line in enumerate(records(place / DERIVED, {"epochs": int}))]
        ends.append((derived.index(False) if False in derived else len(derived)) - 1)
        if max(ends) > 0:
            ends.append(len(read_alphas(place / ALPHAS)) - 1)
    return max(0, min(ends))


class _Logbook:
    """Loss, accuracy, images per second and learning rate: JSON lines, TensorBoard events, and where training is now.

    Lines of epochs after the checkpoint that training goes on from are dropped: they are written again.
    """

    def __init__(
        self, task: Task, mirror: Mirror, base_seed: int, last: Checkpoint, steps_per_epoch: int, world: int
    ) -> None:
        """Opens the files of one supernet, as they were when its `last` checkpoint was written."""
        steps_done = last.epochs * steps_per_epoch + last.steps
        started = steps_done > 0
        seeds, self._epochs = task.config.base_seeds, task.config.train.epochs
        folder = mirror.folder
        self._steps_per_epoch = steps_per_epoch
        self._first_step = seeds.index(base_seed) * self._epochs * steps_per_epoch
        self._total_steps = len(seeds) * self._epochs * steps_per_epoch
        self._base_seed, self._mirror, self._world = base_seed, mirror, world
        self._metrics = seed_folder(folder, base_seed) / METRICS
        self._angles = seed_folder(folder, base_seed) / ANGLE_TABLES
        self._derived = seed_folder(folder, base_seed) / DERIVED
        self._space, self._derivation = task.space, task.config.search.derivation
        kept_lines = {self._metrics: last.epochs, self._angles: last.epochs}
        self._alphas: list[np.ndarray] = []
        if task.config.alphas.gates is not None:
            kept_lines[self._derived] = last.epochs + 1 if started else 0
            if started:
                self._alphas = list(read_alphas(self._derived.with_name(ALPHAS))[: last.epochs + 1])
        for file, number in kept_lines.items():
            kept = whole_lines(file)[:number]
            write_text(file, "".join(f"{line}\n" for line in kept))
        self._events = SummaryWriter(
            str(folder / "tensorboard" / f"seed_{base_seed}"), purge_step=steps_done + 1 if started else 0
        )
        self._next_note = 0.0
        self._epoch_began = time.monotonic()
        self._images_before = int(last.sums["weights"][2]) if last.sums else 0

    def __enter__(self) -> _Logbook:
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()

    def write_step(self, metrics: StepMetrics) -> None:
        """Notes where training is, twice a second at most, for whoever shows progress."""
        now = time.monotonic()
        if now < self._next_note:
            return
        self._next_note = now + 0.5
        note = {
            "base_seed": self._base_seed,
            "workers": self._world,
            "epoch": metrics.epoch,
            "epochs": self._epochs,
            "step": self._first_step + metrics.step,
            "steps": self._total_steps,
            "loss": metrics.loss_sum.item() / metrics.images,
            "accuracy": 100.0 * metrics.correct_sum.item() / metrics.images,
            "learning_rate": metrics.learning_rate,
            "images_per_second": self._world * (metrics.images - self._images_before) / (now - self._epoch_began),
        }
        write_json(self._mirror.folder / PROGRESS, note)
        self._mirror.push(PROGRESS, every=10)

    def write_epoch(self, metrics: EpochMetrics) -> None:
        """Adds an epoch's line and events."""
        self._epoch_began, self._images_before = time.monotonic(), 0
        line = asdict(replace(metrics, alphas=None))
        line.pop("alphas")
        of_alphas = asdict(metrics.alphas) if metrics.alphas else {}
        append_text(self._metrics, json.dumps(line | of_alphas) + "\n")
        for key in ("loss", "accuracy", "learning_rate", "images_per_second"):
            self._events.add_scalar(f"train/{key}", line[key], metrics.step)
        for key, value in of_alphas.items():
            if value is not None:
                self._events.add_scalar(f"alphas/{key}", value, metrics.step)
        self._events.flush()

    def write_alphas(self, done: int, alphas: Sequence[Tensor]) -> None:
        """Adds the alphas after so many epochs, and the architecture that they stand for.

        `choices` are the candidates that it takes at each choice, null where it is of another space than the alphas;
        `dominance` is the weight of a choice's strongest candidate, `skip_share` that of its skip connection and
        `none_share` of the candidate that passes nothing, all means over the choices that have one.
        """
        rows = [alpha.detach().double().cpu().numpy() for alpha in alphas]
        table = np.full((len(rows), max(map(len, rows))), np.nan)
        for row, values in zip(table, rows, strict=True):
            row[: len(values)] = values
        self._alphas.append(table)
        file = self._derived.with_name(ALPHAS)
        content = io.BytesIO()
        np.save(content, np.stack(self._alphas))
        write_bytes(file, content.getvalue())
        if done == 0:
            choices = [{"name": c.name, "candidates": list(c.candidates)} for c in self._space.choices]
            write_json(file.with_suffix(".json"), {"choices": choices})
        assert self._derivation is not None
        space = self._space.derived_space(self._derivation)
        probabilities = [torch.softmax(alpha.detach().double(), dim=0).cpu().numpy() for alpha in alphas]
        derived = self._space.derive(probabilities, self._derivation)
        edges = [operation for graph in space.drawing(derived).values() for _, _, operation in graph if operation]
        line = {
            "epochs": done,
            "architecture": list(derived),
            "choices": list(derived) if space is self._space else None,
            "description": space.describe(derived),
            "operations": dict(Counter(edges)),
            "dominance": float(np.mean([row.max() for row in probabilities])),
            "skip_share": _share("skip_connect", self._space, probabilities),
            "none_share": _share("none", self._space, probabilities),
        }
        append_text(self._derived, json.dumps(line) + "\n")
        for key in ("dominance", "skip_share", "none_share"):
            if line[key] is not None:
                self._events.add_scalar(f"alphas/{key}", line[key], done * self._steps_per_epoch)

    def write_angle(self, done: int, tables: Mapping[str, AdditiveTable]) -> None:
        """Adds the sums under the angle after so many epochs: to rank by it later, their weights need not be kept."""
        line: dict[str, Any] = {"epochs": done} | {
            definition: {"always": table.fixed.tolist(), "candidates": table.terms.tolist()}
            for definition, table in tables.items()
        }
        append_text(self._angles, json.dumps(line) + "\n")

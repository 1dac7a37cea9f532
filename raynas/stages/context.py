"""What searchers and fitnesses can ask of a run: its weights, its alphas, its costs and its benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from raynas.errors import InputError
from raynas.fitness.angle import SUMS, AngleOptions, sums_under_angle
from raynas.fitness.benchmark_table import BenchmarkTable
from raynas.search.alphas import before_skips, evenly
from raynas.search_space import AdditiveTable, SearchSpace
from raynas.stages.supernet_records import ALPHAS, ANGLE_TABLES, read_angle_tables, read_probabilities
from raynas.stages.task import Task
from raynas.stages.train_supernet import build_supernet, is_trained
from raynas.storage.checkpoint import Checkpoint, DamagedCheckpoint, epoch_folder, load_checkpoint
from raynas.storage.run_folder import seed_folder
from raynas.supernet.alphas import probabilities_of


def trained_supernet(task: Task, base_seed: int) -> Checkpoint:
    """Returns the trained supernet of a base seed.

    Raises:
        InputError: If it is not trained.
        DamagedCheckpoint: If its file is not what was written.
    """
    folder = task.config.supernets
    place = seed_folder(folder, base_seed)
    if not is_trained(folder, base_seed):
        raise InputError(
            f"{folder} holds no trained supernet of base seed {base_seed}; run `raynas train` with this file first"
        )
    try:
        return load_checkpoint(epoch_folder(place, task.config.train.epochs), task.about(base_seed))
    except DamagedCheckpoint as error:
        raise DamagedCheckpoint(
            f"{error}; remove {place / 'result.json'} to train again from the checkpoint before it"
        ) from error


class RunContext:
    """What a run holds for searchers and fitnesses: the `SearchContext` and the `FitnessContext` of a task."""

    def __init__(self, task: Task) -> None:
        """Takes the task of the run."""
        self._task = task

    @property
    def space(self) -> SearchSpace:
        """The space that the architectures belong to."""
        return self._task.space

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self._task.config.seed

    @property
    def base_seeds(self) -> Sequence[int]:
        """The seeds of the supernets."""
        return self._task.config.base_seeds

    @property
    def costs(self) -> AdditiveTable:
        """What architectures cost."""
        return self._task.costs

    @property
    def benchmark(self) -> BenchmarkTable:
        """The benchmark that the run file names."""
        assert self._task.table is not None, "checked before anything is trained"
        return self._task.table

    def initial_weights(self, base_seed: int) -> Mapping[str, Tensor]:
        """Returns the weights of a supernet before its training, by name."""
        place = seed_folder(self._task.config.supernets, base_seed)
        return load_checkpoint(place / "initial", self._task.about(base_seed)).weights

    def trained_weights(self, base_seed: int) -> Mapping[str, Tensor]:
        """Returns the weights of a supernet after its training, by name.

        Raises:
            InputError: If it is not trained.
            DamagedCheckpoint: If its file is not what was written.
        """
        return trained_supernet(self._task, base_seed).weights

    def untrained_weights(self, seed: int) -> Mapping[str, Tensor]:
        """Returns the weights of a supernet that a seed initialises."""
        weights: Mapping[str, Tensor] = build_supernet(self._task, seed).state_dict()
        return weights

    def recorded_sums(self, base_seed: int, definition: str) -> Mapping[int, AdditiveTable]:
        """Returns the sums under the angle that the training of a supernet recorded, by epoch."""
        return read_angle_tables(seed_folder(self._task.config.supernets, base_seed) / ANGLE_TABLES, definition)

    def angle_sums(self, base_seed: int) -> AdditiveTable:
        """Returns the sums under the angle of a supernet, at the epoch that the run file asks for.

        Raises:
            InputError: If the supernet is not trained, or the sums of that epoch were not recorded.
        """
        return sums_under_angle(self, self._task.config.search.options_of(AngleOptions), base_seed)

    def alphas(self, base_seed: int) -> Sequence[np.ndarray]:
        """Returns softmax(alpha) of every choice as training left it, or before `search.most_skips` skips took over.

        Raises:
            InputError: If the supernet is not trained.
        """
        search = self._task.config.search
        checkpoint = trained_supernet(self._task, base_seed)
        trained = probabilities_of(checkpoint.parts.get("alphas", {}))
        if search.most_skips is None:
            return trained
        assert search.derivation is not None
        epochs = read_probabilities(seed_folder(self._task.config.supernets, base_seed) / ALPHAS)
        return before_skips(self._task.space, epochs, search.derivation, search.most_skips)


class BeforeTraining:
    """The `SearchContext` of a run that is not trained: numbers of the right shape stand for what training brings."""

    def __init__(self, task: Task) -> None:
        """Takes the task of the run."""
        self._task = task

    @property
    def base_seeds(self) -> Sequence[int]:
        """The seeds of the supernets."""
        return self._task.config.base_seeds

    @property
    def costs(self) -> AdditiveTable:
        """What architectures cost."""
        return self._task.costs

    def alphas(self, base_seed: int) -> Sequence[np.ndarray]:
        """Returns what alphas are before anything is learnt."""
        return evenly(self._task.space)

    def angle_sums(self, base_seed: int) -> AdditiveTable:
        """Returns sums that are zero everywhere."""
        choices = self._task.space.choices
        terms = np.zeros((len(choices), max(len(choice.candidates) for choice in choices), len(SUMS)))
        return AdditiveTable(SUMS, terms[0, 0], terms)

"""Networks of a run, with the weights that they inherit, that they were trained to, or that they began with."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raynas import __version__
from raynas.capabilities import canonical_of
from raynas.config.run_config import RunConfig
from raynas.data import LABELS, fix_images, split_images
from raynas.errors import InputError
from raynas.messages import echo
from raynas.networks.building import network_record, space_of_values
from raynas.networks.found_network import FoundNetwork
from raynas.networks.inherited import inherited_network
from raynas.networks.language import LanguageNetwork
from raynas.networks.preprocessing import stated_preprocessing
from raynas.records.network_record import NetworkAccuracy, NetworkRecord, Preprocessing, Provenance
from raynas.records.retrain_record import RetrainedNetwork, RetrainingRecord, RetrainRecord
from raynas.records.run_record import DataRecord, RunRecord
from raynas.records.search_record import SearchRecord
from raynas.search_space import Architecture, SearchSpace
from raynas.stages.context import RunContext, trained_supernet
from raynas.stages.data_record import reads_files, skipped_files
from raynas.stages.evaluation import runs_trained_networks
from raynas.stages.network_evaluation import calibration_positions, image_positions
from raynas.stages.subjects import space_values
from raynas.stages.task import Task, as_searched, make_space, make_task
from raynas.storage.checkpoint import epoch_folder, load_checkpoint
from raynas.training.batch_norm import estimate_batch_norm

WEIGHTS = ("inherited", "retrained", "initial", None)
"""What `find` takes weights from; None for random ones."""


def find(
    config: RunConfig,
    folder: Path,
    architecture: Architecture | str,
    weights: str | None,
    *,
    seed: int | None = None,
    retraining: str | None = None,
) -> FoundNetwork:
    """Returns a network of a run, in evaluation mode, with its record.

    Args:
        config: The resolved configuration.
        folder: The folder of the run.
        architecture: Candidates or text of the architecture.
        weights: See `WEIGHTS`.
        seed: Seed of the supernet or of the retraining; the first one by default.
        retraining: Name of the retraining, if there are several.

    Raises:
        InputError: If the architecture is not of the space, or there are no such weights.
        DamagedCheckpoint: If the weights are not what was written.
    """
    if weights not in WEIGHTS:
        raise InputError(f"weights: expected inherited, retrained, initial or None, got {echo(weights)}")
    if config.data.source.holds == "tokens":
        raise InputError(
            f"{folder}: its networks read texts, and this is for networks of images; `raynas predict` continues a text"
        )
    if weights == "retrained":
        return _retrained(config, folder, architecture, seed, retraining)
    if weights is None:
        space = _searched_space(config)
        candidates = _candidates(space, architecture)
        data = DataRecord.read(folder / "data.json")
        network = space.build_network(candidates, data.num_classes).eval()
        return FoundNetwork(network, _record(config, folder, space, candidates, "initial"))
    return _inherited(config, folder, architecture, weights, seed)


def _searched_space(config: RunConfig) -> SearchSpace:
    search = config.search
    row = search.searcher
    return row.searched_space(make_space(config), search.options_of(row.options))


def _candidates(space: SearchSpace, architecture: Architecture | str) -> Architecture:
    """Returns the candidates of an architecture.

    Raises:
        InputError: If it is not of the space.
    """
    return space.check(space.parse(architecture) if isinstance(architecture, str) else architecture)


def _inherited(
    config: RunConfig, folder: Path, architecture: Architecture | str, weights: str, seed: int | None
) -> FoundNetwork:
    """Returns a network with weights of a supernet, trained or not; batch normalisation is measured anew.

    Raises:
        InputError: If there is no such supernet.
    """
    base_seed = config.base_seeds[0] if seed is None else seed
    if base_seed not in config.base_seeds:
        raise InputError(f"seed: expected one of {', '.join(map(str, config.base_seeds))}, got {seed}")
    task = as_searched(make_task(config, skip=skipped_files(folder)))
    candidates = _candidates(task.space, architecture)
    initial = weights == "initial"
    state = RunContext(task).initial_weights(base_seed) if initial else trained_supernet(task, base_seed).weights
    network = inherited_network(task.space, candidates, task.num_categories, state)
    _measure(task, network)
    return FoundNetwork(network, _record(config, folder, task.space, candidates, weights, task.num_categories))


def _measure(task: Task, network: nn.Module) -> None:
    """Measures batch normalisation on the images that the search measures it on, or would with as many as there are."""
    config, images = task.config, task.dataset.train
    if runs_trained_networks(config.search):
        calibration, _ = image_positions(task)
        batch_size = config.search.evaluation_batch_size
    else:  # the search asked for no such images, and there may be fewer
        train, _ = split_images(images, config.data.train_portion, config.seed)
        batch_size = min(config.search.evaluation_batch_size, len(train))
        count = min(config.search.calibration_images, len(train)) // batch_size * batch_size
        calibration = calibration_positions(task, train, max(count, batch_size))
    fixed = fix_images(task.dataset, images, calibration, images.labels)
    batches = fixed.batches(batch_size, torch.device("cpu"))
    estimate_batch_norm(network, (pixels for pixels, _ in batches))


def _retrained(
    config: RunConfig, folder: Path, architecture: Architecture | str, seed: int | None, retraining: str | None
) -> FoundNetwork:
    """Returns a network that a retraining of the run trained.

    Raises:
        InputError: If there is none.
    """
    return _of_retraining(config, folder, *_entry(config, folder, architecture, retraining), seed)


def _entry(
    config: RunConfig, folder: Path, architecture: Architecture | str, retraining: str | None
) -> tuple[Path, RetrainedNetwork, dict[str, Any]]:
    """Returns the folder of a retraining, what became of an architecture in it, and its settings.

    Raises:
        InputError: If the architecture was not retrained.
    """
    place = _retraining(folder, retraining)
    result = RetrainRecord.read(place / "result.json")
    settings = RetrainingRecord.read(place / "config.json").settings
    space = _searched_space(config) if settings.get("architectures") is None else make_space(config)
    candidates = _candidates(space, architecture)
    wanted = canonical_of(space, candidates)
    for network in result.networks:
        if canonical_of(space, tuple(network.architecture)) == wanted:
            return place, network, settings
    raise InputError(
        f"{place}: {space.describe(candidates)} was not retrained; give one of "
        f"{', '.join(f'{network.name} {network.description}' for network in result.networks)}"
    )


def _retraining(folder: Path, name: str | None) -> Path:
    """Returns the folder of a retraining that is done.

    Raises:
        InputError: If there is none, or there are several and none is named.
    """
    done = {file.parent.name: file.parent for file in sorted(folder.glob("retrain/*/result.json"))}
    if name is None and len(done) == 1:
        return next(iter(done.values()))
    if name in done:
        return done[name]
    if not done:
        raise InputError(f"{folder}: nothing was retrained; give `raynas retrain {folder}` first")
    raise InputError(f"retraining: expected one of {', '.join(done)}, got {echo(name)}")


def _of_retraining(
    config: RunConfig,
    folder: Path,
    place: Path,
    network: RetrainedNetwork,
    settings: dict[str, Any],
    seed: int | None,
) -> FoundNetwork:
    """Returns a network of a retraining with its weights.

    Raises:
        InputError: If it was not trained from that seed.
    """
    data = DataRecord.read(folder / "data.json")
    space, module, chosen = _trained(place, network, settings, seed, data.num_classes)
    seeds = [one.seed for one in network.seeds]
    top5 = [one.test_top5_accuracy for one in network.seeds if one.test_top5_accuracy is not None]
    accuracy = NetworkAccuracy(
        seeds=seeds,
        top1=[one.test_accuracy for one in network.seeds],
        top5=top5 if len(top5) == len(seeds) else None,
        exported_seed=chosen,
    )
    record = _record(config, folder, space, tuple(network.architecture), "retrained")
    return FoundNetwork(module.eval(), record.model_copy(update={"accuracy": accuracy, "recipe": settings}))


def _trained(
    place: Path, network: RetrainedNetwork, settings: dict[str, Any], seed: int | None, num_classes: int
) -> tuple[SearchSpace, nn.Module, int]:
    """Returns the space of a network of a retraining, the network with its weights, and their seed.

    Raises:
        InputError: If it was not trained from that seed.
    """
    seeds = [one.seed for one in network.seeds]
    chosen = seeds[0] if seed is None else seed
    if chosen not in seeds:
        raise InputError(f"seed: expected one of {', '.join(map(str, seeds))}, got {seed}")
    space = space_of_values(network.space)
    module = space.build_network(tuple(network.architecture), num_classes)
    checkpoint = epoch_folder(place / network.name / f"seed_{chosen}", settings["epochs"])
    parts = load_checkpoint(checkpoint, {"architecture": network.architecture, "seed": chosen}).parts
    state = parts.get("final", parts["weights"])
    names = module.state_dict()
    module.load_state_dict({name: state[name] for name in names}, strict=True)  # an auxiliary tower is left behind
    return space, module.eval(), chosen


def find_language_model(
    config: RunConfig,
    folder: Path,
    architecture: Architecture | str,
    *,
    seed: int | None = None,
    retraining: str | None = None,
) -> LanguageNetwork:
    """Returns a network of a run on a text as its retraining left it, with the words that it knows.

    Args:
        config: The resolved configuration.
        folder: The folder of the run.
        architecture: Candidates or text of the architecture.
        seed: Seed of the retraining; the first one by default.
        retraining: Name of the retraining, if there are several.

    Raises:
        InputError: If the architecture was not retrained.
        DamagedCheckpoint: If the weights are not what was written.
    """
    data = DataRecord.read(folder / "data.json")
    assert data.classes is not None, "the words of a text are its classes"
    entry = _entry(config, folder, architecture, retraining)
    _, module, _ = _trained(*entry, seed, data.num_classes)
    return LanguageNetwork(module, tuple(data.classes))


def preprocessing_of(data: DataRecord) -> Preprocessing:
    """Returns what an image of a run's data set becomes before a network sees it."""
    return stated_preprocessing(data.resolution, data.mean, data.std, reads_files=reads_files(data))


def _record(
    config: RunConfig,
    folder: Path,
    space: SearchSpace,
    architecture: Architecture,
    weights: str,
    num_classes: int | None = None,
) -> NetworkRecord:
    """Returns the record of a network of a run."""
    data = DataRecord.read(folder / "data.json")
    assert config.data.labels is not None
    is_true = weights == "retrained" or not LABELS.row(config.data.labels).free_categories
    classes = data.classes if is_true and num_classes in (None, data.num_classes) else None
    number = data.num_classes if num_classes is None else num_classes
    return network_record(
        space_values(space, config.space.name, config.space.arguments),
        architecture,
        number,
        preprocessing_of(data),
        weights=weights,
        classes=classes,
        provenance=_provenance(config, folder, architecture),
    )


def _provenance(config: RunConfig, folder: Path, architecture: Architecture) -> Provenance:
    """Returns where an architecture of a run comes from."""
    versions = dict(RunRecord.read(folder / "config.json").versions)
    versions |= {"raynas": __version__, "torch": version("torch")}
    fitness, value = "", None
    file = folder / "search" / "result.json"
    if file.exists():
        result = SearchRecord.read(file)
        fitness = result.name or result.fitness
        value = next((one.fitness for one in result.best if tuple(one.architecture) == architecture), None)
    return Provenance(
        run=config.name,
        algorithm=config.algorithm,
        data=config.data.name,
        fitness=fitness,
        fitness_value=value,
        versions=versions,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )

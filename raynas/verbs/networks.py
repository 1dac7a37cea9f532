"""The verbs that use networks that were found: export and predict."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from raynas.errors import InputError
from raynas.stages import signals

if TYPE_CHECKING:
    from raynas.networks.found_network import FoundNetwork
    from raynas.networks.predictor import Predictor
    from raynas.opened_run import Run


def export(options: argparse.Namespace) -> int:
    """Exports a network of a run, or an exported network in another format, and prints what was measured."""
    with signals.imports():
        from raynas.networks.export.exporting import export
        from raynas.networks.export.format import FORMATS

    FORMATS.row(options.format).check_packages()  # before the network is read
    network = _of_run(options)
    if network is None:
        from raynas.networks.loading import load_network

        network = load_network(options.network, own=options.own)
    exported = export(network, options.out, options.format)
    print("\n".join([*exported.lines(), f"network folder: {exported.folder}"]))
    return 0


def predict(options: argparse.Namespace) -> int:
    """Prints the likeliest classes of images, a line an image, or what follows texts, a line a text."""
    with signals.imports():
        from raynas.networks.predict import predict, remark_on_classes

    named = _named_run(options)
    if named is not None and named.config.data.source.holds == "tokens":
        return _continue(named, options)
    network: FoundNetwork | Predictor | None = _of_run(options)
    if network is None:
        from raynas.networks.loading import load_predictor

        network = load_predictor(options.network, own=options.own)
    remark = remark_on_classes(network)
    if remark is not None:
        print(f"raynas: {remark}", file=sys.stderr)
    for prediction in predict(network, options.images, options.top):
        print(prediction.line())
    return 0


def _continue(run: Run, options: argparse.Namespace) -> int:
    """Prints what a network of a run on a text expects behind texts.

    Raises:
        InputError: If the network was not retrained.
    """
    from raynas.networks.language import continue_texts
    from raynas.stages.found import find_language_model

    if options.weights not in (None, "retrained"):
        raise InputError(
            f"--weights: expected retrained, got {options.weights}: with the weights of a supernet a network of texts "
            "is normalised over many streams; leave it out"
        )
    text = options.architecture
    if text is None:
        text = _first_of(run)
    elif text.isdecimal():
        text = run.best[int(text)].text
    network = find_language_model(run.config, run.folder, text, seed=options.seed, retraining=options.retraining)
    for continuation in continue_texts(network, options.images, options.top):
        print(continuation.line())
    return 0


def _named_run(options: argparse.Namespace) -> Run | None:
    """Returns the run that a command names; None if it names the folder of an export."""
    with signals.imports():
        from raynas.config.locations import is_url
        from raynas.opened_run import Run

    place = Path(options.network)
    if not is_url(options.network) and not any((place / stage).is_dir() for stage in ("search", "retrain")):
        return None
    return Run.at(options.network)


def _of_run(options: argparse.Namespace) -> FoundNetwork | None:
    """Returns the network of a run that a command names; None if it names the folder of an export.

    Raises:
        InputError: If the run has no such network.
    """
    run = _named_run(options)
    if run is None:
        return None
    weights = options.weights or ("retrained" if run.retrained else "inherited")
    text = options.architecture
    if text is None:
        text = _first_of(run) if weights == "retrained" else "0"
    architecture = int(text) if text.isdecimal() else text
    return run.found(architecture, weights, seed=options.seed, retraining=options.retraining)


def _first_of(run: Run) -> str:
    """Returns the first network of a run's retrainings, as text.

    Raises:
        InputError: If there is none.
    """
    for result in run.retrained.values():
        return result.networks[0].description
    raise InputError(f"{run.folder}: nothing was retrained; give `raynas retrain {run.folder}` first")

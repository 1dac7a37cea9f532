"""Checks that the packages of a run are installed, before anything is trained."""

from __future__ import annotations

from raynas.config.locations import is_url
from raynas.config.run_config import RunConfig
from raynas.optional import install_line, is_installed, needed
from raynas.stages.evaluation import needs_training, runs_networks

IN_PROCESS = "set it to 0 to stay in this process"


def check_packages(config: RunConfig, searches: bool = True) -> list[str]:
    """Checks that Ray is installed if a run uses it, and pyarrow for a run at a URL; returns what a user should know.

    Args:
        config: The resolved configuration.
        searches: Whether the run is to train supernets or to search; False if it only retrains.

    Raises:
        InputError: If a package is missing. The message has the command that installs it.
    """
    trains_supernets = searches and config.train.reuse is None and needs_training(config.search)
    if config.train.worker_range[1] and (trains_supernets or config.retrain is not None):
        _check_installed("ray", "train.workers", IN_PROCESS)
    if searches and runs_networks(config.search) and config.search.evaluators != 0:
        _check_installed("ray", "search.evaluators", IN_PROCESS)
    for key, location in (("storage_path", config.location), ("train.reuse", config.supernets_location)):
        if is_url(location):
            _check_installed("pyarrow", key)
    if not is_installed("tensorboard"):
        return [f"TensorBoard is not installed: its events are left out; {install_line('report')}"]
    return []


def check_report(config: RunConfig) -> None:
    """Checks that the packages of reports are installed, if a run ends by writing one.

    Raises:
        InputError: If one is missing.
    """
    if config.report:
        check_pages("report", "set it to false")


def check_pages(key: str, otherwise: str = "") -> None:
    """Checks that the packages of pages are installed.

    Args:
        key: The key or verb that needs them.
        otherwise: Another remedy.

    Raises:
        InputError: If one is missing.
    """
    for package in ("matplotlib", "jinja2"):
        if not is_installed(package):
            needed(package, "report", key, otherwise)


def _check_installed(package: str, key: str, otherwise: str = "") -> None:
    """Checks that a package of the extra `ray` is installed, without importing it.

    Raises:
        InputError: If it is not.
    """
    if not is_installed(package):
        needed(package, "ray", key, otherwise)

"""Checks that the packages of a run are installed, before anything is trained."""

from __future__ import annotations

from raynas.config.locations import is_url
from raynas.config.run_config import RunConfig
from raynas.optional import check_installed, check_pages, install_line, is_installed
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
        check_installed("ray", "ray", "train.workers", IN_PROCESS)
    if searches and runs_networks(config.search) and config.search.evaluators != 0:
        check_installed("ray", "ray", "search.evaluators", IN_PROCESS)
    for key, location in (("storage_path", config.location), ("train.reuse", config.supernets_location)):
        if is_url(location):
            check_installed("pyarrow", "ray", key)
    if config.trackers.names is None and not is_installed("tensorboard"):
        return [f"TensorBoard is not installed: its events are left out; {install_line('report')}"]
    return []


def check_report(config: RunConfig) -> None:
    """Checks that the packages of reports are installed, if a run ends by writing one.

    Raises:
        InputError: If one is missing.
    """
    if config.report:
        check_pages("report", "set it to false")

"""A sweep: runs that differ in some keys; Ray Tune samples them, places them on the cluster and stops them early.

Files of the sweep's folder:

    sweep.json                  the varied keys, and the base configuration
    trials/TRIAL/               the run's folder of a trial
    supernets/NAME/             the run's folder of supernets that several trials share, trained once
    states/TRIAL.json           the status and the metrics of a trial
    results.json, .csv, .md     every trial, and every setting over its seeds; updated when trials end
    report/index.html           the results as a page

A trial is the same pipeline as `raynas run`. If one worker is enough, the trial runs in one process, which starts in
seconds. A trial with several workers leads its own trainer and evaluators, and `admission` starts it when the cluster
has room for the workers. In both cases the folder of a trial holds its complete state. A repeated sweep keeps the ended
trials and continues the others, independently of Tune, whose own files are never read.

At a URL every trial and every shared supernet is a run that uploads its own files. A trial uploads its state, and the
process that leads the sweep downloads the states.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from raynas.config.locations import within
from raynas.config.nested import flatten, is_nested
from raynas.config.run_config import EXECUTION_KEYS
from raynas.config.sweeps import Sweep
from raynas.errors import InputError, RunError
from raynas.on_ray.cluster import Cluster
from raynas.on_ray.nodes import missing
from raynas.on_ray.stopping import Stopped, make_board, save_and_stop, stopped_by
from raynas.on_ray.sweep_plan import Plan, plans
from raynas.on_ray.sweep_progress import SweepProgress
from raynas.on_ray.sweep_results import summary
from raynas.on_ray.sweep_states import ENDED, STATES, state_file, states_of
from raynas.on_ray.trainer import SAVE_SECONDS
from raynas.on_ray.trial import (
    SUPERNETS,
    EpochFeed,
    carry_out,
    is_alone,
    led_bundles,
    training_name,
    trial_needs,
)
from raynas.records.sweep_record import ResultsRecord, SweepRecord, TrialState
from raynas.report.sweep_page import write_sweep_report
from raynas.stages import signals
from raynas.stages.prepare import prepare
from raynas.stages.progress import Progress, write_line
from raynas.stages.tracking import FOLDERS, tracked_sweep
from raynas.storage.mirror import RAY, SWEEP, Mirror, mirror_at, mirrored, pull_news
from raynas.storage.ownership import Busy
from raynas.storage.registers import Lost
from raynas.storage.run_folder import is_new, write_record

if TYPE_CHECKING:
    from raynas.on_ray.admission import Candidate

RESULTS = "results.json"

OWN = (SWEEP, STATES, RESULTS, "results.csv", "results.md", "report", *FOLDERS)
"""Files that the process of the sweep owns; the other files belong to its runs."""

OF_REPORT = ("config.json", "supernet")
"""Files that the report of a sweep reads in the folder of a trial, besides the results: the training metrics."""

LEADER_MEMORY = 64 * 2**20
"""Bytes that Tune reserves for a trial with workers. Tune needs some resource, and the workers may take all CPUs."""

PENDING = 16
"""Trials that may wait for placement by Tune at the same time, as demand that an autoscaler sees."""


def sweep_runs(sweep: Sweep, console: Console) -> dict[str, Any]:
    """Runs the remaining trials of a sweep, writes the results into its folder, and returns them.

    Raises:
        Busy: If another process runs the sweep.
        InputError: If the configuration, the data or the folder is invalid.
        RunError: If Tune fails; a trial that fails is among the results.
    """
    for config in sweep.settings_to_prepare():
        prepare(config, Console(quiet=True))
    with mirrored(sweep.base, console.print, parts=OWN) as mirror:
        folder = _open(sweep)
        mirror.push(SWEEP)
        # Ray frees the workers of a stopped or lost trial only with a dashboard.
        leads = any(not is_alone(trial.config) for trial in sweep.examples())
        ended = sum(state["status"] in ENDED for state in states_of(folder))
        before = f", {ended:,} of them ended before" if ended else ""
        axes = ", ".join(sweep.settings.keys)
        write_line(console, f"sweep: {sweep.number:,} trials over {axes} by {sweep.settings.metric}{before}")
        with ExitStack() as stack:
            stack.enter_context(tracked_sweep(sweep.base, mirror, console))
            cluster = stack.enter_context(Cluster(sweep.base, dashboard=leads))
            progress = stack.enter_context(Progress(console, "preparing"))
            for plan in plans(sweep, folder):
                _carry_out(plan, mirror, cluster, progress)
        results = _write_results(sweep, folder)
        runs = [trial["folder"] for trial in results["trials"]]
        mirror.pull(*(f"{run}/{part}" for run in runs for part in OF_REPORT), SUPERNETS, weights=False)
        write_sweep_report(folder)
        mirror.push(*OWN)
        return results


def _open(sweep: Sweep) -> Path:
    """Checks that the sweep's folder belongs to this base and returns it; a new folder is created.

    The axes may differ, so that a sweep can be extended.
    """
    folder, file, location = sweep.folder, sweep.folder / SWEEP, sweep.base.location
    base = sweep.base.model_dump()
    values = {"sweep": sweep.settings.model_dump(exclude_none=True), "base": base}
    about = SweepRecord.checked(json.loads(json.dumps(values)), f"{file}")
    known = SweepRecord.read(file, "put it back, or remove that sweep") if file.exists() else None
    if known is not None:
        there, here = flatten(known.base), flatten(base)
        compared = [key for key in {**there, **here} if key not in EXECUTION_KEYS and not is_nested("trackers", key)]
        keys = [key for key in compared if there.get(key) != here.get(key)]
        if keys:
            raise InputError(
                f"name: {location} holds a sweep of another configuration ({keys[0]} {there.get(keys[0])!r} there, "
                f"{here.get(keys[0])!r} here); give this one its own folder (--set name={sweep.base.name}-2) or remove "
                "that one"
            )
    elif not is_new(folder):
        raise InputError(f"name: {location} exists and is not a sweep of raynas; choose another name or storage_path")
    if known is None or known.content() != about.content():
        write_record(file, about)
    return folder


# --- Tune -------------------------------------------------------------------------------------------------------------


def _carry_out(plan: Plan, mirror: Mirror, cluster: Cluster, progress: Progress) -> None:
    """Runs a plan with Tune in a Ray task, while this process waits.

    Raises:
        RunError: If Tune fails.
        KeyboardInterrupt: If a signal came. Trials in training save first, unless a second signal comes.
    """
    progress.start("Ray")
    cluster.join(plan.needs)
    progress.start("trials")
    with signals.noted() as signal:
        _wait_for_tune(plan, mirror, progress, signal)


def _wait_for_tune(plan: Plan, mirror: Mirror, progress: Progress, signal: signals.Noted) -> None:
    import ray

    board = make_board()
    task = ray.remote(num_cpus=0, max_retries=0)(run_tuner).remote(plan, board)

    def write() -> None:
        _write_results(plan.sweep, mirror.folder)
        mirror.push(RESULTS, every=10)

    shown = SweepProgress(plan.sweep, mirror, progress, write)
    spoke = time.monotonic()
    while not ray.wait([task], timeout=0.5)[0]:
        if signal.number is not None:
            raise KeyboardInterrupt(*filter(None, [save_and_stop(board, SAVE_SECONDS)]))
        shown.refresh()
        if time.monotonic() - spoke > 5:
            spoke = time.monotonic()
            pull_news(mirror, progress.note, STATES)
            lacking = missing(plan.needs)
            progress.wait_for(f"waiting for {lacking}: a trial of the sweep needs them" if lacking else None)
    try:
        lost: list[dict[str, Any]] = ray.get(task)
    except ray.exceptions.RayError as error:
        reason = str(getattr(error, "cause", error)).splitlines()[0]
        raise RunError(f"the sweep failed: {reason}; give the same command again to continue") from error
    finally:
        with contextlib.suppress(ray.exceptions.RayError):  # the board ended with the cluster
            ray.kill(board)
        shutil.rmtree(mirror.folder / RAY, ignore_errors=True)
        mirror.remove(RAY)
    mirror.pull(STATES)
    _end_states(mirror.folder, lost)
    mirror.push(STATES)
    shown.refresh()


def _end_states(folder: Path, lost: Sequence[Mapping[str, Any]]) -> None:
    """Writes the states of trials that did not report their end: Tune gave them up or stopped them.

    Args:
        folder: The sweep's folder.
        lost: The states of the trials that were given up, as `run_tuner` returns them.
    """
    states = {state["name"]: state for state in states_of(folder)}
    given_up = {state["name"]: state for state in lost}
    for name, state in {**given_up, **states}.items():
        if state["status"] == "running":
            reason = given_up[name]["error"] if name in given_up else None
            ended = {"status": "stopped" if reason is None else "failed", "error": reason}
            write_record(state_file(folder, name), TrialState(**{**state, **ended}))


def run_tuner(plan: Plan, board: Any) -> list[dict[str, Any]]:
    """Runs a plan with Tune, and returns the states of the trials that were given up, with the reason.

    Args:
        plan: The trials.
        board: The handle of the `Board` that stops them.
    """
    sweep, settings = plan.sweep, plan.sweep.settings
    scheduler, searcher = settings.scheduler_row, settings.searcher_row
    os.environ.update(
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
        TUNE_DISABLE_STRICT_METRIC_CHECKING="1",
        TUNE_MAX_PENDING_TRIALS_PG=str((settings.concurrent or 1) if plan.drawn else PENDING),
    )
    from ray import tune

    from raynas.on_ray.admission import Admission

    tuner = tune.Tuner(
        tune.with_resources(
            functools.partial(run_trial, plan=plan, board=board), functools.partial(trial_resources, plan=plan)
        ),
        tune_config=tune.TuneConfig(
            scheduler=None if scheduler.make is None else scheduler.make(sweep),
            search_alg=Admission(
                functools.partial(_candidate, plan),
                listed=[{"trial": name} for name in plan.points],
                drawing=searcher.make(plan) if plan.drawn and searcher.make is not None else None,
            ),
            num_samples=plan.drawn or len(plan.points),
            max_concurrent_trials=settings.concurrent,
            trial_name_creator=functools.partial(_name_of, plan=plan),
            trial_dirname_creator=_folder_of,
            reuse_actors=True,  # a process that has imported torch serves one trial after another
        ),
        run_config=tune.RunConfig(
            name=f"{sweep.base.name}-{time.time_ns()}",
            storage_path=within(sweep.base.location, RAY),
            failure_config=tune.FailureConfig(max_failures=sweep.base.train.max_failures),
            verbose=0,
        ),
    )
    results = tuner.fit()
    lost = []
    for result in (results[number] for number in range(len(results))):
        if result.error is not None:
            trial = plan.trial(result.config or {})
            about = {"name": trial.name, "point": trial.point, "seed": trial.seed, "begun": time.time()}
            error = f"given up after {type(result.error).__name__}"
            lost.append({**about, "status": "running", "error": error, "epochs": 0, "seconds": 0.0, "metrics": {}})
    return lost


def _name_of(tried: Any, plan: Plan) -> str:
    """Returns the name of a trial of Tune, for its dashboard."""
    return plan.trial(tried.config).name


def _folder_of(tried: Any) -> str:
    """Returns the folder of a trial of Tune."""
    return str(tried.trial_id)


def _candidate(plan: Plan, chosen: Mapping[str, Any]) -> Candidate:
    """Returns the trial as a candidate of admission."""
    from raynas.on_ray.admission import Candidate

    trial = plan.trial(chosen)
    training = training_name(trial.config, plan.sweep.base)
    return Candidate(trial.name, dict(chosen), led_bundles(trial.config), training if training in plan.shared else None)


def trial_resources(chosen: Mapping[str, Any], plan: Plan) -> Any:
    """Returns the resources that Tune reserves for a trial, as a factory of placement groups."""
    from ray.tune import PlacementGroupFactory

    config = plan.trial(chosen).config
    return PlacementGroupFactory([trial_needs(config).resources if is_alone(config) else {"memory": LEADER_MEMORY}])


def run_trial(chosen: Mapping[str, Any], plan: Plan, board: Any = None) -> None:
    """Runs one trial, records its state, and reports its epochs and its end to Tune; Tune calls this function.

    Args:
        chosen: The argument of `Plan.trial`.
        plan: The trials.
        board: The handle of the `Board` that stops them; None if nothing does.
    """
    from ray import tune

    trial, sweep = plan.trial(chosen), plan.sweep
    with mirror_at(sweep.base.location, f"trial-{trial.name}", wait=60) as mirror:
        file = state_file(mirror.folder, trial.name)
        mirror.pull(file)
        begun = TrialState.read(file).begun if file.exists() else time.time()
        state: dict[str, Any] = {"name": trial.name, "point": trial.point, "seed": trial.seed, "begun": begun}
        began = time.perf_counter()

        def keep(
            status: str, epochs: int, metrics: dict[str, float], error: str | None = None, every: float = 0.0
        ) -> None:
            seconds = round(time.perf_counter() - began, 3)
            progress: dict[str, Any] = {
                "status": status,
                "error": error,
                "epochs": epochs,
                "seconds": seconds,
                "metrics": metrics,
            }
            write_record(file, TrialState(**state, **progress))
            mirror.push(file, every=every)

        def report(metrics: dict[str, Any]) -> None:
            known = {name: value for name, value in metrics.items() if name != "epoch"}
            keep("running", metrics["epoch"], known, every=5)
            if sweep.settings.scheduler_row.stops_early or sweep.settings.metric in known:
                tune.report(metrics)

        def say(line: str) -> None:
            state["waits"] = line  # all later states include the line, so that the sweep sees it
            write_record(file, TrialState(**{**TrialState.read(file).stated(), **state}))
            mirror.push(file)

        keep("running", 0, {})
        feed = EpochFeed(report, sweep.settings.metrics)
        metrics: dict[str, float] = {}
        try:
            with stopped_by(board, trial.name):
                metrics = carry_out(trial, sweep, plan.shared, feed, tune.report, say)
        except (Busy, Lost, Stopped):  # Tune starts the trial again
            raise
        except (
            ValueError,
            RuntimeError,
            OSError,
        ) as error:  # Tune also starts the trial again after any other exception
            keep("failed", feed.epochs, metrics, str(error).splitlines()[0])
        else:
            keep("done", feed.epochs, metrics)
    tune.report({sweep.settings.metric: math.nan, **metrics, "epoch": feed.epochs})


# --- Results ---------------------------------------------------------------------------------------------------------


def _write_results(sweep: Sweep, folder: Path) -> dict[str, Any]:
    results = summary(sweep, states_of(folder))
    write_record(folder / RESULTS, ResultsRecord.checked(results, f"{folder / RESULTS}"))
    return results

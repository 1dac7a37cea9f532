"""The command line: `raynas VERB FILE.yaml`. torch and Ray are imported when a verb needs them, not before."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

from raynas.arguments import JOB_VERBS, parse_arguments
from raynas.output import failure_line, patient_output
from raynas.stages import signals

FAILURE = 1

MODULES = {
    "runs": ("run", "train", "search", "retrain", "rank", "profile", "sweep", "check"),
    "architectures": ("network",),
    "networks": ("export", "predict"),
    "pages": ("report", "compare"),
    "jobs": JOB_VERBS,
    "lists": ("list",),
    "files": ("new", "explain", "schema", "completion"),
    "doctor": ("doctor",),
    "ui": ("ui",),
}
"""The modules of `raynas.verbs`, and the verbs that each has a function for."""

ANNOUNCED = ("run", "train", "search", "retrain", "rank", "profile", "sweep")
"""Verbs that say first, before slow imports, what they are about to do."""

_FUNCTIONS = {"list": "list_"}
"""Functions that cannot have the name of their verb."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 invalid input, 1 another failure, 130 interrupted, 143 terminated."""
    options = parse_arguments(None if arguments is None else list(arguments))
    if options.verb in JOB_VERBS:
        return _guarded(options)
    with patient_output() as output:
        status = _guarded(options)
    line = failure_line(output)
    return status if line is None else _end(line, status or FAILURE)


def _guarded(options: argparse.Namespace) -> int:
    """Carries out a verb and returns its exit status, whatever happens."""
    try:
        with signals.handled():
            return _carry_out(options)
    except KeyboardInterrupt as ended:
        number = signal.SIGTERM if isinstance(ended, signals.Terminated) else signal.SIGINT
        return _end(str(ended) or f"{signals.word(number)}; {signals.AGAIN}", 128 + number)
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, SystemExit) as error:  # the last resort
        if os.environ.get("RAYNAS_TRACEBACK"):
            raise
        from raynas.failures import outcome

        status, message = outcome(error, _places(options))
        return _end(message, status)


def _end(message: str, status: int) -> int:
    from raynas.failures import lines_of

    with contextlib.suppress(OSError):  # of a standard error that is closed or full, when nothing can be said
        for line in lines_of(message):
            print(f"raynas: {line}", file=sys.stderr)
    return status


def _places(options: argparse.Namespace) -> dict[str, str]:
    """Returns the files and folders that a command and its run file name, by the option or key that names them."""
    places = {run: run for run in getattr(options, "runs", ())}
    named = {"--out": "out", "--draw": "draw", "NETWORK": "network", "TARGET": "target"}
    places |= {role: place for role, option in named.items() if (place := getattr(options, option, None)) is not None}
    config = getattr(options, "config", None)
    if config is not None:
        from raynas.config.locations import cache_folder, is_url

        places |= {
            "storage_path": str(config.folder if is_url(config.location) else config.folder.parent),
            "data.path": config.data.path,
            "benchmark.path": config.benchmark.path,
            "train.reuse": str(config.supernets) if config.train.reuse else None,
            "cache (XDG_CACHE_HOME)": str(cache_folder()),
        }
    return {role: place for role, place in places.items() if place is not None}


def _carry_out(options: argparse.Namespace) -> int:
    """Carries out a verb and returns its exit status."""
    if options.verb in ANNOUNCED:
        from raynas.config.announcement import announcement

        target = options.target if options.verb == "retrain" else options.file
        print(announcement(options.verb, target, options.overrides, options.quick), flush=True)
    module = next(name for name, verbs in MODULES.items() if options.verb in verbs)
    carry_out: Callable[[argparse.Namespace], int]
    carry_out = getattr(importlib.import_module(f"raynas.verbs.{module}"), _FUNCTIONS.get(options.verb, options.verb))
    return carry_out(options)


if __name__ == "__main__":
    sys.exit(main())

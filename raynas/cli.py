"""The command line: `raynas VERB FILE.yaml`. torch and Ray are imported when a verb needs them, not before."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import Any

import raynas

USER_MISTAKE, FAILURE, INTERRUPTED = 2, 1, 130

VERBS = {
    "run": "train and search: the whole run, or what is left of it",
    "train": "train the supernet",
    "search": "search with the trained supernet",
    "check": "validate a run file; print all its keys, the size of the space and the range of costs",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 a mistake of the user's, 1 a failure, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="raynas",
        description="Neural architecture search at scale: one YAML file in, the best architectures out.",
        epilog="A killed or interrupted run continues where it was when the same command is given again. "
        "RAYNAS_TRACEBACK=1 shows where an error came from.",
    )
    parser.add_argument("--version", action="version", version=f"raynas {raynas.__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, description in VERBS.items():
        command = verbs.add_parser(verb, help=description, description=f"raynas {verb}: {description}.")
        command.add_argument("file", metavar="FILE.yaml", help="the run file; jobs/ has examples")
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            dest="overrides",
            help="override a key, such as --set train.epochs=10; may be repeated",
        )
    options = parser.parse_args(arguments)
    try:
        return _carry_out(options.verb, options.file, options.overrides)
    except KeyboardInterrupt:
        return _end("interrupted; give the same command again to continue", INTERRUPTED)
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ValueError as error:
        if os.environ.get("RAYNAS_TRACEBACK"):
            raise
        return _end(str(error), USER_MISTAKE)
    except (RuntimeError, OSError) as error:
        if os.environ.get("RAYNAS_TRACEBACK"):
            raise
        return _end(_failure(error), FAILURE)


def _end(message: str, status: int) -> int:
    for line in message.splitlines():
        print(f"raynas: {line}", file=sys.stderr)
    return status


def _failure(error: RuntimeError | OSError) -> str:
    if isinstance(error, OSError) and error.filename:
        mend = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"
        return f"storage_path: {error.strerror}: {error.filename}; {mend} and give the same command again to continue"
    return str(error)


def _carry_out(verb: str, file: str, overrides: Sequence[str]) -> int:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a space of the user's own lies beside the run file, as with `python -m`
    from rich.console import Console

    from raynas.config import load_config

    config = load_config(file, overrides)
    console = Console(file=sys.stdout)
    if verb == "check":
        from raynas.orchestration.check import describe

        print(describe(config))
        return 0
    from raynas.orchestration.run import run

    stages = ("train", "search") if verb == "run" else (verb,)
    result = run(config, console, stages)
    if result is not None:
        for line in _table(result):
            print(line)
    print(f"run folder: {config.folder}")
    return 0


def _table(result: dict[str, Any]) -> list[str]:
    """Returns the best architectures as lines of text."""
    several = len(result["base_seeds"]) > 1
    lines = [
        f"{result['evaluations']:,} architectures, {result['functions']:,} different functions, judged by "
        f"{result['fitness']} ({result['angle']}) in {result['seconds']:.2f} s; the best:",
        f"{'':>3}  {'angle':>8}  {'  spread  ' if several else ''}{'parameters':>10}  {'mult-adds':>11}  cell",
    ]
    for rank, best in enumerate(result["best"], start=1):
        spread = f"{best['spread']:8.5f}  " if several else ""
        lines.append(
            f"{rank:>3}  {best['fitness']:8.5f}  {spread}{best['num_parameters']:>10,}  {best['multiply_adds']:>11,}  "
            f"{best['description']}"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())

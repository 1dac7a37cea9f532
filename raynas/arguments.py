"""The arguments of the command line: its verbs and their options. Imports nothing slow, so that help is instant."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import raynas

VERBS = {
    "new": "write a commented run file to begin with",
    "list": "list algorithms, spaces, fitnesses, searchers, data sets, trackers, jobs, recipes or runs",
    "explain": "print what a key, a section or a member of a run file means",
    "check": "validate a run file; print all keys, the size of the space and the range of costs",
    "run": "train, search and retrain as a run file says; continue what was interrupted",
    "train": "train the supernet of a run",
    "search": "search with the trained supernet of a run",
    "rank": "compare the fitness with a benchmark: rank correlation, beside that of baselines",
    "retrain": "train the best architectures of a run, or a given one, from scratch, and test them beside controls",
    "profile": "measure the latency of every candidate on this device, and how well it predicts whole networks",
    "sweep": "carry out a run for every combination of the keys in the section `sweep` of a run file",
    "report": "write the page of a run or sweep: HTML with its figures",
    "compare": "write one page of several runs, side by side",
    "ui": "show the runs of a folder in a browser, live while they go on",
    "network": "describe an architecture: text, parameters, multiply-adds; or list the published ones",
    "export": "write a network as a folder: safetensors, torch.export, ONNX or a module of plain torch",
    "predict": "print the most probable classes of images, or continue texts",
    "submit": "send a run file to a Ray cluster as a job",
    "jobs": "list the jobs of a cluster, or show or follow one of them",
    "stop": "stop a job, and wait until it has stopped",
    "doctor": "check this machine: versions, devices, limits, storage, Ray",
    "schema": "print the JSON schema of run files, for editors",
    "completion": "print the script that completes commands in bash, zsh or fish",
}
"""What each verb does, in the words of the help."""

LISTS = ("algorithms", "spaces", "fitnesses", "searchers", "data", "trackers", "jobs", "recipes", "runs")
"""What `raynas list` can list."""

SHELLS = ("bash", "zsh", "fish")
"""The shells that `raynas completion` knows."""

JOB_VERBS = ("submit", "jobs", "stop")
"""Verbs that talk to a cluster, and leave the standard streams to its log."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Returns the options of a command line; ends the process where they are wrong or help is asked for.

    Args:
        arguments: The words after the program's name; those of this process by default.
    """
    return command_line().parse_args(arguments)


def command_line() -> argparse.ArgumentParser:
    """Returns the parser of the command line. Help and completion are made of it."""
    parser = argparse.ArgumentParser(
        prog="raynas",
        description="Neural architecture search at scale: a YAML run file in, the best architectures out. "
        "Begin with `raynas run jobs:quickstart`, or with `raynas new NAME`.",
        epilog="The same command continues a run that was killed or interrupted. "
        "RAYNAS_TRACEBACK=1 shows where an error came from.",
    )
    parser.add_argument("--version", action="version", version=f"raynas {raynas.__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, description in VERBS.items():
        command = verbs.add_parser(verb, help=description, description=f"raynas {verb}: {description}.")
        for add in _ADDED[verb]:
            add(command, verb)
    return parser


def _add_run_file(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what every verb takes that carries out or checks a run file."""
    command.add_argument(
        "file", metavar="FILE.yaml", help="the run file; jobs:NAME for one of raynas, see `raynas list jobs`"
    )
    _add_overrides(command)


def _add_overrides(command: argparse.ArgumentParser) -> None:
    """Adds what changes keys of a run file."""
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a key, such as --set train.epochs=10; may be repeated",
    )
    command.add_argument(
        "--name",
        action="append",
        default=[],
        type=_name_override,
        metavar="NAME",
        dest="overrides",
        help="the name of the run and of its folder; the file's own name by default",
    )
    command.add_argument(
        "--quick",
        action="store_true",
        help="take the keys under `quick` in the file before the others: the same run in small, in a folder of its own",
    )


def _name_override(name: str) -> str:
    """Returns the override that names a run, in quotes, so that YAML reads a text."""
    return f"name={json.dumps(name)}"


def _add_json(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds the output for programs."""
    command.add_argument("--json", action="store_true", help="print JSON, for programs")


def _add_list(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what is to be listed."""
    command.add_argument(
        "kind", nargs="?", choices=LISTS, metavar="KIND", help=f"one of {', '.join(LISTS)}; all names by default"
    )
    command.add_argument(
        "folder", nargs="?", metavar="DIR", help="for `runs`: the folder of the runs; `runs` by default"
    )


def _add_new(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what a new run file is for."""
    command.add_argument("name", metavar="NAME", help="the name of the run; the file is NAME.yaml")
    command.add_argument(
        "--algorithm", default="rlnas", metavar="NAME", help="see `raynas list algorithms`; by default rlnas"
    )
    command.add_argument(
        "--space", default="nasbench201", metavar="NAME", help="see `raynas list spaces`; by default nasbench201"
    )
    command.add_argument(
        "--data",
        default="digits",
        metavar="NAME",
        help="see `raynas list data`, or a folder of images or an .npz file; by default digits",
    )
    command.add_argument("--path", metavar="PATH", help="the file or folder of the data set")


def _add_explain(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what is to be explained."""
    command.add_argument(
        "key", metavar="KEY", help="a key such as train.epochs, a section such as train, or a member such as rlnas"
    )
    command.add_argument("--file", metavar="FILE.yaml", help="say the value in this run file too")
    _add_overrides(command)


def _add_shell(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds the shell of a completion."""
    command.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"{', '.join(SHELLS[:-1])} or {SHELLS[-1]}")


def _add_doctor(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what a check of the machine looks at."""
    command.add_argument(
        "--storage", default="runs", metavar="LOCATION", help="the folder or URL to write to; `runs` by default"
    )
    command.add_argument("--address", metavar="ADDRESS", help="the Ray cluster to reach; the one at hand by default")


def _add_runs(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what the verbs take that write pages of runs."""
    command.add_argument(
        "runs",
        nargs="+" if verb == "compare" else 1,
        metavar="RUN",
        help="the folder or URL of a run or sweep, or its run file",
    )
    command.add_argument(
        "--reuse",
        action="append",
        default=[],
        metavar="LOCATION",
        help="a folder or URL outside of the storage of RUN whose supernets RUN reuses: read them too; may be repeated",
    )
    if verb == "compare":
        command.add_argument("--out", default="comparison.html", metavar="FILE.html", help="the page to write")


def _add_network(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what the verbs take that use a network."""
    command.add_argument("network", metavar="NETWORK", help="the folder of a run or of an exported network")
    command.add_argument(
        "--architecture",
        metavar="K",
        help="of a run: the rank among the best, from 0, or the text of an architecture; 0 by default",
    )
    command.add_argument(
        "--weights",
        choices=("retrained", "inherited", "initial"),
        help="of a run: the weights; retrained by default if there are any, else inherited from the supernet",
    )
    command.add_argument(
        "--seed", type=int, metavar="N", help="of a run: the seed of the training; the first one by default"
    )
    command.add_argument(
        "--retraining", metavar="NAME", help="of a run: the name of the retraining, if there are several"
    )
    command.add_argument(
        "--own",
        action="store_true",
        help="execute code of the network, which must be your own; the format pt2 and spaces of your own need it",
    )
    if verb == "predict":
        command.add_argument(
            "images",
            nargs="+",
            metavar="IMAGE",
            help="image files of any size and format; texts, of a run on a text",
        )
        command.add_argument(
            "--top",
            type=int,
            default=5,
            metavar="K",
            help="the number of classes to print for each image, or of next words; 5 by default",
        )
    else:
        command.add_argument(
            "--format", required=True, metavar="FORMAT", help="safetensors, pt2 (torch.export), onnx or python"
        )
        command.add_argument(
            "--out", required=True, metavar="FOLDER", help="the folder to write; it replaces an earlier export"
        )


def _add_job(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds the job that a verb is about."""
    command.add_argument("job", nargs="?" if verb == "jobs" else None, metavar="ID", help="the ID of a job")


def _add_job_options(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what the verbs of jobs take."""
    command.add_argument(
        "--address",
        metavar="URL",
        help="the cluster's dashboard; by default RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265",
    )
    if verb == "stop":
        return
    command.add_argument(
        "--follow", action="store_true", help="print the log of the job until it ends; exit with its exit status"
    )
    if verb == "jobs":
        return
    command.add_argument("--id", metavar="ID", help="the ID of the job; by default the name of the run and six figures")
    command.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an environment variable of the job; may be repeated",
    )
    command.add_argument(
        "--list",
        action="store_true",
        help="print the files, their sizes and the environment variables; send nothing",
    )


def _add_rank_options(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what only a ranking takes."""
    command.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="the number of architectures to rank, always the same ones; by default 1,000 if the fitness runs "
        "networks, else the whole space",
    )
    command.add_argument(
        "--every-epoch",
        action="store_true",
        help="rank by angle or displacement after every epoch of the training, too",
    )


def _add_retrain_options(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what a retraining takes."""
    command.add_argument(
        "target",
        metavar="TARGET",
        help="a run file, the folder of a run, the text of an architecture, or the name of a published one",
    )
    command.add_argument(
        "--recipe", metavar="NAME", help="the recipe, see `raynas list recipes`, or a YAML file of your own"
    )
    command.add_argument("--top", type=int, metavar="K", help="the number of best architectures to train")
    command.add_argument("--seeds", type=int, metavar="N", help="the number of seeds to train each network from")
    _add_overrides(command)


def _add_network_options(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what the description of an architecture takes."""
    command.add_argument(
        "architecture",
        nargs="?",
        metavar="ARCHITECTURE",
        help="the text of an architecture, in quotes, or the name of a published one; lists the latter by default",
    )
    command.add_argument(
        "--space", metavar="NAME", help="the space of the architecture; by default the one that can read its text"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="space.KEY=VALUE",
        dest="overrides",
        help="set a key of the space, such as --set space.channels=36; may be repeated",
    )
    command.add_argument("--resolution", type=int, metavar="PIXELS", help="height and width of an image; 32 by default")
    command.add_argument("--classes", type=int, metavar="N", help="number of classes; 10 by default")
    command.add_argument("--latency", action="store_true", help="measure the latency of one image on this machine")
    command.add_argument("--draw", metavar="FILE.svg", help="draw the architecture into a file")


def _add_ui(command: argparse.ArgumentParser, verb: str) -> None:
    """Adds what the server of pages takes."""
    command.add_argument(
        "folder", nargs="?", default="runs", metavar="DIR", help="the folder or URL of runs; runs by default"
    )
    command.add_argument("--port", type=int, default=8642, metavar="N", help="the port of 127.0.0.1; 0 for a free one")


_OF_RUN_FILE = (_add_run_file,)

_ADDED: dict[str, tuple[Callable[[argparse.ArgumentParser, str], None], ...]] = {
    **dict.fromkeys(VERBS, _OF_RUN_FILE),
    **dict.fromkeys(("report", "compare"), (_add_runs,)),
    **dict.fromkeys(("export", "predict"), (_add_network,)),
    "ui": (_add_ui,),
    "jobs": (_add_job, _add_job_options, _add_json),
    "stop": (_add_job, _add_job_options),
    "submit": (_add_run_file, _add_job_options),
    "rank": (_add_run_file, _add_rank_options),
    "retrain": (_add_retrain_options,),
    "network": (_add_network_options, _add_json),
    "check": (_add_run_file, _add_json),
    "new": (_add_new,),
    "list": (_add_list, _add_json),
    "explain": (_add_explain,),
    "doctor": (_add_doctor, _add_json),
    "schema": (),
    "completion": (_add_shell,),
}
"""What adds the arguments of each verb."""

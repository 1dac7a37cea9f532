"""Who may import whom: every import statement of raynas against the table of the design."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

import raynas
from tests.report import runs

PACKAGE = Path(raynas.__file__).parent

CORE = ("search_space", "capabilities", "search", "data", "training", "supernet", "spaces", "fitness")
ANYTHING = None
EVERYWHERE = ("errors", "optional")  # what every part may import besides itself

# Part of raynas -> (parts of raynas it may import besides itself, packages outside the standard library).
TABLE = {
    # Only for type checkers: test_api holds that the import loads none of them.
    "__init__": (("api", "errors", "fitness", "networks", "opened_run", "search", "search_space"), ()),
    "__main__": (("cli",), ()),
    "arguments": ((), ()),
    "search_space": ((), ("numpy",)),
    "capabilities": (("search_space",), ("numpy",)),
    "network_capabilities": (("capabilities", "search_space"), ()),
    "search": (("capabilities", "members", "options", "search_space"), ("numpy", "moocore", "pydantic")),
    "data": (
        ("failures", "members", "messages", "optional", "options"),
        ("pydantic", "torch", "torchvision", "numpy", "PIL", "pyarrow"),
    ),
    "training": (("options",), ("torch", "torchvision", "numpy", "pydantic")),
    "supernet": (("capabilities", "members", "options", "search_space", "training"), ("torch", "numpy", "pydantic")),
    "spaces": (
        (
            *("members", "messages", "search_space"),
            *("supernet.gates", "supernet.choice_block", "supernet.chain", "supernet.folding"),
            "training.window",
        ),
        ("torch", "numpy"),
    ),
    "fitness": (
        ("capabilities", "members", "messages", "options", "search_space", "supernet", "training", "data"),
        ("torch", "numpy", "scipy", "nats_bench", "pydantic"),
    ),
    "algorithms": ((*CORE, "members"), ("torch", "numpy", "scipy")),
    "own_modules": ((), ()),
    "messages": ((), ()),
    "docstrings": ((), ()),
    "errors": ((), ()),
    "optional": ((), ()),
    "failures": (("messages",), ()),
    "output": ((), ()),
    "members": (("failures", "messages", "own_modules"), ()),
    "options": (("messages",), ("pydantic", "pydantic_core")),
    "config": (
        (
            *(*CORE, "algorithms", "docstrings", "failures", "members", "messages", "optional", "options", "records"),
            *("network_capabilities", "recipes", "sweep_metrics", "trackers"),
        ),
        ("pydantic", "pydantic_core", "yaml", "numpy"),
    ),
    "storage": (
        ("config", "failures", "messages", "records"),
        ("torch", "numpy", "pydantic", "pyarrow", "safetensors"),
    ),
    "stages": (
        (
            *CORE,
            "algorithms",
            "members",
            "options",
            "own_modules",
            "config",
            "failures",
            "messages",
            "networks",
            "records",
            "recipes",
            "storage",
            "trackers",
        ),
        ("torch", "numpy", "pyarrow", "yaml", "rich", "safetensors", "scipy"),
    ),
    "on_ray": (
        (
            *CORE,
            "own_modules",
            "config",
            "failures",
            "members",
            "messages",
            "records",
            "storage",
            "stages",
            "report",
            "sweep_metrics",
        ),
        ("ray", "optuna", "torch", "numpy", "rich", "pathspec", "yaml"),
    ),
    "networks": (
        (
            *("capabilities", "data", "failures", "members", "messages", "own_modules", "records", "search_space"),
            *("network_capabilities", "spaces", "supernet", "training", "config.locations", "config.made_space"),
        ),
        ("torch", "torchvision", "numpy", "safetensors", "pydantic", "PIL", "onnx", "onnxscript", "onnxruntime"),
    ),
    "records": (("docstrings", "messages"), ("pydantic", "numpy")),
    "recipes": (("config.yaml_text", "messages"), ()),
    "sweep_metrics": (("members",), ()),
    "trackers": (
        ("members", "messages", "optional", "options", "records"),
        ("pydantic",),
    ),
    "report": (
        ("search_space", "config.locations", "records", "sweep_metrics"),
        ("matplotlib", "numpy", "jinja2", "scipy"),
    ),
    "ui": (("report", "storage.run_list"), ()),
    "api": ANYTHING,
    "opened_run": ANYTHING,
    "verbs": ANYTHING,
    "cli": ANYTHING,
}

# Only for type checkers, so that annotations can name modules where nothing of torch is loaded.
TYPE_CHECKING_ONLY = {
    "search_space": ("torch",),
    "capabilities": ("torch",),
    "network_capabilities": ("torch",),
    "config": ("typing_extensions",),
    "stages": ("typing_extensions",),
    "on_ray": ("typing_extensions",),
}


def imports_of(source: str) -> list[tuple[int, str, bool]]:
    """Returns line, full dotted name, and whether only a type checker sees it, of every import, nested ones too."""
    tree = ast.parse(source)
    guarded = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for child in ast.walk(statement)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [(node.lineno, name, id(node) in guarded) for name in names]
    return found


def violations(part: str, source: str) -> list[str]:
    """Returns the imports of a module of `part` that the table does not allow, as ``line: name``."""
    if TABLE[part] is ANYTHING:
        return []
    inside, outside = TABLE[part]
    bad = []
    for line, name, type_checking in imports_of(source):
        root, _, rest = name.partition(".")
        if root == "raynas":
            ok = rest in ("", "__version__") or any(
                f"{rest}.".startswith(f"{allowed}.") for allowed in (part, *EVERYWHERE, *inside)
            )
        else:
            ok = root in sys.stdlib_module_names or root in outside
            ok |= type_checking and root in TYPE_CHECKING_ONLY.get(part, ())
        if not ok:
            bad.append(f"{line}: {name}")
    return bad


def modules() -> list[tuple[str, Path]]:
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in sorted(PACKAGE.rglob("*.py"))]


def module_names() -> dict[str, Path]:
    """Returns the file of every module by its dotted name, such as ``raynas.spaces.darts``."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported_modules(source: str, names: Collection[str]) -> set[str]:
    """Returns the modules that a source imports anywhere: at its top, in functions, and for type checkers."""
    found = set()
    for _, name, _ in imports_of(source):
        while name not in names and "." in name:
            name = name.rpartition(".")[0]
        if name in names and name != "raynas":
            found.add(name)
    return found


def circles(imports: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Returns the groups of modules of which each reaches all others by imports, each sorted."""

    def reached_from(module: str) -> set[str]:
        reached: set[str] = set()
        waiting = [module]
        while waiting:
            new = set(imports[waiting.pop()]) - reached
            reached |= new
            waiting += new
        return reached

    reached = {module: reached_from(module) for module in imports}
    groups = set()
    for module in imports:
        group = [other for other in reached[module] if module in reached[other]]
        if set(group) - {module}:
            groups.add(tuple(sorted(group)))
    return [list(group) for group in sorted(groups)]


def test_every_part_of_raynas_has_a_row_in_the_table():
    assert {part for part, _ in modules()} == set(TABLE)


def test_every_import_is_one_that_the_table_allows():
    assert len(modules()) > 30
    found = {str(path): bad for part, path in modules() if (bad := violations(part, path.read_text(encoding="utf-8")))}
    assert found == {}


def test_no_two_modules_import_each_other():
    names = module_names()
    imports = {name: imported_modules(path.read_text(encoding="utf-8"), names) for name, path in names.items()}
    assert sum(map(len, imports.values())) > 300
    # The package of the algorithms lists its own modules, which take the class of their rows from it.
    assert [group for group in circles(imports) if group[0] != "raynas.algorithms"] == []


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ({"a": "b", "b": "c", "c": ""}, []),
        ({"a": "a", "b": "a"}, []),
        ({"a": "b", "b": "a", "c": "ab"}, [["a", "b"]]),
        ({"a": "b", "b": "c", "c": "ad", "d": "e", "e": "d"}, [["a", "b", "c"], ["d", "e"]]),
    ],
)
def test_a_circle_of_imports_is_found(imports, found):
    assert circles(imports) == found


def test_an_import_inside_a_function_is_one_of_its_module():
    source = "def f():\n    from raynas.spaces.darts import Darts\nif TYPE_CHECKING:\n    from raynas import options, x"
    assert imported_modules(source, module_names()) == {"raynas.spaces.darts", "raynas.options"}


def test_only_on_ray_may_import_ray():
    allowed = {part for part, row in TABLE.items() if row is not ANYTHING and "ray" in row[1]}
    assert allowed == {"on_ray"}
    for part, path in modules():
        roots = {name.partition(".")[0] for _, name, _ in imports_of(path.read_text(encoding="utf-8"))}
        assert "ray" not in roots or part == "on_ray", path


@pytest.mark.parametrize(
    ("part", "source", "bad"),
    [
        ("search_space", "import torch", ["1: torch"]),
        ("search_space", "if TYPE_CHECKING:\n    import ray\nelse:\n    import torch", ["2: ray", "4: torch"]),
        ("search", "def f():\n    import torch.nn as nn", ["2: torch.nn"]),
        ("search", "if typing.TYPE_CHECKING:\n    import torch", ["2: torch"]),
        ("spaces", "from raynas.supernet.one_shot import Workers", ["1: raynas.supernet.one_shot.Workers"]),
        ("spaces", "from raynas.supernet import gates, one_shot", ["1: raynas.supernet.one_shot"]),
        ("spaces", "import raynas.supernet.gates_of_hell", ["1: raynas.supernet.gates_of_hell"]),
        ("data", "from raynas import search_space", ["1: raynas.search_space"]),
        ("training", "class A:\n    from raynas.data import Loader", ["2: raynas.data.Loader"]),
        ("supernet", "try:\n    import ray\nexcept ImportError:\n    ray = None", ["2: ray"]),
        ("fitness", "from ..spaces import nasbench201", ["1: ..spaces.nasbench201"]),
        ("algorithms", "from raynas.config.reading import load_config", ["1: raynas.config.reading.load_config"]),
        ("config", "import torch, pydantic", ["1: torch"]),
        ("stages", "import raynas.cli", ["1: raynas.cli"]),
        (
            "report",
            "from raynas.storage.run_folder import write_json\nimport torch",
            ["1: raynas.storage.run_folder.write_json", "2: torch"],
        ),
        ("__init__", "import numpy", ["1: numpy"]),
    ],
)
def test_a_forbidden_import_is_found_wherever_it_stands(part, source, bad):
    assert violations(part, source) == bad


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("search_space", "import math\nif TYPE_CHECKING:\n    from torch import nn"),
        ("spaces", "from raynas.supernet.gates import Gate\nfrom raynas.supernet import gates\nimport raynas.spaces.x"),
        ("on_ray", "def f():\n    import ray.train\n    from raynas.fitness.angle import Angle"),
        ("cli", "import anything"),
    ],
)
def test_an_allowed_import_is_let_through(part, source):
    assert violations(part, source) == []


def loaded_by(code: str, names: tuple[str, ...]) -> list[str]:
    """Returns which of the packages are loaded once a fresh interpreter has run `code`."""
    report = f"\nimport sys\nprint('loaded', *[name for name in {names} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code + report], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()[-1].split()[1:]


HELP = """
import runpy, sys
sys.argv = ["raynas", "--help"]
try:
    runpy.run_module("raynas", run_name="__main__")
except SystemExit as end:
    assert not end.code
"""


@pytest.mark.parametrize("code", ["import raynas.cli", HELP], ids=["import", "help"])
def test_the_command_line_starts_without_loading_what_is_slow(code):
    slow = ("torch", "ray", "numpy", "pydantic", "matplotlib")
    assert loaded_by(f"import sys\n{code}", slow) == []


def test_searching_needs_no_torch():
    code = "import raynas.search, raynas.search_space"
    assert loaded_by(code, ("numpy", "torch", "ray")) == ["numpy"]


def test_the_page_of_a_run_that_states_its_defaults_is_made_without_torch(tmp_path):
    runs.write_run(tmp_path / "example")
    file = tmp_path / "example/config.json"
    runs.write_json(file, {**json.loads(file.read_text()), "defaults": {"train.epochs": 250}})
    code = f"from raynas.cli import main\nassert main(['report', {str(tmp_path / 'example')!r}]) == 0"
    assert loaded_by(code, ("matplotlib", "torch", "ray")) == ["matplotlib"]
    page = (tmp_path / "example/report/index.html").read_text()
    assert "Keys that differ from the defaults" in page and ">250<" in page.replace("\n", "").replace(" ", "")

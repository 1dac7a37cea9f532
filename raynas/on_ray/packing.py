"""The files of a job: those of the current folder, and raynas if it is not installed.

Data, runs, environments, caches, weights and hidden files are left out. Files in a ``.gitignore`` or ``.rayignore`` at
any depth are left out too, by the rules of git; in one folder ``.rayignore`` follows ``.gitignore``. Files that look
like secrets, and links that lead out of the folder, are errors: move them, or add them to ``.rayignore``.
"""

from __future__ import annotations

import fnmatch
import os
import re
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from raynas.config.job_files import job_folder
from raynas.errors import InputError

LEFT_OUT = ("data", "datasets", "runs", "build", "dist", "wandb", "mlruns")
"""Folders that are left out at any depth, unless they are Python packages."""

CACHES = ("__pycache__", "node_modules")
WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt", ".pyc")
"""Folders and file endings that are always left out."""

IGNORE_FILES = (".gitignore", ".rayignore")

SECRET_NAMES = (
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.kdbx"),
    *("credentials", "credentials*.json", "client_secret*.json", "service[-_]account*.json", "token.json", "*.env"),
    *("netrc", "_netrc", "pypirc", "kubeconfig*", "*.kubeconfig", "htpasswd", "secrets.y*ml", "secrets.json"),
)
"""Names of files with keys, passwords or tokens; hidden files, such as .env, are left out in any case."""

SECRET_TEXTS = {
    "a private key": re.compile(rb"^-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----", re.MULTILINE),
    "the key of a service account": re.compile(
        rb"\A\s*\{(?=.*\"type\"\s*:\s*\"service_account\").*\"private_key\"\s*:", re.DOTALL
    ),
    "an AWS key": re.compile(
        rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|aws_secret_access_key[\"']?\s*[=:]\s*[\"']?[0-9A-Za-z/+]{40}\b"
    ),
    "an access token": re.compile(rb"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_\w{60,}|hf_[0-9A-Za-z]{34})\b"),
}
"""Patterns of secrets at the beginning of a file."""

SCANNED = 1 << 20
"""Bytes of a file that are searched for secrets."""

OWN_NAMES = sys.stdlib_module_names | {
    *("matplotlib", "moocore", "numpy", "optuna", "pathspec", "pyarrow", "pydantic", "ray", "rich", "safetensors"),
    *("scipy", "sklearn", "tensorboard", "torch", "torchvision", "yaml"),
}
"""Modules of Python and of packages, which the folder of a job would hide on a cluster."""


@dataclass(frozen=True)
class Package:
    """The files of a job.

    Attributes:
        folder: The folder that becomes the job's working directory.
        files: The files by their path in the archive.
    """

    folder: Path
    files: dict[str, Path]

    def write(self, archive: Path) -> None:
        """Writes the archive; equal files give equal bytes, which Ray recognises and does not upload again."""
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
            for name, file in sorted(self.files.items()):
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (file.stat().st_mode & 0o777) << 16
                content.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)

    def lines(self) -> list[str]:
        """Returns one line for each file, with size in bytes and path, and a line with the sum."""
        sizes = {name: file.stat().st_size for name, file in sorted(self.files.items())}
        listed = [f"{size:>12,}  {name}" for name, size in sizes.items()]
        return [*listed, f"{sum(sizes.values()):>12,}  bytes in {len(sizes):,} files"]


def package(folder: Path) -> Package:
    """Returns the files of a folder that a job needs.

    Raises:
        InputError: If a file looks like a secret, a link leads out of the folder, or a module takes the place of one of
            Python or of a package.
    """
    files = _files(folder)
    for name, file in files.items():
        _check_file(name, file)
    _check_modules(files)
    installed = Path(__file__).parents[1]
    if "raynas/__init__.py" not in files and not installed.is_relative_to(sysconfig.get_path("purelib")):
        files |= {f"raynas/{name}": file for name, file in _files(installed).items()}
        files |= {f"raynas/jobs/{file.name}": file for file in job_folder().glob("*.yaml")}
    return Package(folder, files)


def _files(folder: Path) -> dict[str, Path]:
    """Returns the files of a folder that a job gets, by their path in the folder.

    Raises:
        InputError: If a link leads to a file that is left out.
    """
    files: dict[str, Path] = {}
    links: dict[Path, bool] = {}
    rules = _Rules(folder)
    for place, folders, names in os.walk(folder):
        here = Path(place)
        rules.read(here)
        kept = [name for name in sorted(folders) if _is_sent(here / name) and not rules.ignore(here / name, True)]
        folders[:] = [name for name in kept if not (here / name).is_symlink()]
        links |= {here / name: False for name in kept if (here / name).is_symlink()}
        for name in sorted(names):
            file = here / name
            if name.startswith(".") or file.suffix in WEIGHTS or rules.ignore(file, False):
                continue
            if file.is_symlink():
                links[file] = True
            elif file.is_file():
                files[file.relative_to(folder).as_posix()] = file
    return files | _linked(folder, files, links)


def _linked(folder: Path, files: dict[str, Path], links: dict[Path, bool]) -> dict[str, Path]:
    """Returns the links to files of the job, by their path.

    Args:
        folder: The folder.
        files: The files of the job.
        links: The links in the folder, and whether each leads to a file.

    Raises:
        InputError: If a link leads out of the folder, or to a file that is left out.
    """
    real = folder.resolve()
    sent = {file.resolve() for file in files.values()}
    found = {}
    for link, is_file in links.items():
        name, target = link.relative_to(folder).as_posix(), Path(os.path.realpath(link))
        if not target.is_relative_to(real):
            raise InputError(
                f"{name}: expected files of {folder}, got a link to {target}; copy that, or add /{name} to .rayignore"
            )
        if is_file and target.exists() and target not in sent:
            raise InputError(
                f"{name}: expected a link to a file that is sent, got one to {target}; add /{name} to .rayignore"
            )
        if is_file and target.exists():
            found[name] = link
    return found


class _Rules:
    """The rules of the ignore files of a folder, and of its parents up to the top of the git repository.

    If the outer files ignore the folder itself, they do not apply, since the user chose the folder.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the files above a folder."""
        self._specs: dict[Path, GitIgnoreSpec] = {}
        self._folder, self._real = folder, folder.resolve()
        places = [self._real, *self._real.parents]
        depth = next((depth for depth, place in enumerate(places) if (place / ".git").exists()), None)
        if depth is not None:
            self._read(places[depth], places[depth] / ".git/info/exclude")
            for place in places[1:depth]:
                self._read(place)
            if self._is_ignored(self._real, is_folder=True):
                self._specs.clear()

    def read(self, place: Path) -> None:
        """Adds the ignore files of a folder."""
        self._read(self._real / place.relative_to(self._folder))

    def _read(self, place: Path, *first: Path) -> None:
        files = [*first, *(place / name for name in IGNORE_FILES)]
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
        if texts and place not in self._specs:
            self._specs[place] = GitIgnoreSpec.from_lines("\n".join(texts).splitlines())

    def ignore(self, path: Path, is_folder: bool) -> bool:
        """Returns whether the last matching line ignores a path; the innermost file comes first."""
        return self._is_ignored(self._real / path.relative_to(self._folder), is_folder)

    def _is_ignored(self, path: Path, is_folder: bool) -> bool:
        for place in path.parents:
            if place in self._specs:
                name = path.relative_to(place).as_posix() + ("/" if is_folder else "")
                verdict = self._specs[place].check_file(name).include
                if verdict is not None:
                    return verdict
        return False


def _is_sent(folder: Path) -> bool:
    """Returns whether a folder is included, by its name and its content."""
    if folder.name.startswith(".") or folder.name in CACHES or folder.name.endswith(".egg-info"):
        return False
    if (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").exists():
        return False
    return folder.name not in LEFT_OUT or (folder / "__init__.py").exists()


def _check_file(name: str, file: Path) -> None:
    """Checks that a file does not look like a secret.

    Raises:
        InputError: If its name or its beginning looks like a secret.
    """
    last = name.rpartition("/")[2].lower()
    found = "a name of secrets" if any(fnmatch.fnmatchcase(last, pattern) for pattern in SECRET_NAMES) else None
    if last.endswith(".pub"):
        found = None
    with file.open("rb") as stream:
        beginning = stream.read(SCANNED)
    for description, pattern in SECRET_TEXTS.items():
        if pattern.search(beginning):
            found = description
    if found is not None:
        raise InputError(
            f"{name}: expected files that a cluster may see, got {found}; move it away, or add /{name} to .rayignore"
        )


def _check_modules(files: dict[str, Path]) -> None:
    """Checks that no module at the top hides a module of Python or of a package.

    Raises:
        InputError: If a module does.
    """
    for name in files:
        module = name.removesuffix(".py") if "/" not in name and name.endswith(".py") else None
        if name.count("/") == 1 and name.endswith("/__init__.py"):
            module = name.partition("/")[0]
        if module in OWN_NAMES:
            raise InputError(
                f"{name}: would be imported in the place of the module {module} on the cluster; rename it, or add "
                f"/{name} to .rayignore"
            )

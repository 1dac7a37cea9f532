"""What a job takes along: the files of the folder that the command is given in, and raynas where it is not installed.

Left out are data, runs, environments, caches, weights, hidden files, and what ``.gitignore`` and ``.rayignore`` name at
any depth, as git reads them; in one folder the lines of ``.rayignore`` come after those of ``.gitignore``. Refused are
files that look like secrets, and links that lead out of the folder: each has to be moved, or named in ``.rayignore``.
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

from raynas.errors import InputError

LEFT_OUT = ("data", "datasets", "runs", "build", "dist", "wandb", "mlruns")
"""Folders that are not sent from any depth, unless they are Python packages."""

CACHES = ("__pycache__", "node_modules")
WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt", ".pyc")
"""Folders and endings of files that are sent from nowhere."""

IGNORE_FILES = (".gitignore", ".rayignore")

SECRET_NAMES = (
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.kdbx"),
    *("credentials", "credentials*.json", "client_secret*.json", "service[-_]account*.json", "token.json", "*.env"),
    *("netrc", "_netrc", "pypirc", "kubeconfig*", "*.kubeconfig", "htpasswd", "secrets.y*ml", "secrets.json"),
)
"""Names of files that hold keys, passwords or tokens; of the hidden ones, such as .env, none is sent anyway."""

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
"""What the beginning of a file shows that is a secret."""

SCANNED = 1 << 20
"""Bytes of a file that are looked at for secrets."""

OWN_NAMES = sys.stdlib_module_names | {
    *("matplotlib", "moocore", "numpy", "optuna", "pathspec", "pyarrow", "pydantic", "ray", "rich", "safetensors"),
    *("scipy", "sklearn", "tensorboard", "torch", "torchvision", "yaml"),
}
"""Modules of Python and of packages: Ray puts the sent folder in front of them on a cluster."""


@dataclass(frozen=True)
class Package:
    """What a job takes along.

    Attributes:
        folder: The folder that becomes the job's working directory.
        files: Its files by their path in the archive.
    """

    folder: Path
    files: dict[str, Path]

    def write(self, archive: Path) -> None:
        """Writes the archive; the same files give the same bytes, which Ray then knows and does not take again."""
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
            for name, file in sorted(self.files.items()):
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (file.stat().st_mode & 0o777) << 16
                content.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)

    def lines(self) -> list[str]:
        """Returns a line for each file, its size in bytes and its path, and one for all of them."""
        sizes = {name: file.stat().st_size for name, file in sorted(self.files.items())}
        listed = [f"{size:>12,}  {name}" for name, size in sizes.items()]
        return [*listed, f"{sum(sizes.values()):>12,}  bytes in {len(sizes):,} files"]


def package(folder: Path) -> Package:
    """Returns what a job needs of a folder.

    Raises:
        InputError: If a file looks like a secret, a link leads out of the folder, or a module takes the place of one of
            Python or of a package.
    """
    files = _files(folder)
    for name, file in files.items():
        _check_file(name, file)
    _check_modules(files)
    own = Path(__file__).parents[1]
    if "raynas/__init__.py" not in files and not own.is_relative_to(sysconfig.get_path("purelib")):
        files |= {f"raynas/{name}": file for name, file in _files(own).items()}
    return Package(folder, files)


def _files(folder: Path) -> dict[str, Path]:
    """Returns the files of a folder that are sent, by their path in it.

    Raises:
        InputError: If a link leads to something that is not sent.
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
    """Returns the links to files that are sent, by their path.

    Args:
        folder: The folder.
        files: The files that are sent.
        links: The links in it, and whether each is one to a file.

    Raises:
        InputError: If one leads out of the folder, or to a file that is not sent.
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
    """What the ignore files say of a folder, and those above it up to the top of its git repository.

    A folder that the outer files ignore was chosen all the same: then they do not count.
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
        """Takes the ignore files of a folder."""
        self._read(self._real / place.relative_to(self._folder))

    def _read(self, place: Path, *first: Path) -> None:
        files = [*first, *(place / name for name in IGNORE_FILES)]
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
        if texts and place not in self._specs:
            self._specs[place] = GitIgnoreSpec.from_lines("\n".join(texts).splitlines())

    def ignore(self, path: Path, is_folder: bool) -> bool:
        """Returns whether the last line that matches a path ignores it; the innermost file is asked first."""
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
    """Returns whether a folder is sent, from what it is called and what lies in it."""
    if folder.name.startswith(".") or folder.name in CACHES or folder.name.endswith(".egg-info"):
        return False
    if (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").exists():
        return False
    return folder.name not in LEFT_OUT or (folder / "__init__.py").exists()


def _check_file(name: str, file: Path) -> None:
    """Checks that a file does not look like a secret.

    Raises:
        InputError: If its name or its beginning does.
    """
    last = name.rpartition("/")[2].lower()
    found = "a name of secrets" if any(fnmatch.fnmatchcase(last, pattern) for pattern in SECRET_NAMES) else None
    if last.endswith(".pub"):
        found = None
    with file.open("rb") as stream:
        beginning = stream.read(SCANNED)
    for what, pattern in SECRET_TEXTS.items():
        if pattern.search(beginning):
            found = what
    if found is not None:
        raise InputError(
            f"{name}: expected files that a cluster may see, got {found}; move it away, or add /{name} to .rayignore"
        )


def _check_modules(files: dict[str, Path]) -> None:
    """Checks that no module at the top takes the place of one of Python or of a package.

    Raises:
        InputError: If one does.
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

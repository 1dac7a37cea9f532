"""Packages that a light install lacks: each is imported where it is used, by the name of the extra that brings it.

An extra is a part of pyproject.toml, such as ``ray`` in ``pip install 'raynas[ray]'``.
"""

from __future__ import annotations

import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from raynas.errors import InputError


def needed(module: str, extra: str, key: str, otherwise: str = "") -> Any:
    """Imports a package of an extra and returns it.

    Example:
        ``needed("ray", "ray", "train.workers")``

    Args:
        module: The dotted name of the module.
        extra: The extra of raynas that brings its package.
        key: The key, option or verb that needs it, which leads the message.
        otherwise: Another remedy, such as ``set it to 0``.

    Raises:
        InputError: If the package is not installed, or its import fails. The message has the command that installs it.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package
        reason = "is not installed" if missing else f"cannot be imported ({str(error).splitlines()[0][:200]})"
        remedy = install_line(extra) + (f", or {otherwise}" if otherwise else "")
        raise InputError(f"{key}: needs the package {package}, which {reason}; {remedy}") from error


def check_installed(module: str, extra: str, key: str, otherwise: str = "") -> None:
    """Checks that a package of an extra is installed, without importing it; arguments as `needed` takes them.

    Raises:
        InputError: If it is not.
    """
    if not is_installed(module):
        needed(module, extra, key, otherwise)


def check_pages(key: str, otherwise: str = "") -> None:
    """Checks that the packages of pages are installed; arguments as `needed` takes them.

    Raises:
        InputError: If one is missing.
    """
    for package in ("matplotlib", "jinja2"):
        check_installed(package, "report", key, otherwise)


def installed_version(package: str) -> str | None:
    """Returns the version of a package, by its name on PyPI; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def install_line(extra: str) -> str:
    """Returns the remedy of a message: the command that installs an extra."""
    return f"give `pip install 'raynas[{extra}]'`"


def is_installed(module: str) -> bool:
    """Returns whether a package can be found, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # a parent package is missing, or the module has no specification
        return False

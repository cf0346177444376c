# Everything a fresh Debian or Ubuntu with Python 3.11 and make needs.
# `make up` runs the suite; `make test` runs every check. Both set themselves up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .tools
UP_ARGS ?=
MINUTES ?= 10

.PHONY: up test lint bench soak fuzz setup tools browser clean

up: setup tools
	@$(BIN)/springtide up $(UP_ARGS)

test: setup-test tools browser lint
	@$(BIN)/python -m pytest

lint: setup-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: setup-test tools
	@$(BIN)/python -m bench

# Minutes of load while functions sleep, wake, grow, are updated and killed; fails when a call is lost.
soak: setup-test
	@$(BIN)/python -m bench soak --minutes $(MINUTES)

# Coverage-guided, so many minutes for each side of the data plane; what is found stays in .fuzz.
fuzz: setup-test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@$(BIN)/python -m tests.fuzz requests --minutes $(MINUTES)
	@$(BIN)/python -m tests.fuzz responses --minutes $(MINUTES)

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

# A Chromium for the console's tests: from PATH, else Debian's, unpacked the same way. Without one they are skipped.
browser: setup
	@$(BIN)/springtide tools --fetch --with chromium --tools-dir $(TOOLS)

clean:
	rm -rf $(VENV) $(TOOLS) .mypy_cache .ruff_cache .pytest_cache build *.egg-info

# Everything a fresh Debian or Ubuntu with Python 3.11 and make needs.
# `make up` runs the suite; `make test` runs every check. Both set themselves up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .tools
UP_ARGS ?=
MINUTES ?= 10
RELEASE_ARGS ?=
# Half of the time of the tests is waiting, so there are twice as many workers as processors. A file is one worker's.
JOBS ?= $(shell echo $$((2 * $$(nproc))))
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

.PHONY: up check test coverage lint bench soak fuzz docs pictures release setup tools browser engine clean

up: setup tools
	@$(BIN)/springtide up $(UP_ARGS)

# What is worth knowing before each commit: linters, types, the tests that are pure. Some 90 seconds on two processors.
check: lint
	@$(PYTEST) --quick --quiet

test: setup-test tools browser engine lint
	@$(PYTEST) --durations 20

# Of all tests, with the processes they start, by lines and branches; as a page, too, under build/coverage.
coverage: setup-test tools browser engine
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m coverage run -m pytest --numprocesses $(JOBS) --dist loadfile --quiet
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage html --quiet
	@$(BIN)/python -m coverage report

lint: setup-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# The site of docs/ in build/docs; a link that leads nowhere fails it. With VERSION=0.1.0 in build/site/0.1.0, and that
# folder has a list of all versions that were built into it.
docs: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
ifeq ($(origin VERSION),command line)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m release.site $(VERSION)
else
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Read it: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/docs 8000"
endif

# What docs/ shows of the console and of terminals, as it is today: some four minutes.
pictures: setup-test tools browser
	@$(BIN)/python -m tests.docs.terminal_pictures
	@$(BIN)/python -m tests.console.screenshots

bench: setup-test tools
	@$(BIN)/python -m bench

# Minutes of load while functions sleep, wake, grow, are updated and killed, and parts halt, die, have a full disk and
# damaged files; fails when a call is lost.
soak: setup-test
	@$(BIN)/python -m bench soak --minutes $(MINUTES)

# Coverage-guided, so many minutes for each side of the data plane; what is found stays in .fuzz.
fuzz: setup-test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@$(BIN)/python -m tests.fuzz requests --minutes $(MINUTES)
	@$(BIN)/python -m tests.fuzz responses --minutes $(MINUTES)

# What the version in pyproject.toml is published as, in dist/VERSION; CONTRIBUTING.md says what comes before and after.
release: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	@$(BIN)/python -m release $(RELEASE_ARGS)

setup: $(VENV)/.installed
setup-test: $(VENV)/.installed-test

$(VENV)/.installed: pyproject.toml
	@echo "Installing Springtide into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[async]'
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

# A Podman for the tests of containers: unpacked, too, and only for root. Without one they are skipped.
engine: setup-test
	@test $$(id -u) != 0 || $(BIN)/python -m tests.container_engine

clean:
	rm -rf $(VENV) $(TOOLS) .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.* build dist src/*.egg-info

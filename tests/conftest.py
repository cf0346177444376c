"""Fixtures every area shares: a real NATS server; Prometheus and Alertmanager, where the machine has them."""

from __future__ import annotations

import ast
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

from springtide.cli.tools import Missing, Tools, find
from springtide.runtime.virtual_time import VirtualTimeLoop
from tests import loops
from tests.costs import Costs, is_quick
from tests.nats_server import NatsServer, running
from tests.session_servers import ENDS
from tests.told import Told
from tests.uninterrupted import uninterrupted

ROOT = Path(__file__).parents[1]

# A shared machine stalls now and then; how long an example takes is never what is tested.
settings.register_profile("springtide", deadline=None)
settings.load_profile("springtide")

ast.parse = uninterrupted(ast.parse)  # hypothesis looks at the source of functions, too


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only tests that budgets.toml calls quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = not config.getoption("quick") or collection_path.is_dir() or is_quick(collection_path)
    return None if wanted else True


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Costs())
    config.pluginmanager.register(Told())
    # Under nohup, or in the background of a shell, signals are ignored, and what tests start would inherit that: with a
    # handler that does nothing this process goes on as it was told to, and those begin as from a terminal.
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_sessionfinish() -> None:
    ENDS.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Async tests run on the loop that their marker names."""
    return loops.run_if_async(pyfuncitem)


@pytest.fixture(autouse=True)
def logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test sets up for logs is no other's: loggers are not kept, and its settings end with it."""
    before, configure = structlog.get_config(), structlog.configure

    def configured(*settings: Any, **named: Any) -> None:
        configure(*settings, **named | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configured)
    yield
    configure(**before)


@pytest.fixture
def loop() -> VirtualTimeLoop:
    """The loop on which the test that asks for it runs."""
    return VirtualTimeLoop()


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Prometheus, promtool, Alertmanager and amtool; ``make test`` fetches them where it can."""
    found = find(ROOT / ".tools", os.environ["PATH"])
    if isinstance(found, Missing):
        pytest.skip(f"Prometheus and Alertmanager are not here: {found.why}")
    return found


@pytest.fixture(scope="session")
def prometheus_binary(tools: Tools) -> Path:
    return tools.prometheus


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A NATS server that the tests of a module share; one that is killed, or is another kind, is a test's own."""
    with running(tmp_path_factory.mktemp("nats")) as server:
        yield server

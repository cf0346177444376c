"""What each folder's tests cost in processor time, told at the end of a run and compared with ``budgets.toml``.

A warning and no failure: machines are shared, and even processor time varies. A test's is that of its own process and
of the children it waited for.
"""

from __future__ import annotations

import functools
import resource
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

BUDGETS = Path(__file__).with_name("budgets.toml")
_PROPERTY = "processor_s"


def budgets() -> dict[str, float]:
    """Seconds of processor time by folder below ``tests``."""
    return {str(folder): float(seconds) for folder, seconds in _table()["seconds"].items()}


def is_quick(file: Path) -> bool:
    """Whether it is part of ``make check``."""
    path = file.relative_to(BUDGETS.parent).as_posix()
    return any(fnmatch(path, pattern) for pattern in _table()["quick"])


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads(BUDGETS.read_text())


def folder_of(nodeid: str, known: Mapping[str, float]) -> str:
    """The longest folder of the table that holds it; its own where none does."""
    path = nodeid.partition("::")[0].removeprefix("tests/")
    holding = [folder for folder in known if path.startswith(f"{folder}/")]
    return max(holding, key=len, default=path.rpartition("/")[0])


def _spent_s() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


class Costs:
    """A plug-in: workers measure, and whoever reports adds up."""

    def __init__(self) -> None:
        self._budgets = budgets()
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._tests: defaultdict[str, int] = defaultdict(int)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Beside each other, what takes longest is begun first: in the order of the table."""
        if hasattr(config, "workerinput"):
            order = {folder: place for place, folder in enumerate(self._budgets)}
            items.sort(key=lambda item: order.get(folder_of(item.nodeid, self._budgets), len(order)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        before = _spent_s()
        try:
            yield
        finally:
            item.user_properties.append((_PROPERTY, _spent_s() - before))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        yield from self.pytest_runtest_setup(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        yield from self.pytest_runtest_setup(item)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            folder = folder_of(report.nodeid, self._budgets)
            self._tests[folder] += 1
            self._spent[folder] += sum(float(str(v)) for name, v in report.user_properties if name == _PROPERTY)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if sum(self._spent.values()) < 30:
            return
        terminalreporter.section("processor time by folder (tests/budgets.toml)")
        for folder, spent in sorted(self._spent.items(), key=lambda one: -one[1]):
            most = self._budgets.get(folder)
            over = "" if most is None or spent <= most else "  OVER BUDGET"
            budget = "no budget" if most is None else f"of {most:4.0f} s"
            line = f"{spent:7.1f} s {budget}{over}  {folder} ({self._tests[folder]} tests)"
            terminalreporter.write_line(line, yellow=bool(over), bold=bool(over))

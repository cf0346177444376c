"""Figures that tests found, told at the end of a run: ``record_property(TOLD, "59 pages, 0 broken links")``."""

from __future__ import annotations

import pytest

TOLD = "told"


class Told:
    """A plug-in: tests record, and whoever reports prints."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            self._lines += [str(value) for name, value in report.user_properties if name == TOLD]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._lines:
            terminalreporter.section("figures")
            for line in self._lines:
                terminalreporter.write_line(line)

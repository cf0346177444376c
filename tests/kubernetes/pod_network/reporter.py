"""Plug-in of the pytest inside: sends every report to the one outside, one JSON document a line."""

from __future__ import annotations

import json
import os

import pytest

VARIABLE = "POD_NETWORK_REPORTS"
"""Names the descriptor to write to."""


class Reporter:
    def __init__(self, config: pytest.Config, descriptor: int) -> None:
        # What tests start must not hold the pipe open.
        os.set_inheritable(descriptor, False)
        self._config, self._pipe = config, os.fdopen(descriptor, "w")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._pipe.write(json.dumps(data) + "\n")
        self._pipe.flush()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Reporter(config, int(os.environ.pop(VARIABLE))))

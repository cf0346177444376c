"""Plug-in of the pytest inside: runs the tests that the one outside asks for, and sends it their reports."""

from __future__ import annotations

import json
import os

import pytest

VARIABLE = "POD_NETWORK_PIPES"
"""Names two descriptors: where requests are read from, and where reports are written to."""


class Reporter:
    def __init__(self, config: pytest.Config, requests: int, reports: int) -> None:
        # What tests start must not hold the pipes open.
        os.set_inheritable(requests, False)
        os.set_inheritable(reports, False)
        self._config, self._requests, self._reports = config, os.fdopen(requests), os.fdopen(reports, "w")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running everything that was collected."""
        items = {item.nodeid: item for item in session.items}
        for line in self._requests:
            request = json.loads(line)
            item, following = items[request["run"]], items.get(request["next"])
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._reports.write(json.dumps(data) + "\n")
        self._reports.flush()


def pytest_configure(config: pytest.Config) -> None:
    requests, reports = map(int, os.environ.pop(VARIABLE).split())
    config.pluginmanager.register(Reporter(config, requests, reports))

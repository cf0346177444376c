"""Runs the tests of a folder in a child pytest inside a pod network, and reports them as this one's.

A process can enter a namespace of its own only before it has threads, and cannot leave one again without privileges;
and other folders' tests are to stay where they are. So the folder's tests go to a child, started at the first of them.
It runs a test when it is asked to, for with several workers (pytest-xdist) nobody knows which of them come here.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.kubernetes.pod_network import namespace
from tests.kubernetes.pod_network.fixtures import why_not
from tests.kubernetes.pod_network.reporter import VARIABLE

REPORTER = "tests.kubernetes.pod_network.reporter"
_LAST_LINES = 40

Protocol = Callable[[pytest.Item, pytest.Item | None], bool | None]


def inside_pod_network(folder: Path) -> Protocol:
    """The hook for a folder's ``conftest.py``."""
    children: list[_Child] = []

    def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        # pytest asks the hooks of all folders about every test.
        if not item.path.is_relative_to(folder) or namespace.inside() or why_not():
            return None
        if not children:
            ours = [one for one in item.session.items if one.path.is_relative_to(folder)]
            children.append(_Child(item.config, ours))
            item.config.add_cleanup(children[0].close)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        following = nextitem if nextitem is not None and nextitem.path.is_relative_to(folder) else None
        for report in children[0].run(item, following):
            item.ihook.pytest_runtest_logreport(report=report)
        _give_up_what_only_tests_here_needed(item, nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    return pytest_runtest_protocol


def _give_up_what_only_tests_here_needed(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """A test of this process before ``item`` left set up what it shares with it, such as a folder above both."""
    state = item.session._setupstate
    call = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), when="teardown")
    if call.excinfo is not None:
        report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        item.ihook.pytest_runtest_logreport(report=report)


class _Child:
    """The pytest inside. It has collected the folder's tests and waits to be told which to run."""

    def __init__(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        self._config = config
        self._stack = contextlib.ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        chosen, self._output = folder / "tests.txt", folder / "output.txt"
        chosen.write_text("\n".join(item.nodeid for item in items))
        output = self._stack.enter_context(self._output.open("w"))
        read, write = os.pipe()
        requests, ask = os.pipe()
        self._reports = self._stack.enter_context(os.fdopen(read))
        self._requests = self._stack.enter_context(os.fdopen(ask, "w"))
        pytest_command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", REPORTER, f"@{chosen}"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kubernetes.pod_network", *pytest_command],
            cwd=config.rootpath,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(requests, write),
            env=_without_xdist(os.environ) | {VARIABLE: f"{requests} {write}"},
        )
        os.close(requests)
        os.close(write)

    def run(self, item: pytest.Item, following: pytest.Item | None) -> Iterator[pytest.TestReport]:
        """Run it and report until its teardown; a failure if the child ends before.

        What ``following`` needs, too, stays set up.
        """
        with contextlib.suppress(BrokenPipeError):
            request = {"run": item.nodeid, "next": following.nodeid if following is not None else None}
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()
        for line in self._reports:
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=json.loads(line))
            if isinstance(report.longrepr, list):  # where and why it was skipped; JSON has no tuples
                report.longrepr = tuple(report.longrepr)
            if report.nodeid != item.nodeid:
                break
            yield report
            if report.when == "teardown":
                return
        yield self._missing(item)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()  # no more tests: it ends as pytest does, with what the whole session had set up
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(120)
        self._process.terminate()
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stack.close()

    def _missing(self, item: pytest.Item) -> pytest.TestReport:
        last = "\n".join(self._output.read_text().splitlines()[-_LAST_LINES:])
        return pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome="failed",
            longrepr=f"the pytest inside the pod network did not report this test; its last output:\n{last}",
            when="call",
        )


def _without_xdist(environ: Mapping[str, str]) -> dict[str, str]:
    """The child is a whole pytest of its own, not one worker of several."""
    return {name: value for name, value in environ.items() if not name.startswith("PYTEST_XDIST")}

"""Where ``springtide replay`` has calls from: a file, or a Prometheus. One function is read at a time."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from springtide.cli.commands.options import duration_s
from springtide.cli.state import StateFolder
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import BadInput, NotFound, Unavailable
from springtide.runtime.tls import client_context
from springtide.scaler.sim import recording, traces
from springtide.scaler.sim.recording import Recording
from springtide.scaler.sim.traces import Trace
from springtide.scaler.sources.recorded_calls import MAX_SINCE_S, Progress, RecordedCalls
from springtide.wire.prometheus import PrometheusClient

DEADLINE_S = 60.0
"""Of one question; an answer has six hours of one function."""
MIN_SINCE_S, DAY_S = 60.0, 86400.0


class Source(Protocol):
    names: Sequence[str]
    """Of the functions that were asked for."""

    def load(self, name: str, progress: Progress) -> Recording | None:
        """None where nothing is known of it, though others are."""


class FileSource:
    def __init__(self, path: str, function: str | None) -> None:
        found = _read(path)
        self._traces = {trace.function: trace for trace in found if function in (None, trace.function)}
        self.names: Sequence[str] = list(self._traces)
        if not self.names:
            names = ", ".join(trace.function for trace in found[:5])
            more = " …" if len(found) > 5 else ""
            raise NotFound(f"no call of {function} is recorded there; there are {names}{more}")

    def load(self, name: str, progress: Progress) -> Recording:  # noqa: ARG002 - it is read already
        return recording.of_trace(self._traces[name])


class PrometheusSource:
    """Asks from a loop of its own, one question after the other."""

    def __init__(self, runner: asyncio.Runner, calls: RecordedCalls, function: str | None, since_s: float) -> None:
        self._runner, self._calls = runner, calls
        self._until = time.time()
        self._since = self._until - since_s
        self._all = function is None
        self.names: Sequence[str]
        if function is None:
            self.names = runner.run(calls.functions(self._since, self._until))
            if not self.names:
                raise NotFound("Prometheus has no calls of any function in that time; does it scrape the gateway?")
        else:
            self.names = [runner.run(calls.named(function, self._since, self._until))]

    def load(self, name: str, progress: Progress) -> Recording | None:
        try:
            return self._runner.run(self._calls.record(name, self._since, self._until, progress=progress))
        except NotFound:
            if self._all:
                return None
            raise


@dataclass(frozen=True, slots=True)
class Address:
    """Which Prometheus is meant: what was asked for on the command line, in the environment, and what runs here."""

    asked: str | None
    secrets: Path | None
    state: StateFolder
    environ: Mapping[str, str]

    def found(self) -> tuple[str, Credentials | None]:
        """--prometheus, then $PROMETHEUS_URL, then that of the suite on this machine, which is shown its credentials.

        Raises BadInput or Unavailable.
        """
        shown = Credentials.from_folder(self.secrets) if self.secrets else None
        if given := self.asked or self.environ.get("PROMETHEUS_URL"):
            if not given.startswith(("http://", "https://")):
                raise BadInput(f"--prometheus {given}: write its address, such as http://127.0.0.1:9090")
            return given, shown
        running = self.state.running()
        if running is None:
            raise Unavailable(
                "no suite runs on this machine; name a Prometheus with --prometheus http://…, or a file with --from"
            )
        if running.prometheus is None:
            raise Unavailable(
                "the suite runs without Prometheus, so nobody recorded calls; springtide tools --fetch gets one, and "
                "--from FILE takes a gateway's access log"
            )
        return running.prometheus, shown or self.state.credentials()


@contextmanager
def opened(function: str | None, *, path: str | None, since: str | None, prometheus: Address) -> Iterator[Source]:
    """The source that the options name. Raises BadInput, NotFound or Unavailable, with what to do."""
    if (path is None) == (since is None):
        raise BadInput("say where the calls are: --since 7d for what Prometheus has, or --from FILE")
    if path is not None:
        yield FileSource(path, function)
        return
    assert since is not None
    # Go durations know no days, in which everybody thinks of what was.
    days = re.fullmatch(r"(\d{1,4})d", since)
    since_s = int(days[1]) * DAY_S if days else duration_s(since, "--since")
    if not MIN_SINCE_S <= since_s <= MAX_SINCE_S:
        raise BadInput(f"--since {since}: write a time of 1m to {MAX_SINCE_S / DAY_S:.0f}d")
    url, credentials = prometheus.found()
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(trust_env=False, verify=client_context())
        try:
            client = PrometheusClient(http, url, deadline_s=DEADLINE_S, credentials=credentials)
            yield PrometheusSource(runner, RecordedCalls(client), function, since_s)
        finally:
            runner.run(http.aclose())


def _read(source: str) -> list[Trace]:
    if source == "-":
        return traces.read(sys.stdin, "standard input")
    try:
        with Path(source).open(encoding="utf-8", errors="replace") as lines:
            return traces.read(lines, source)
    except OSError as error:
        raise BadInput(f"--from {source}: {error.strerror}") from error

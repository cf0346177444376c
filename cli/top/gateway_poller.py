"""Reads a gateway: its functions, their decisions, and its numbers, from which rates are made; and a local suite's
scaler, which knows loads that no gateway does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType

import httpx

from springtide.cli.gateway_client import LOOPBACK, GatewayClient, Json, ref_of
from springtide.cli.sleep_status import statuses
from springtide.cli.top.rows import LoadShare, Row, Snapshot, latest
from springtide.runtime.errors import NotFound, SpringtideError, Unavailable
from springtide.scaler.core import targets
from springtide.scaler.core.loads import loads_of
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Writer
from springtide.wire import followed_loads
from springtide.wire.function_rates import FunctionRates, RateWindow
from springtide.wire.gateway_metrics import GatewayMetrics, GatewayMetricsReader
from springtide.wire.provider_client import owner_of

METRICS_DEADLINE_S = 3.0


class GatewayPoller:
    """``client`` is closed with it. Use as a context manager."""

    def __init__(
        self,
        client: GatewayClient,
        metrics_urls: Sequence[str],
        namespace: str | None,
        *,
        scaler_url: str | None = None,
    ) -> None:
        """``scaler_url`` is the scaler's /metrics, where it can be reached."""
        self._client = client
        self._urls = tuple(metrics_urls)
        self._scaler_url = scaler_url
        self._namespace = namespace
        own = all(httpx.URL(url).host in LOOPBACK for url in self._urls)
        self._http = httpx.Client(timeout=METRICS_DEADLINE_S, trust_env=not own)
        self._reader = GatewayMetricsReader()
        self._windows: dict[str, RateWindow] = {}
        self._last: dict[FunctionRef, Decision] = {}
        self._since = 0.0

    def __enter__(self) -> GatewayPoller:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()
        self._client.__exit__()

    def look(self, *, now: float, wall: float) -> Snapshot:
        """``now`` is on the monotonic clock. Raises SpringtideError when the gateway does not list its functions."""
        functions = self._client.functions(self._namespace)
        notes: list[str] = []
        measures = self._measures(now, notes)
        loads = self._loads()
        self._decided(notes)
        refs = [ref_of(function) for function in functions]
        sleep = statuses(self._client, dict(zip(refs, functions, strict=True)), wall)
        self._last = {ref: last for ref in refs if (last := self._last.get(ref)) is not None}
        rows = tuple(
            replace(
                _row(function, ref, measures.get(str(ref), FunctionRates()), loads, self._last.get(ref)),
                sleep=sleep.get(ref),
            )
            for ref, function in zip(refs, functions, strict=True)
        )
        return Snapshot(wall, self._client.url, rows, tuple(notes))

    def _measures(self, now: float, notes: list[str]) -> Mapping[str, FunctionRates]:
        try:
            scrape = self._scrape()
        except Unavailable as error:
            self._windows.clear()
            notes.append(f"no rates: {error}; say where they are with --metrics-url")
            return {}
        self._windows = {key: self._windows.get(key) or RateWindow() for key in scrape.functions}
        return {key: self._windows[key].add(now, counters)[0] for key, counters in scrape.functions.items()}

    def _loads(self) -> Mapping[tuple[str, str], float]:
        """Nothing where the scaler is away: of calls the gateway's own numbers tell."""
        if self._scaler_url is None:
            return {}
        try:
            return followed_loads.read(self._http.get(self._scaler_url).raise_for_status().text)
        except (httpx.HTTPError, ValueError):
            return {}

    def _scrape(self) -> GatewayMetrics:
        texts = []
        for url in self._urls:
            try:
                texts.append(self._http.get(url).raise_for_status().text)
            except httpx.HTTPStatusError as error:
                raise Unavailable(f"{url} answered {error.response.status_code}") from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise Unavailable(f"{url} cannot be reached") from error
        try:
            return self._reader.read(texts)
        except ValueError as error:
            raise Unavailable(f"{self._urls[0]} does not show metrics") from error

    def _decided(self, notes: list[str]) -> None:
        try:
            told = self._client.decisions_since(self._since)
        except NotFound as error:
            notes.append(str(error))
        except SpringtideError as error:
            notes.append(f"no decisions: {error}")
        else:
            self._last = latest(self._last, told)
            self._since = max((decision.at for decision in told), default=self._since)


def _row(
    function: Json,
    ref: FunctionRef,
    measures: FunctionRates,
    loads: Mapping[tuple[str, str], float],
    last: Decision | None,
) -> Row:
    owner = owner_of(function)
    return Row(
        ref=ref,
        desired=int(function.get("replicas") or 0),
        ready=int(function.get("availableReplicas") or 0),
        problem=function.get("problem"),
        measures=measures,
        owner=owner,
        loads=_shares(function, str(ref), measures, loads) if owner is Writer.SCALER else (),
        last=last,
    )


def _shares(
    function: Json, name: str, measures: FunctionRates, known: Mapping[tuple[str, str], float]
) -> tuple[LoadShare, ...]:
    of_calls = {targets.RPS.name: measures.rate, targets.CAPACITY.name: measures.in_flight}
    followed = loads_of(_texts(function.get("labels")), _texts(function.get("annotations")))[0]
    return tuple(
        LoadShare(load.name, known.get((name, load.name), of_calls.get(load.name)), load.target) for load in followed
    )


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}

"""Loads of the user's own: OpenFaaS's recording rule, or the PromQL of a function's annotation.

``job:function_current_load:sum{scaling_type="…"}`` has a series for each function, and one question for all of a type;
functions with the same PromQL share a question, too. An instant query answers with samples up to five minutes old as
if they were new: of the recording rule the real sample times are asked for. What a PromQL of the user's own is made of
nobody knows; its level is as old as its evaluation.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import Unavailable
from springtide.runtime.tls import client_context
from springtide.scaler.core import targets
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef, Instant, NoData
from springtide.scaler.sources import readings
from springtide.wire.prometheus import PrometheusClient, VectorSample, quoted

RULE = "job:function_current_load:sum"
INTERVAL_S = 5.0
"""Between two evaluations of a query."""
MAX_AGE_S = 30.0
"""Of an evaluation of PromQL: six of them."""
MAX_RULE_AGE_S = 75.0
"""Of a sample of the recording rule: Prometheus evaluates rules once a minute unless it is told otherwise."""
MAX_AT_ONCE = 4
"""Queries under way at once; more wait for a place."""

UNASKED = NoData("its query has not been answered yet")
EMPTY = NoData("its query found nothing; where nothing means none, write: … or vector(0)")


class Prometheus(Protocol):
    """As far as it is asked here; ``PrometheusClient`` is one."""

    async def vector(self, query: str, *, at: float | None = None) -> list[VectorSample]:
        """An instant query. Raises Unavailable, with one sentence."""


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked once for all that it serves: a PromQL, or a scaling type of the recording rule."""

    query: str
    scaling_type: str = ""

    @classmethod
    def of(cls, load: Load) -> _Question:
        if load.query:
            return cls(load.query)
        return cls(f"{RULE}{{scaling_type={quoted(load.name)}}}", load.name)


@dataclass(slots=True)
class _Answer:
    """``of_all`` is for every function that asks; ``by_function`` where the series say which they are of."""

    max_age_s: float
    asked_at: Instant
    asking: asyncio.Task[None] | None = None
    of_all: Level | NoData = UNASKED
    by_function: dict[FunctionRef, Level | NoData] = field(default_factory=dict)
    failure: str = ""

    def level(self, ref: FunctionRef, now: Instant) -> Level | NoData:
        level = self.by_function.get(ref, self.of_all)
        if isinstance(level, Level) and now - level.at > self.max_age_s:
            why = f"its query's last value is more than {self.max_age_s:g} s old"
            return NoData(f"{why}; {self.failure}"[: readings.MAX_REASON_CHARS] if self.failure else why)
        if isinstance(level, NoData) and self.failure:
            return NoData(self.failure)
        return level


class Queries:
    """Implements LevelSource for loads with a name of the user's own. A query that fails is asked again when due."""

    def __init__(
        self,
        prometheus: Prometheus | None,
        *,
        interval_s: float = INTERVAL_S,
        deadline_s: float = 5.0,
        at_once: int = MAX_AT_ONCE,
        default_namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        """``default_namespace`` is that of series whose ``function_name`` has none."""
        self._prometheus = prometheus
        self._interval_s, self._deadline_s = interval_s, deadline_s
        self._at_once = asyncio.Semaphore(at_once)
        self._default_namespace = default_namespace
        self._answers: dict[_Question, _Answer] = {}
        self._http: httpx.AsyncClient | None = None

    @classmethod
    def at(
        cls,
        url: str,
        *,
        credentials: Credentials | None = None,
        deadline_s: float = 5.0,
        default_namespace: str = DEFAULT_NAMESPACE,
    ) -> Queries:
        """To the Prometheus there; an empty ``url`` is none."""
        if not url:
            return cls(None, default_namespace=default_namespace)
        # Proxies and .netrc of the environment are not ours to use; entry points alone read the environment.
        http = httpx.AsyncClient(trust_env=False, verify=client_context(), headers={"User-Agent": "springtide"})
        client = PrometheusClient(http, url, deadline_s=deadline_s, credentials=credentials)
        made = cls(client, deadline_s=deadline_s, default_namespace=default_namespace)
        made._http = http
        return made

    def __repr__(self) -> str:
        return f"<Queries {len(self._answers)} to {self._prometheus!r}>"

    async def aclose(self) -> None:
        asking = [answer.asking for answer in self._answers.values() if answer.asking is not None]
        self._forget(set())
        await asyncio.gather(*asking, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()

    def levels(
        self, loads: Mapping[FunctionRef, Sequence[Load]], now: Instant
    ) -> dict[tuple[FunctionRef, str], Level | NoData]:
        wanted = {
            (ref, load.name): _Question.of(load)
            for ref, own in loads.items()
            for load in own
            if load.type is targets.CUSTOM
        }
        if self._prometheus is None:
            return dict.fromkeys(wanted, NoData("no Prometheus is configured (prometheus_url)"))
        questions = set(wanted.values())
        self._forget(questions)
        for question in questions:
            self._ask_if_due(self._prometheus, question, now)
        return {(ref, name): self._answers[question].level(ref, now) for (ref, name), question in wanted.items()}

    def _forget(self, wanted: set[_Question]) -> None:
        for question in self._answers.keys() - wanted:
            asking = self._answers.pop(question).asking
            if asking is not None:
                asking.cancel()

    def _ask_if_due(self, prometheus: Prometheus, question: _Question, now: Instant) -> None:
        answer = self._answers.get(question)
        if answer is None:
            answer = _Answer(MAX_RULE_AGE_S if question.scaling_type else MAX_AGE_S, now)
            self._answers[question] = answer
        elif (answer.asking is not None and not answer.asking.done()) or 0 <= now - answer.asked_at < self._interval_s:
            return
        answer.asked_at = now
        answer.asking = asyncio.create_task(self._ask(prometheus, question, answer), name="a load's query")

    async def _ask(self, prometheus: Prometheus, question: _Question, answer: _Answer) -> None:
        asked_at = answer.asked_at
        try:
            async with self._at_once, asyncio.timeout(self._deadline_s):
                if question.scaling_type:
                    by_function = await self._of_rule(prometheus, question, asked_at)
                    answer.by_function, answer.of_all = by_function, _no_series(question)
                else:
                    answer.of_all = _one(await prometheus.vector(question.query), asked_at)
                answer.failure = ""
        except Unavailable as error:
            answer.failure = f"its query failed: {error}"[: readings.MAX_REASON_CHARS]
        except TimeoutError:
            answer.failure = f"its query was not answered within {self._deadline_s:g} s"

    async def _of_rule(
        self, prometheus: Prometheus, question: _Question, asked_at: Instant
    ) -> dict[FunctionRef, Level | NoData]:
        times = await prometheus.vector(f"timestamp({question.query})")
        if not times:
            return {}
        sampled_at: defaultdict[FunctionRef, list[VectorSample]] = defaultdict(list)
        for sample in times:
            sampled_at[self._ref(sample)].append(sample)
        found: defaultdict[FunctionRef, list[VectorSample]] = defaultdict(list)
        for sample in await prometheus.vector(question.query, at=times[0].at):
            found[self._ref(sample)].append(sample)
        levels: dict[FunctionRef, Level | NoData] = {}
        for ref, samples in found.items():
            ages_s = [sample.at - sample.value for sample in sampled_at[ref]]
            levels[ref] = _one(samples, Instant(asked_at - max(0.0, *ages_s))) if ages_s else EMPTY
        return levels

    def _ref(self, sample: VectorSample) -> FunctionRef:
        return FunctionRef.parse(sample.labels.get("function_name", ""), self._default_namespace)


def _one(samples: Sequence[VectorSample], at: Instant) -> Level | NoData:
    """The one value; a function has one load, and it is a number of zero or more."""
    if not samples:
        return EMPTY
    if len(samples) > 1:
        return NoData(f"its query found {len(samples)} series, not one; write: sum(…)")
    value = samples[0].value
    if not math.isfinite(value):
        return NoData(f"its query's value is not a number ({value})")
    if value < 0:
        return NoData(f"its query's value is below zero ({value:g})")
    return Level(value, at)


def _no_series(question: _Question) -> NoData:
    return NoData(
        f"no recording rule {RULE} has its series (scaling_type={quoted(question.scaling_type)} and its function_name)"
    )

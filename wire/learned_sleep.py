"""``POST /system/sleep``: what the pauses of functions have taught, as who learns it tells who asks.

The idler asks before it decides, of those that are awake; ``springtide explain`` asks of one. Both ends use this
module.

    {"functions": ["echo.openfaas-fn", …]}

    {"at": 1700000000.5, "functions": {
        "echo.openfaas-fn": {"lastEnd": …, "windows": [[SINCE, UNTIL], …], "forecasts": true, "basis": "pauses",
            "pauses": 40, "worthSeconds": 900, "withinSeconds": 540, "endedShare": 0.71, "expectedShare": 0,
            "intervalSeconds": null, "callsPerSecond": 0.05},
        "other.openfaas-fn": {"fixed": "none of its pauses is known", "worthSeconds": 900,
            "callsPerSecond": 0.002}}}

``null`` as an end or a length is without end. A function that is not named is not known there; the calls, and of one
whose silence is fixed the worth, are left out where its calls are not known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.scaler.core.keepalive.pressure import Worth
from springtide.scaler.core.keepalive.rule import Basis, NotLearned, Why, Window
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.wire.first_gateway import FirstGateway

PATH = "/system/sleep"
MAX_NAMES = 20_000
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_WINDOWS = 16
DEADLINE_S = 3.0

Silences = Mapping[FunctionRef, LearnedSilence | NotLearned]
Worths = Mapping[FunctionRef, Worth]


def question(refs: Iterable[FunctionRef]) -> bytes:
    return json.dumps({"functions": [str(ref) for ref in refs]}).encode()


def asked(body: bytes) -> list[FunctionRef]:
    """Raises ValueError."""
    names = bounded_json.loads(body)["functions"]
    if not isinstance(names, list) or len(names) > MAX_NAMES or not all(isinstance(name, str) for name in names):
        raise ValueError(f"functions: write a list of at most {MAX_NAMES} names")
    return [FunctionRef.parse(name) for name in names]


def encode(told: Silences, worths: Worths, at: float) -> bytes:
    functions = {str(ref): _to_json(one, worths.get(ref)) for ref, one in told.items()}
    return json.dumps({"at": at, "functions": functions}, separators=(",", ":")).encode()


def decode(answer: Any) -> dict[FunctionRef, LearnedSilence | NotLearned]:
    """Raises what ``NONSENSE`` has for another shape."""
    return {FunctionRef.parse(str(name)): _from_json(one) for name, one in dict(answer["functions"]).items()}


def worths(answer: Any) -> dict[FunctionRef, Worth]:
    """What keeping functions awake is worth, of those whose calls are known. Raises as ``decode`` does."""
    told = dict(answer["functions"]).items()
    return {
        FunctionRef.parse(str(name)): Worth(_number(one["callsPerSecond"]), _number(one["worthSeconds"]))
        for name, one in told
        if "callsPerSecond" in one
    }


def _to_json(one: LearnedSilence | NotLearned, worth: Worth | None) -> dict[str, Any]:
    calls = {"callsPerSecond": worth.calls_per_s} if worth is not None else {}
    if isinstance(one, NotLearned):
        return {"fixed": one.why, **({"worthSeconds": worth.worth_s} if worth is not None else {}), **calls}
    why = one.why
    return calls | {
        "lastEnd": one.last_end,
        "windows": [[_finite(window.since), _finite(window.until)] for window in one.windows],
        "forecasts": one.forecasts,
        "basis": why.basis.value,
        "pauses": why.pauses,
        "worthSeconds": why.worth_s,
        "withinSeconds": _finite(why.within_s),
        "endedShare": why.ended_share,
        "expectedShare": why.expected_share,
        "intervalSeconds": list(why.interval_s) if why.interval_s is not None else None,
    }


def _from_json(value: Any) -> LearnedSilence | NotLearned:
    if "fixed" in value:
        return NotLearned(str(value["fixed"])[:300])
    windows = [Window(_number(since), _number(until)) for since, until in value["windows"]]
    if not 0 < len(windows) <= MAX_WINDOWS or any(not window.since <= window.until for window in windows):
        raise ValueError("not the windows of a pause")
    interval = value["intervalSeconds"]
    why = Why(
        Basis(value["basis"]),
        pauses=int(value["pauses"]),
        worth_s=_number(value["worthSeconds"]),
        within_s=_number(value["withinSeconds"]),
        ended_share=_number(value["endedShare"]),
        expected_share=_number(value["expectedShare"]),
        interval_s=(_number(interval[0]), _number(interval[1])) if interval is not None else None,
    )
    return LearnedSilence(tuple(windows), Instant(_number(value["lastEnd"])), why, value["forecasts"] is True)


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


def _number(value: Any) -> float:
    number = math.inf if value is None else float(value)
    if math.isnan(number) or number < 0:
        raise ValueError(f"{number} is no time")
    return number


class SleepPlans:
    """Asks a gateway, which asks who learns."""

    def __init__(self, urls: Sequence[str], credentials: Credentials | None, *, deadline_s: float = DEADLINE_S) -> None:
        """``urls`` are those of the gateways' public ports, such as ``http://gateway:8080``."""
        self._gateways = FirstGateway(urls, credentials, deadline_s=deadline_s, what="learned sleep")

    def __repr__(self) -> str:
        return f"<SleepPlans by {self._gateways!r}>"

    async def aclose(self) -> None:
        await self._gateways.aclose()

    async def plans(self, refs: Iterable[FunctionRef]) -> Silences:
        """Raises Unsupported where nobody learns, and other SpringtideErrors."""
        return await self._gateways.ask("POST", PATH, decode, body=question(refs))

    async def worths(self, refs: Iterable[FunctionRef]) -> Worths:
        """Of those whose calls are known there. Raises as ``plans`` does."""
        return await self._gateways.ask("POST", PATH, worths, body=question(refs))

"""When functions whose sleep is learned go to sleep, or are woken, beside their other numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from springtide.cli.gateway_client import GatewayClient, Json
from springtide.cli.schedules_client import BESIDE_S
from springtide.runtime.errors import SpringtideError
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.policy import ScalePolicy, ZeroPolicy
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.wire import learned_sleep
from springtide.wire.json_api import NONSENSE
from springtide.wire.learned_sleep import Silences

SOON_S = 20 * 3600.0
"""What is further away is told with its day."""


@dataclass(frozen=True, slots=True)
class SleepStatus:
    """Of a function whose sleep is learned. ``until`` is when one that is awake goes to zero if nobody calls, or one
    that sleeps is woken ahead of a likely call; None: it does not, or, with ``why``, nothing is learned of it."""

    asleep: bool
    until: Instant | None = None
    why: str = ""

    def said(self, now: float) -> str:
        """In a table, below a head that says "sleep"."""
        if self.why:
            return "–"
        if self.until is None:
            return "until called" if self.asleep else "never"
        clock = time.strftime("%H:%M" if self.until - now < SOON_S else "%a %H:%M", time.localtime(self.until))
        return f"until ~{clock}" if self.asleep else f"at {clock}"

    def json(self) -> Json:
        told = {"policy": ZeroPolicy.LEARNED.value, "asleep": self.asleep, "until": self.until}
        return told | ({"why": self.why} if self.why else {})


def silences(client: GatewayClient, refs: Iterable[FunctionRef]) -> Silences:
    """What the pauses of functions have taught; empty where nobody says."""
    asked = {"functions": [str(ref) for ref in refs]}
    try:
        return learned_sleep.decode(client.json("POST", learned_sleep.PATH, json=asked, timeout=BESIDE_S))
    except (SpringtideError, *NONSENSE):
        return {}


def statuses(
    client: GatewayClient, functions: Mapping[FunctionRef, Json], now: float
) -> dict[FunctionRef, SleepStatus]:
    """Of those whose sleep is learned, as the gateway lists them. Nobody is asked where there can be none."""
    policies = {ref: ScalePolicy.from_labels(_labels(function))[0] for ref, function in functions.items()}
    may = [ref for ref, policy in policies.items() if policy.zero and policy.zero_policy is not ZeroPolicy.FIXED]
    told = silences(client, may) if may else {}
    found = {}
    for ref in told.keys() & set(may):
        silence, asleep = told[ref], not functions[ref].get("replicas")
        if isinstance(silence, LearnedSilence):
            found[ref] = _status(silence, Instant(now), asleep=asleep)
        elif policies[ref].zero_policy is ZeroPolicy.LEARNED:
            found[ref] = SleepStatus(asleep, why=silence.why)
    return found


def _status(silence: LearnedSilence, now: Instant, *, asleep: bool) -> SleepStatus:
    if asleep:
        return SleepStatus(asleep, silence.next_wake(now))
    until = max((window.until for window in silence.windows if window.since <= now), default=math.inf)
    return SleepStatus(asleep, Instant(until) if math.isfinite(until) else None)


def _labels(function: Json) -> dict[str, str]:
    labels = function.get("labels") or {}
    return {key: text for key, text in labels.items() if isinstance(text, str)}

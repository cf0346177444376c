"""Whether a call is repeated, and when. Pure; the rules and their defaults are those of OpenFaaS's queue worker."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime

from springtide.runtime.durations import format_duration, parse_duration_s
from springtide.wire.jobs.job import Answer

ATTEMPTS, CODES, MIN_WAIT, MAX_WAIT = (
    f"com.openfaas.retry.{name}" for name in ("attempts", "codes", "min_wait", "max_wait")
)
"""Annotations of a function."""

DEFAULT_CODES = frozenset((408, 429, 500, 502, 503, 504))
MAX_ATTEMPTS = 10_000
MAX_CODES = 100
MAX_WAIT_S = 86_400.0
INTERNAL = "x-openfaas-internal"
"""A header of answers that are not the function's own: those are repeated whatever their status."""

LOST_ATTEMPTS = 3
"""How often, beyond its attempts, a job is begun whose worker was stopped or killed each time: that is not its fault,
unless it is what kills them."""

LOST_DELIVERIES = 100
"""How often a worker may be given it and not come as far as beginning it."""

_MAX_DOUBLINGS = 60
_NUMBER = re.compile(r"[0-9]{1,9}")


class Jitter(enum.StrEnum):
    """How much of a pause is left to chance."""

    EXPONENTIAL = "exponential"
    """None of it."""
    FULL = "full"
    EQUAL = "equal"
    """Half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """Seconds. ``max_attempts`` counts the first one, too; ``max_age_s`` is since the job was accepted, or was due."""

    max_attempts: int = 10
    codes: frozenset[int] = DEFAULT_CODES
    min_wait_s: float = 10.0
    max_wait_s: float = 120.0
    jitter: Jitter = Jitter.EXPONENTIAL
    max_age_s: float = 86_400.0

    def of(self, annotations: Mapping[str, str]) -> RetryRules:
        """These, with what a function says of itself; a value that cannot be read means the worker's own."""
        return replace(
            self,
            max_attempts=_attempts(annotations.get(ATTEMPTS), self.max_attempts),
            codes=_codes(annotations.get(CODES), self.codes),
            min_wait_s=_wait_s(annotations.get(MIN_WAIT), self.min_wait_s),
            max_wait_s=_wait_s(annotations.get(MAX_WAIT), self.max_wait_s),
        )

    def repeats(self, answer: Answer) -> bool:
        """A connection that was lost, and an error that the gateway made itself, are repeated in any case."""
        internal = answer.status >= 400 and any(name.lower() == INTERNAL for name, _ in answer.headers)
        return answer.status == 0 or internal or answer.status in self.codes

    def wait_s(self, attempt: int, answer: Answer, *, now: float, chance: float) -> float:
        """The pause after the ``attempt``-th try; ``chance`` is a random number from 0 to 1, ``now`` since 1970.

        ``Retry-After`` of a 429 or 503 stands in for it, and is never shorter than the least wait.
        """
        asked = _retry_after(answer, now) if answer.status in (429, 503) else None
        if asked is not None:
            return min(max(asked, self.min_wait_s), MAX_WAIT_S)
        longest = max(self.max_wait_s, self.min_wait_s)
        pause = min(self.min_wait_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS), longest)
        if self.jitter is Jitter.FULL:
            return pause * chance
        return pause * (0.5 + 0.5 * chance) if self.jitter is Jitter.EQUAL else pause

    def given_up(self, attempt: int, *, age_s: float) -> str:
        """Why there is no further try after the ``attempt``-th; empty where there is one."""
        if attempt >= self.max_attempts:
            return f"it was tried {attempt} times, as often as it may be"
        if age_s > self.max_age_s:
            return f"it is older than {format_duration(self.max_age_s)}, the largest age of a job"
        return ""

    def begun_too_often(self, begun: int, *, deliveries: int) -> str:
        """Why it is not begun once more, this being the last of its ``deliveries``; empty where it is."""
        if begun >= self.max_attempts + LOST_ATTEMPTS:
            return f"it was begun {begun} times, and its worker did not live to see it end"
        if deliveries - begun > LOST_DELIVERIES:
            return f"{deliveries - begun} workers were given it, and did not live to begin it"
        return ""


def codes(text: str) -> frozenset[int]:
    """HTTP statuses with commas between them. Raises ValueError."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    valid = all(_NUMBER.fullmatch(word) and 100 <= int(word) <= 599 for word in words)
    if not words or len(words) > MAX_CODES or not valid:
        raise ValueError(f"{text[:60]!r} is no list of HTTP statuses; write them as 429,502,503")
    return frozenset(map(int, words))


def _attempts(text: str | None, default: int) -> int:
    text = (text or "").strip()
    return int(text) if _NUMBER.fullmatch(text) and 1 <= int(text) <= MAX_ATTEMPTS else default


def _codes(text: str | None, default: frozenset[int]) -> frozenset[int]:
    try:
        return default if text is None else codes(text)
    except ValueError:
        return default


def _wait_s(text: str | None, default: float) -> float:
    try:
        found = default if text is None else parse_duration_s(text)
    except ValueError:
        return default
    return found if 0 <= found <= MAX_WAIT_S else default


def _retry_after(answer: Answer, now: float) -> float | None:
    """Seconds, or a date as HTTP has it; None where it says nothing that can be read."""
    text = next((value.strip() for name, value in answer.headers if name.lower() == "retry-after"), "")
    if text.isascii() and text.isdigit():
        return float(text[:20])
    try:
        at = parsedate_to_datetime(text)
        return max(0.0, (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None

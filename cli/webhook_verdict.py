"""What the answer to a sample delivery says of a webhook's settings. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from springtide.wire.webhooks.webhook import NO_WEBHOOK, NOT_ACCEPTED, SECRET, WEBHOOK, Kind

MAX_REPEATED = 200
"""Characters of an answer that are repeated."""


class Outcome(enum.IntEnum):
    """Its number is the exit status; 1 and 2 are those of errors before anything was sent."""

    ACCEPTED = 0
    REFUSED = 3
    """The settings do not fit."""
    UNDECIDED = 4
    """Nobody could check it, or keep it: another time it may be accepted."""
    FAILED = 5
    """Accepted, but the function did not answer well; or what answered is no gateway of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    outcome: Outcome
    says: str
    remedy: str = ""
    job: str = ""


def verdict(
    kind: Kind, status: int, headers: Mapping[str, str], body: str, *, challenge: str = "", log: str
) -> Verdict:
    """``headers`` by lower-case name. ``challenge``: what the gateway sends back to Slack; empty: it was not asked.
    ``log``: where the gateway writes what it tells no sender."""
    text, job = body.strip()[:MAX_REPEATED], headers.get("x-call-id", "")
    if status == 202 and job:
        return Verdict(outcome=Outcome.ACCEPTED, says=f"accepted, and stored as call {job}", job=job)
    if 200 <= status < 300:
        known = kind is Kind.SLACK and bool(challenge) and text == challenge
        who = "the gateway answered Slack's challenge" if known else f"the function answered {status}"
        return Verdict(outcome=Outcome.ACCEPTED, says=f"accepted: {who}")
    if status == 401 and NOT_ACCEPTED in text:
        return Verdict(outcome=Outcome.REFUSED, says="not accepted", remedy=_refused(kind, log))
    if status == 404 and NO_WEBHOOK in text:
        return Verdict(outcome=Outcome.REFUSED, says="there is no such webhook", remedy=_UNKNOWN)
    if headers.get("x-openfaas-internal") == "gateway" or status in (408, 413, 429):
        remedy = f"are the secrets that the function names there, and provider and queue? {log} says it"
        return Verdict(outcome=Outcome.UNDECIDED, says=f"answered {status} by the gateway: {text}", remedy=remedy)
    remedy = "that is the function, or something between here and the gateway; see springtide logs"
    return Verdict(outcome=Outcome.FAILED, says=f"answered {status}: {text}", remedy=remedy)


_UNKNOWN = (
    f"is the function there, by that name and namespace, with the annotation {WEBHOOK}? A gateway hears of a "
    "deployment within a second"
)


def _refused(kind: Kind, log: str) -> str:
    causes = [f"the value is not that of a secret that the function names in {SECRET}"]
    if kind in (Kind.STRIPE, Kind.SLACK, Kind.STANDARD):
        causes.append("the clocks of here and of the gateway are more than webhook_tolerance (5 min) apart")
    causes.append("the function takes deliveries of another kind, or something in between changes the body")
    return f"{'; or '.join(causes)}; {log} says which"

"""What a call is answered when no replica takes it, or when it may not wait for one.

Pure: facts in; status, sentence and reason out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from springtide.gateway.time_limit import TimeLimit
from springtide.scaler.core import catalogue

MAX_RETRY_AFTER_S = 300
"""The most that a caller is told to wait: what is wrong may be mended sooner."""


class Refusal(NamedTuple):
    """``reason`` is the label it is counted under."""

    status: int
    text: str
    reason: str
    retry_after_s: int = 1


def queue_full(function: str, *, at_capacity: bool) -> Refusal:
    """Too many calls wait already.

    Refused for want of a replica is 503. At running replicas that have all they may be given (``at_capacity``) it is
    429: more of them, or fewer calls at a time, would help.
    """
    if at_capacity:
        return Refusal(429, f"all replicas of {function} are busy, and too many callers wait", catalogue.AT_CAPACITY)
    return Refusal(503, f"too many callers wait for {function}", catalogue.OVERLOADED)


def waited_too_long(
    function: str, *, limit: TimeLimit, last_loss: str, at_capacity: bool, problem: str | None
) -> Refusal:
    """No replica took the call in time. ``last_loss``: why the last one that was tried could not be used, or empty."""
    if last_loss:
        return Refusal(502, f"{function} could not be reached within {limit}: {last_loss}", "upstream_failed")
    if at_capacity:
        text = f"all replicas of {function} are busy and none took the call within {limit}"
        return Refusal(429, text, catalogue.AT_CAPACITY)
    why = f": {problem}" if problem else ""
    return Refusal(503, f"no replica of {function} took the call within {limit}{why}", catalogue.HOLD_TIMEOUT)


def no_such_function(function: str) -> Refusal:
    return Refusal(404, f"there is no function {function}", "unknown_function")


def function_deleted(function: str) -> Refusal:
    return Refusal(404, f"the function {function} was deleted", "unknown_function")


def does_not_start(function: str, problem: str, *, next_start_s: float) -> Refusal:
    """``next_start_s``: until it is tried again, as far as that is known."""
    retry_after_s = min(max(1, math.ceil(next_start_s)), MAX_RETRY_AFTER_S)
    return Refusal(503, f"{function} does not start: {problem}", catalogue.WAKE_FAILED, retry_after_s)


def gateway_stops(function: str) -> Refusal:
    """Who called may call again, and find the next gateway."""
    text = f"no replica of {function} took the call before the gateway had to stop"
    return Refusal(503, text, catalogue.HOLD_TIMEOUT)

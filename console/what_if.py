"""What a function would have been under other labels: ``springtide replay`` over what Prometheus recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from springtide.console import own_command
from springtide.runtime.errors import BadInput, TooMany, Unsupported
from springtide.scaler.core import policy, targets

SPANS = ("1h", "6h", "24h", "7d")
MAX_POLICIES = 4
MAX_POLICY_CHARS = 500
MAX_CONCURRENCY = 10_000
DEADLINE_S = 55.0
"""Below what the gateway waits for the console."""
SUGGESTED = ("owner=alerts", "type=capacity,target=10", "type=capacity,target=10,zero-duration=5m")
_SHORT = {
    label: label.rpartition("scale.")[2]
    for label in (
        policy.OWNER,
        policy.TYPE,
        policy.TARGET,
        policy.PROPORTION,
        policy.DOWN_WINDOW,
        policy.RULE,
        policy.WAKE,
        policy.MIN,
        policy.MAX,
        policy.FACTOR,
        policy.ZERO,
        policy.ZERO_DURATION,
        policy.DOWN,
        policy.STEP_INTERVAL,
    )
}


def suggestions(labels: Mapping[str, str]) -> list[str]:
    """Policies to begin with: the function's own first, unless its load is one that calls do not tell."""
    asked = policy.ScalePolicy.from_labels(labels)[0]
    if asked.target_type not in (targets.RPS, targets.CAPACITY):
        return list(SUGGESTED)
    own = ",".join(f"{short}={labels[label]}" for label, short in _SHORT.items() if label in labels)
    return list(dict.fromkeys([own, *SUGGESTED] if own else SUGGESTED))[:MAX_POLICIES]


class WhatIf:
    """One question at a time; another one is told to come back."""

    def __init__(
        self, replay: Sequence[str], prometheus_url: str, secrets: str, *, deadline_s: float = DEADLINE_S
    ) -> None:
        """``replay``: the words that run ``springtide replay``; ``secrets``: a folder with Prometheus's credentials."""
        self._command = (*replay, "--json", f"--prometheus={prometheus_url}")
        self._command += (f"--prometheus-secrets={secrets}",) if secrets else ()
        self._possible = bool(replay and prometheus_url)
        self._deadline_s = deadline_s
        self._busy = False

    async def ask(self, function: str, asked: Any) -> Any:
        """What replay's ``--json`` says. Raises BadInput, Unsupported, TooMany or Unavailable."""
        if not self._possible:
            raise Unsupported(
                "what was called is not recorded, for no Prometheus is configured; set prometheus_url, or give "
                "springtide replay --from a file of calls"
            )
        words = _words(asked)
        if self._busy:
            raise TooMany("another question is being worked on, and one at a time is; try again in a moment")
        self._busy = True
        try:
            return await own_command.answer(
                (*self._command, *words, "--", function),
                deadline_s=self._deadline_s,
                remedy="ask for a shorter time or fewer policies",
            )
        finally:
            self._busy = False


def _words(asked: Any) -> list[str]:
    """The options of a question. Raises BadInput naming the field."""
    if not isinstance(asked, dict):
        raise BadInput("write an object with since, policies and concurrency")
    since, written, concurrency = asked.get("since"), asked.get("policies"), asked.get("concurrency", 100)
    if since not in SPANS:
        raise BadInput(f"since: {str(since)[:40]!r} is none of {', '.join(SPANS)}")
    lines = [line.strip() for line in written.splitlines() if line.strip()] if isinstance(written, str) else []
    if not 1 <= len(lines) <= MAX_POLICIES:
        raise BadInput(f"policies: write 1 to {MAX_POLICIES} of them, a line each, such as type=capacity,target=10")
    if any(len(line) > MAX_POLICY_CHARS or "\0" in line for line in lines):
        raise BadInput(f"policies: a line has at most {MAX_POLICY_CHARS} characters")
    number = str(concurrency)
    if not (number.isascii() and number.isdecimal() and len(number) < 6 and 1 <= int(number) <= MAX_CONCURRENCY):
        raise BadInput(f"concurrency: write a whole number of 1 to {MAX_CONCURRENCY}")
    span = "1d" if since == "24h" else since
    return [f"--since={span}", f"--concurrency={int(number)}", *(f"--policy={line}" for line in lines)]

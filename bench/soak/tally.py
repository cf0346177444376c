"""Judges every call. Pure: what was asked, what came back, who was killed when."""

from __future__ import annotations

import contextlib
import enum
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench.herd import percentile
from bench.soak.function.handler import PIECES

MAX_TOLD = 50
"""Failures of one verdict described one by one; the others are only counted."""


class Kind(enum.StrEnum):
    GET = "GET"
    POST = "POST 10 KB"
    STREAM = "slow stream"


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    kind: Kind
    token: str
    body: bytes
    began: float
    reused: bool
    """On a connection that has carried a call before."""

    @property
    def expected(self) -> bytes:
        if self.kind is Kind.STREAM:
            return "".join(f"{self.token} {number}\n" for number in range(PIECES)).encode()
        return self.body or self.token.encode()


@dataclass(slots=True)
class Answer:
    """What came back; ``broken`` says why there is no more of it, and is empty for a whole answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    broken: str = ""
    first_byte: float = 0.0
    ended: float = 0.0
    port: int = 0
    """The caller's, of the connection it was awaited on."""

    @property
    def pid(self) -> int:
        return int(self.headers.get("x-pid", 0))


class Verdict(enum.StrEnum):
    RIGHT = "right"
    OWN_REPLICA_KILLED = "own replica killed while answering"
    CONNECTION_ENDED = "kept connection ended by a gateway worker's restart before the call was heard"
    OWN_WORKER_REPLACED = "own gateway worker hung and was replaced while it had the call"
    LOST = "lost"


@dataclass(slots=True)
class Log:
    """When what was done, on the monotonic clock."""

    kills: dict[int, float] = field(default_factory=dict)
    restarts: list[float] = field(default_factory=list)
    """Of gateway workers; each takes a while."""
    halted: dict[int, float] = field(default_factory=dict)
    """Callers' ports of the connections of a gateway worker that was halted, and, unless replaced, went on."""
    calm_since: float = 0.0
    """The end of the last trouble of a part; infinite during one."""

    @contextlib.contextmanager
    def trouble(self) -> Iterator[None]:
        self.calm_since = math.inf
        try:
            yield
        finally:
            self.calm_since = time.monotonic()

    def troubled(self) -> bool:
        """A part is in trouble, or was just now."""
        return time.monotonic() < self.calm_since + AFTERMATH_S


AFTERMATH_S = 10.0
"""For parts to find each other again."""

RESTART_TAKES_S = 30.0
"""From the signal until the last worker of before has drained."""

HALT_TAKES_S = 40.0
"""From the halt of a gateway worker until it has gone on or been killed, by its master."""


def judge(call: Call, answer: Answer, log: Log) -> Verdict:
    """An answer cut short is nobody's fault only if the replica that had begun it was killed before its end."""
    if not answer.broken:
        own = answer.headers.get("x-call-id") == answer.headers.get("x-token") == call.token
        own = own and answer.headers["x-replica"].startswith(f"{call.function}-")
        right = answer.status == 200 and own and bytes(answer.body) == call.expected
        return Verdict.RIGHT if right else Verdict.LOST
    killed = log.kills.get(answer.pid) if answer.status == 200 else None
    if killed is not None and call.began <= killed <= answer.ended and call.expected.startswith(answer.body):
        return Verdict.OWN_REPLICA_KILLED
    halted = log.halted.get(answer.port)
    if halted is not None and halted <= answer.ended <= halted + HALT_TAKES_S:
        return Verdict.OWN_WORKER_REPLACED if call.expected.startswith(answer.body) else Verdict.LOST
    restarting = any(at <= answer.ended <= at + RESTART_TAKES_S for at in log.restarts)
    if call.reused and not answer.status and restarting:
        return Verdict.CONNECTION_ENDED
    return Verdict.LOST


@dataclass(slots=True)
class Tally:
    """Counts, and the times of right answers. ``held`` ones waited for a replica."""

    log: Log = field(default_factory=Log)
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    kinds: Counter[Kind] = field(default_factory=Counter)
    failures: list[Mapping[str, object]] = field(default_factory=list)
    prompt_ms: list[float] = field(default_factory=list)
    held_ms: list[float] = field(default_factory=list)

    losers: set[str] = field(default_factory=set)
    """Functions that lost a call."""

    def add(self, call: Call, answer: Answer) -> Verdict:
        verdict = judge(call, answer, self.log)
        self.verdicts[verdict] += 1
        self.kinds[call.kind] += 1
        if verdict is Verdict.RIGHT:
            first_byte_ms = (answer.first_byte - call.began) * 1e3
            (self.held_ms if "server-timing" in answer.headers else self.prompt_ms).append(first_byte_ms)
        elif self.verdicts[verdict] <= MAX_TOLD:
            self.failures.append(self._told(call, answer, verdict))
        if verdict is Verdict.LOST:
            self.losers.add(call.function)
        return verdict

    @property
    def calls(self) -> int:
        return self.verdicts.total()

    def row(self) -> dict[str, float | int]:
        """Counts and percentiles of the time to the first byte."""
        row: dict[str, float | int] = {
            "calls": self.calls,
            "lost": self.verdicts[Verdict.LOST],
            "own_replica_killed": self.verdicts[Verdict.OWN_REPLICA_KILLED],
            "own_worker_replaced": self.verdicts[Verdict.OWN_WORKER_REPLACED],
            "connection_ended": self.verdicts[Verdict.CONNECTION_ENDED],
            "held": len(self.held_ms),
        }
        for name, values in (("prompt", self.prompt_ms), ("held", self.held_ms)):
            for label, fraction in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
                row[f"{name}_{label}_ms"] = percentile(values, fraction) if values else 0.0
        return row

    def _told(self, call: Call, answer: Answer, verdict: Verdict) -> Mapping[str, object]:
        killed = self.log.kills.get(answer.pid)
        return {
            "verdict": verdict.value,
            "function": call.function,
            "kind": call.kind.value,
            "token": call.token,
            "reused": call.reused,
            "status": answer.status,
            "broken": answer.broken,
            "replica": answer.headers.get("x-replica", ""),
            "began": round(call.began, 3),
            "ended": round(answer.ended, 3),
            "replica_killed": None if killed is None else round(killed, 3),
            "body": bytes(answer.body[:120]).decode("latin-1"),
        }

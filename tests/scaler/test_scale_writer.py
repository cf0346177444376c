"""One write: who may, while it leads, in time, if nobody wrote meanwhile, and what is told of it."""

from __future__ import annotations

import asyncio
import math

import pytest

from springtide.runtime.errors import BadInput, Conflict, NotFound, SpringtideError, Unavailable
from springtide.runtime.virtual_time import VirtualTimeLoop, run
from springtide.scaler.core import ownership
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import Leadership
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from springtide.scaler.scale_writer import ScaleWrite, ScaleWriter
from springtide.wire.leadership import Always
from tests.fakes.cluster import Cluster, Decisions

REF = FunctionRef("openfaas-fn", "echo")


class Leading:
    """Leads, for ``left`` seconds more; or does not, with None."""

    role = "ns/idler"

    def __init__(self, left: float | None) -> None:
        self._left = left

    def hold(self) -> int | None:
        return None if self._left is None else 7

    def left_s(self) -> float:
        return self._left or 0.0

    async def change(self, known: int | None) -> int | None:
        await asyncio.Event().wait()
        return known


def attempt(
    writer: Writer = Writer.ALERT,
    after: int = 5,
    *,
    policy: ScalePolicy | None = None,
    fails: SpringtideError | None = None,
    hangs: bool = False,
    version: str | None = None,
    leadership: Leadership | None = None,
    retried: tuple[Reason, ...] = (),
) -> tuple[ScaleWrite, Cluster, Decisions, float]:
    """A write from 1 replica; what it came to, what was told, and how many seconds it took."""
    loop, told = VirtualTimeLoop(), Decisions()
    cluster = Cluster(loop.clock)

    async def hook() -> None:
        if fails is not None:
            raise fails
        await asyncio.sleep(1e6)

    async def main() -> tuple[ScaleWrite, float]:
        await cluster.deploy(REF)
        if fails is not None or hangs:
            cluster.on_write[REF] = hook
        function = await cluster.read(REF)
        scales = ScaleWriter(
            cluster,
            clock=loop.clock,
            recorder=told,
            deadline_s=5,
            log_event="stepped",
            leadership=leadership or Always(),
            retried=retried,
        )
        decision = Decision(REF, writer, 1, after, Reason.ALERT_FIRING, "why", Instant(loop.clock.wall()), {"load": 3})
        began = loop.time()
        asked = policy or ScalePolicy()
        write = await scales.write(
            decision,
            asked,
            version=function.scale.version if version is None else version,
            owner=ownership.steady_owner(asked, Scalers(hpa=True)),
        )
        return write, loop.time() - began

    write, took_s = run(main(), loop)
    return write, cluster, told, took_s


def test_decision_is_written_once_and_told() -> None:
    write, cluster, told, _ = attempt()

    assert cluster.writes == [(REF, 5)]
    assert write.scale is not None
    assert (write.scale.desired, write.error) == (5, None)
    assert told.all == cluster.decisions == [write.decision]


@pytest.mark.parametrize(
    ("writer", "after", "policy", "reason"),
    [
        pytest.param(Writer.ALERT, 0, ScalePolicy(zero=True), Reason.NOT_OWNER, id="an alert takes nothing to zero"),
        pytest.param(Writer.ALERT, 5, ScalePolicy(type="cpu"), Reason.NOT_OWNER, id="an HPA owns it"),
        pytest.param(Writer.IDLER, 0, ScalePolicy(), Reason.NOT_OPTED_IN, id="it did not opt in to zero"),
    ],
)
def test_what_the_ownership_table_refuses_is_not_written(
    writer: Writer, after: int, policy: ScalePolicy, reason: Reason
) -> None:
    write, cluster, told, _ = attempt(writer, after, policy=policy)

    assert cluster.writes == []
    assert (write.decision.reason, write.decision.changes, write.scale, write.error) == (reason, False, None, None)
    assert told.all == [write.decision]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(Conflict("version 3"), Reason.LOST_RACE, id="another came first"),
        pytest.param(NotFound("no echo"), Reason.UNKNOWN_FUNCTION, id="it is gone"),
        pytest.param(Unavailable("down"), Reason.WRITE_FAILED, id="the provider is away"),
        pytest.param(BadInput("no"), Reason.WRITE_FAILED, id="the provider refuses it"),
    ],
)
def test_failure_is_a_hold_with_its_reason_and_the_numbers_of_the_decision(
    error: SpringtideError, reason: Reason
) -> None:
    write, _, told, _ = attempt(fails=error)

    assert (write.decision.reason, write.decision.before, write.decision.after) == (reason, 1, 1)
    assert str(error) in write.decision.detail
    assert write.decision.inputs == {"load": 3}
    assert (write.error, write.scale) == (error, None)
    assert told.all == [write.decision]


def test_version_that_moved_on_loses() -> None:
    write, cluster, _, _ = attempt(version="long ago")

    assert (write.decision.reason, cluster.writes) == (Reason.LOST_RACE, [])


def test_without_a_version_whatever_is_there_is_overwritten() -> None:
    _, cluster, _, _ = attempt(version="")

    assert cluster.writes == [(REF, 5)]


def test_what_will_be_tried_again_is_not_told() -> None:
    write, _, told, _ = attempt(fails=Unavailable("down"), retried=(Reason.WRITE_FAILED,))

    assert (write.decision.reason, told.all) == (Reason.WRITE_FAILED, [])


def test_copy_that_does_not_lead_writes_nothing() -> None:
    write, cluster, _, _ = attempt(leadership=Leading(None))

    assert cluster.writes == []
    assert (write.decision.reason, write.decision.detail) == (
        Reason.WRITE_FAILED,
        "not written: this copy does not lead",
    )


@pytest.mark.parametrize(("left_s", "ends_s"), [(math.inf, 5), (60, 5), (2, 2)])
def test_write_that_hangs_ends_by_its_deadline_and_before_the_lease(left_s: float, ends_s: float) -> None:
    write, cluster, _, took_s = attempt(hangs=True, leadership=Leading(left_s))

    assert took_s == pytest.approx(ends_s, abs=1e-3)
    assert (write.decision.reason, cluster.writes) == (Reason.WRITE_FAILED, [])

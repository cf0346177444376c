from __future__ import annotations

from typing import Any

from springtide.provider.kubernetes.events import MAX_PER_MINUTE
from springtide.scaler.core.policy import MIN
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from tests.kubernetes.provider_stage import ECHO, NAMESPACE, on_cluster, spec

EVENTS = "events.events.k8s.io"


def decision(before: int, after: int) -> Decision:
    return Decision(ECHO, Writer.ALERT, before, after, Reason.ALERT_FIRING, "9 calls/s", Instant(1_700_000_000.0))


def ours(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In whichever of the two forms they are stored."""
    return [
        one for one in found if "springtide/provider" in (one.get("reportingController"), one.get("reportingComponent"))
    ]


async def test_scaling_decision_is_an_event_on_the_deployment() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        await on.provider.write(ECHO, 3, expect=None, decision=decision(1, 3))

        events = ours(await on.cluster.until("events", lambda found: len(ours(found)) == 2, namespace=NAMESPACE))

        by_reason = {event["reason"]: event for event in events}
        assert set(by_reason) == {"Manual", "AlertFiring"}
        fired = by_reason["AlertFiring"]
        assert (fired.get("note") or fired.get("message")) == "Scaled from 1 to 3 by the alert path: 9 calls/s"
        regarding = fired.get("regarding") or fired.get("involvedObject")
        assert regarding is not None
        assert regarding["uid"] == on.deployment()["metadata"]["uid"]


async def test_events_of_a_function_that_flaps_are_bounded() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        for _ in range(MAX_PER_MINUTE):
            await on.provider.write(ECHO, 2, expect=None, decision=decision(1, 2))
            await on.provider.write(ECHO, 1, expect=None, decision=decision(2, 1))
        await on.provider.delete(ECHO)
        await on.provider.deploy(spec(FunctionRef(NAMESPACE, "later"), labels={MIN: "2"}))

        # Events are written one after the other, so once the later function's is there the others were.
        def told(found: list[dict[str, Any]]) -> bool:
            return any(event["metadata"]["name"].startswith("later") for event in ours(found))

        events = ours(await on.cluster.until("events", told, namespace=NAMESPACE))
        assert sum(event["metadata"]["name"].startswith("echo") for event in events) == MAX_PER_MINUTE

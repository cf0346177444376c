"""Leases."""

from __future__ import annotations

from tests.kubernetes.emulator.objects import Object
from tests.kubernetes.emulator.statuses import Cause, wrong


def lease(new: Object, _old: Object | None) -> list[Cause]:
    spec = new.get("spec", {})
    found = []
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        found.append(wrong("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    transitions = spec.get("leaseTransitions")
    if transitions is not None and transitions < 0:
        found.append(wrong("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    if spec.get("holderIdentity") == "":
        found.append(wrong("spec.holderIdentity", "", "must not be empty"))
    return found

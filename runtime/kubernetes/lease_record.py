"""A Lease as data: who holds it, for how long, and what taking, renewing and releasing it writes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
_OTHERS = ("labels", "annotations", "ownerReferences", "finalizers")


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """``holder`` is empty when nobody holds it. ``version`` is the resourceVersion, compare-and-set of every write;
    ``others`` is metadata that is not ours to change, which a write has to repeat."""

    holder: str
    duration_s: float
    transitions: int
    acquired: str
    version: str
    others: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, lease: Json) -> LeaseRecord:
        """What is missing counts as a lease that nobody holds."""
        spec = lease.get("spec") or {}
        return cls(
            holder=str(spec.get("holderIdentity") or ""),
            duration_s=float(spec.get("leaseDurationSeconds") or 0),
            transitions=int(spec.get("leaseTransitions") or 0),
            acquired=str(spec.get("acquireTime") or ""),
            version=str(lease["metadata"].get("resourceVersion", "")),
            others={key: lease["metadata"][key] for key in _OTHERS if key in lease["metadata"]},
        )


@dataclass(frozen=True, slots=True)
class LeaseName:
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def held(name: LeaseName, identity: str, *, duration_s: float, known: LeaseRecord | None, wall: float) -> Json:
    """The Lease as ``identity`` holds it from now on: taken, or renewed if it was the holder already."""
    renewing = known is not None and known.holder == identity
    transitions = 0 if known is None else known.transitions + (0 if renewing else 1)
    now = _micro_time(wall)
    spec: Json = {
        "holderIdentity": identity,
        "leaseDurationSeconds": round(duration_s),
        "acquireTime": known.acquired if known is not None and renewing and known.acquired else now,
        "renewTime": now,
        "leaseTransitions": transitions,
    }
    return _lease(name, known, spec)


def released(name: LeaseName, known: LeaseRecord, *, wall: float) -> Json:
    """The Lease as nobody holds it; the count of transitions is kept."""
    now = _micro_time(wall)
    spec: Json = {
        "leaseDurationSeconds": 1,  # zero is not valid
        "acquireTime": now,
        "renewTime": now,
        "leaseTransitions": known.transitions,
    }
    return _lease(name, known, spec)


def _lease(name: LeaseName, known: LeaseRecord | None, spec: Json) -> Json:
    metadata: Json = {"namespace": name.namespace, "name": name.name}
    if known is not None:
        metadata |= {**known.others, "resourceVersion": known.version}
    return {"metadata": metadata, "spec": spec}


def _micro_time(wall: float) -> str:
    """For people only: other copies judge by when they see a change, not by what a holder's clock says."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

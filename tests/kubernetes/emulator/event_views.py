"""Events of core/v1 and of events.k8s.io/v1 are the same objects under two names of their fields.

They are stored as core/v1.
"""

from __future__ import annotations

from tests.kubernetes.emulator.objects import Object
from tests.kubernetes.emulator.statuses import Cause, invalid, required, wrong

GROUP = "events.k8s.io"
_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedCount": "count",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
}
_BACK = {core: new for new, core in _NAMES.items()}


def to_core(event: Object) -> Object:
    """Raises ApiError 422: unlike core/v1, this version has fields that must be there, and some that must not."""
    causes = [] if event.get("eventTime") else [required("eventTime")]
    causes += [
        wrong(field, event[field], "needs to be unset")
        for field in ("deprecatedCount", "deprecatedSource", "deprecatedFirstTimestamp", "deprecatedLastTimestamp")
        if event.get(field)
    ]
    series = event.get("series")
    if series is not None and series.get("count", 0) < 2:
        causes.append(Cause("series.count", "should be at least 2"))
    if causes and not event["metadata"].get("resourceVersion"):
        raise invalid(GROUP, "Event", event["metadata"].get("name", ""), causes)
    core = {_NAMES.get(field, field): value for field, value in event.items()}
    return core | {"apiVersion": "v1", "metadata": dict(event["metadata"])}


def from_core(event: Object) -> Object:
    new = {_BACK.get(field, field): value for field, value in event.items()}
    return new | {"apiVersion": "events.k8s.io/v1", "metadata": dict(event["metadata"])}

"""Alertmanager's webhook payload, version 4: bytes to events. Pure; what it does not need, it does not look at."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus, Load
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef, Instant

MAX_ALERTS = 20_000
"""One delivery with more is refused: half of it would be a wrong picture. Alertmanager's group_by makes it smaller.

A refusal is for good, as Alertmanager does not try it again, and takes the step from every function in it. So this
bound and that of bytes are far above what one group holds.
"""

MAX_NAME_CHARS = 200

LOAD = re.compile(r"([0-9.]{1,20}) ([a-z][a-z /]{0,29})(?:, above ([0-9.]{1,20}))?, at ([0-9.]{1,20})")
"""The annotation ``load`` of a scaling alert: ``31.2 calls/s, above 5, at 1767225600``."""


def parse(body: bytes, default_namespace: str = DEFAULT_NAMESPACE) -> list[AlertEvent]:
    """One event for each alert that names a function, in the order given. Raises BadInput saying what is wrong.

    Each alert's own status counts, not the one of the delivery.
    """
    if not body.strip():
        raise BadInput("a body is required: an Alertmanager webhook payload in JSON")
    try:
        payload = bounded_json.loads(body)
    except ValueError as error:
        raise BadInput(f"the body is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise BadInput(f"the body must be a JSON object, not {_kind(payload)}")
    alerts = payload.get("alerts")
    if not isinstance(alerts, list):
        raise BadInput(f"alerts: must be a list, not {_kind(alerts)}")
    if len(alerts) > MAX_ALERTS:
        raise BadInput(f"alerts: {len(alerts)} in one delivery, at most {MAX_ALERTS}; group by function_name")
    events = (_event(f"alerts[{index}]", alert, default_namespace) for index, alert in enumerate(alerts))
    return [event for event in events if event is not None]


def _event(where: str, alert: object, default_namespace: str) -> AlertEvent | None:
    """None for an alert that is not about a function."""
    if not isinstance(alert, dict):
        raise BadInput(f"{where}: must be an object, not {_kind(alert)}")
    labels = alert.get("labels")
    if labels is None:
        labels = {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise BadInput(f"{where}.labels: must be an object of strings")
    try:
        status = AlertStatus(str(alert.get("status")))
    except ValueError:
        raise BadInput(f"{where}.status: must be firing or resolved, not {str(alert.get('status'))[:50]!r}") from None
    name = labels.get("function_name", "")
    ref = FunctionRef.parse(name, default_namespace)
    if not ref.name or not ref.namespace or len(name) > MAX_NAME_CHARS:
        return None
    alert_id = AlertId(_fingerprint(where, alert, labels), _text(where, alert, "startsAt"))
    return AlertEvent(ref, status, alert_id, labels.get("alertname", "")[:MAX_NAME_CHARS], _load(alert))


def _load(alert: dict[str, Any]) -> Load | None:
    """None where it is not told, or not as a number: nothing is decided by it, so no alert is refused for it."""
    annotations = alert.get("annotations")
    told = annotations.get("load") if isinstance(annotations, dict) else None
    match = LOAD.fullmatch(told) if isinstance(told, str) else None
    if match is None:
        return None
    value, unit, threshold, at = match.groups()
    try:
        return Load(_finite(value), unit, _finite(threshold) if threshold else None, Instant(_finite(at)))
    except ValueError:
        return None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _fingerprint(where: str, alert: dict[str, Any], labels: dict[str, str]) -> str:
    """Alertmanager's own, or one that is as stable: equal for equal labels in whatever order."""
    given = _text(where, alert, "fingerprint")
    return given or hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]


def _text(where: str, alert: dict[str, Any], key: str) -> str:
    value = alert.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NAME_CHARS:
        raise BadInput(f"{where}.{key}: must be a string of at most {MAX_NAME_CHARS} characters")
    return value


def _kind(value: object) -> str:
    names: dict[type[object], str] = {
        type(None): "nothing",
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "true or false",
    }
    return names.get(type(value), "a number")

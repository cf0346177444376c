"""What annotations of a function may say where they carry a number, a duration or a path: each has its bounds.

The same wherever functions run, also where nothing reads them: a stack file is to mean the same on a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from springtide.runtime.durations import parse_duration_s
from springtide.scaler.core import label_names
from springtide.scaler.core.call_timeout import TIMEOUT
from springtide.scaler.core.label_names import HANDLER, LANG
from springtide.scaler.core.loads import ALSO, QUERY
from springtide.wire.events.delivery_mode import ANNOTATION as DELIVERY
from springtide.wire.webhooks.webhook import SECRET, WEBHOOK

HEALTH, READY, RETRY = "com.openfaas.health.http.", "com.openfaas.ready.http.", "com.openfaas.retry."
MAX_PROBE_S = 86_400
MAX_THRESHOLD = MAX_ATTEMPTS = 10_000
MAX_SHOWN = 80
"""Characters of a wrong value that its problem repeats."""


def path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("write a path that starts with /, such as /_/health")
    return text


def whole(text: str, *, least: int, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text.lstrip("0")) > len(str(most)):
        raise ValueError(f"write a whole number, {least} to {most}")
    if not least <= int(text) <= most:
        raise ValueError(f"write {least} to {most}")
    return int(text)


threshold = partial(whole, least=1, most=MAX_THRESHOLD)


def probe_seconds(text: str, *, least: int = 0) -> int:
    """Whole seconds, the rest cut off."""
    seconds = parse_duration_s(text)
    if int(seconds) < least:
        raise ValueError(f"write at least {least} s")
    if seconds > MAX_PROBE_S:
        raise ValueError(f"write at most {MAX_PROBE_S // 3600}h")
    return int(seconds)


def problems(annotations: Mapping[str, str]) -> Iterator[str]:
    """Each with its key, its value and what to write instead. An empty value is an unset one."""
    for key, parse in READERS.items():
        text = annotations.get(key, "").strip()
        try:
            if text:
                parse(text)
        except ValueError as error:
            yield f"annotation {key}={text[:MAX_SHOWN]!r}: {error}"


def misspelt(annotations: Mapping[str, str]) -> Iterator[str]:
    """Names that are nearly those of annotations that are read: each with the one that is meant."""
    for key in annotations:
        alike = [name for name in KNOWN if abs(len(name) - len(key)) <= label_names.MAX_SLIPS]
        slips = {name: label_names.edit_distance(key.lower(), name.lower()) for name in alike}
        near = min(slips, key=slips.__getitem__, default=None)
        if key not in KNOWN and near is not None and slips[near] <= label_names.MAX_SLIPS:
            yield f"{key[:MAX_SHOWN]}: unknown; is it {near}?"


_PROBE: Mapping[str, Callable[[str], object]] = {
    "path": path,
    **dict.fromkeys(("initialDelay", "initialDelaySeconds"), probe_seconds),
    **dict.fromkeys(("period", "periodSeconds", "timeout", "timeoutSeconds"), partial(probe_seconds, least=1)),
    **dict.fromkeys(("successThreshold", "failureThreshold"), threshold),
}
_PORT = partial(whole, least=1, most=65_535)
READERS: Mapping[str, Callable[[str], object]] = {
    **{prefix + name: parse for prefix in (READY, HEALTH) for name, parse in _PROBE.items()},
    "com.openfaas.http.path": path,
    RETRY + "attempts": partial(whole, least=0, most=MAX_ATTEMPTS),
    RETRY + "min_wait": parse_duration_s,
    RETRY + "max_wait": parse_duration_s,
    "prometheus.io.port": _PORT,
    "prometheus.io/port": _PORT,
}
KNOWN = (
    *READERS,
    RETRY + "codes",
    "com.openfaas.profile",
    "com.openfaas.queue",
    "com.openfaas.serviceaccount",
    "com.openfaas.function.spec",
    HANDLER,
    LANG,
    TIMEOUT,
    QUERY,
    ALSO,
    WEBHOOK,
    SECRET,
    DELIVERY,
)
"""Names of annotations that are read, here or by OpenFaaS."""

"""Probes and life-cycle hooks of a container."""

from __future__ import annotations

from tests.kubernetes.emulator.objects import Object, dig
from tests.kubernetes.emulator.statuses import Cause, not_allowed, required, unsupported, wrong
from tests.kubernetes.emulator.validation import names

HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_NUMBERS = {
    "initialDelaySeconds": 0,
    "timeoutSeconds": 1,
    "periodSeconds": 1,
    "successThreshold": 1,
    "failureThreshold": 1,
}


def container_probes(container: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is None:
            continue
        at = f"{path}.{name}"
        found += _probe(probe, at)
        if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            found.append(wrong(f"{at}.successThreshold", probe["successThreshold"], "must be 1"))
        if name == "readinessProbe" and "terminationGracePeriodSeconds" in probe:
            value = probe["terminationGracePeriodSeconds"]
            found.append(wrong(f"{at}.terminationGracePeriodSeconds", value, "must not be set for readinessProbes"))
    for hook in ("preStop", "postStart"):
        handler = dig(container, "lifecycle", hook)
        if handler is not None:
            found += _handler(handler, f"{path}.lifecycle.{hook}", ("exec", "httpGet", "tcpSocket", "sleep"))
    return found


def _probe(probe: Object, path: str) -> list[Cause]:
    found = _handler(probe, path, HANDLERS)
    for key, least in _NUMBERS.items():
        value = probe.get(key, least)
        if value < 0 or value < least:
            found.append(wrong(f"{path}.{key}", value, f"must be greater than or equal to {0 if value < 0 else least}"))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        found.append(wrong(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    return found


def _handler(handler: Object, path: str, known: tuple[str, ...]) -> list[Cause]:
    given = [name for name in known if name in handler]
    if not given:
        return [required(path, "must specify a handler type")]
    found = [not_allowed(f"{path}.{name}", "may not specify more than 1 handler type") for name in given[1:]]
    name = given[0]
    at, action = f"{path}.{name}", handler[name]
    if name == "httpGet":
        found += port(action.get("port"), f"{at}.port")
        if not action.get("path"):
            found.append(required(f"{at}.path"))
        if action.get("scheme", "HTTP") not in ("HTTP", "HTTPS"):
            found.append(unsupported(f"{at}.scheme", action["scheme"], ("HTTP", "HTTPS")))
    elif name == "exec" and not action.get("command"):
        found.append(required(f"{at}.command"))
    elif name in ("tcpSocket", "grpc"):
        found += port(action.get("port"), f"{at}.port")
    elif name == "sleep" and action.get("seconds", 0) < 0:
        found.append(
            wrong(at, action.get("seconds"), "must be greater than 0 and less than terminationGracePeriodSeconds")
        )
    return found


def port(value: int | str | None, path: str) -> list[Cause]:
    """A number or the name of one."""
    if isinstance(value, str):
        problem = names.port_name_problem(value)
        return [wrong(path, value, problem)] if problem else []
    if value is None or not 0 < value < 65536:
        return [wrong(path, value or 0, "must be between 1 and 65535, inclusive")]
    return []

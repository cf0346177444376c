"""Containers: image, environment, ports, resources, mounts, security."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tests.kubernetes.emulator.objects import Object, dig
from tests.kubernetes.emulator.statuses import Cause, duplicate, not_allowed, required, unsupported, wrong
from tests.kubernetes.emulator.validation import names
from tests.kubernetes.emulator.validation.probes import container_probes
from tests.kubernetes.emulator.validation.quantities import amount

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")
SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def container(given: Object, path: str, volumes: Sequence[str]) -> list[Cause]:
    found = []
    name, image = given.get("name", ""), given.get("image", "")
    if not name:
        found.append(required(f"{path}.name"))
    elif problem := names.label_problem(name):
        found.append(wrong(f"{path}.name", name, problem))
    if not image:
        found.append(required(f"{path}.image"))
    elif image != image.strip():
        found.append(wrong(f"{path}.image", image, "must not have leading or trailing whitespace"))
    policy = given.get("imagePullPolicy", "Always")
    if policy not in PULL_POLICIES:
        found.append(unsupported(f"{path}.imagePullPolicy", policy, PULL_POLICIES))
    found += _env(given.get("env", []), f"{path}.env")
    found += _env_from(given.get("envFrom", []), f"{path}.envFrom")
    found += _ports(given.get("ports", []), f"{path}.ports")
    found += _mounts(given.get("volumeMounts", []), f"{path}.volumeMounts", volumes)
    found += resources(given.get("resources", {}), f"{path}.resources")
    found += container_probes(given, path)
    return found + _security(given.get("securityContext", {}), f"{path}.securityContext")


def _env(env: list[Object], path: str) -> list[Cause]:
    """The server takes a name given twice; nobody means that, so it is refused here."""
    found = []
    seen: set[str] = set()
    for index, variable in enumerate(env):
        at, name = f"{path}[{index}]", variable.get("name", "")
        if not name:
            found.append(required(f"{at}.name"))
        elif problem := names.variable_problem(name):
            found.append(wrong(f"{at}.name", name, problem))
        elif name in seen:
            found.append(duplicate(f"{at}.name", name))
        seen.add(name)
        source = variable.get("valueFrom")
        if source is None:
            continue
        if variable.get("value"):
            found.append(wrong(f"{at}.valueFrom", "", "may not be specified when `value` is not empty"))
        given = [key for key in SOURCES if key in source]
        if len(given) != 1:
            why = (
                "may not have more than one field specified at a time"
                if given
                else "must specify one of: " + ", ".join(f"`{key}`" for key in SOURCES[:4])
            )
            found.append(wrong(f"{at}.valueFrom", "", why))
        found += [
            required(f"{at}.valueFrom.{key}.key")
            for key in ("configMapKeyRef", "secretKeyRef")
            if key in source and not source[key].get("key")
        ]
    return found


def _env_from(sources: list[Object], path: str) -> list[Cause]:
    found = []
    for index, source in enumerate(sources):
        given = [key for key in ("configMapRef", "secretRef") if key in source]
        if len(given) != 1:
            found.append(wrong(f"{path}[{index}]", "", "must specify one of: `configMapRef` or `secretRef`"))
        found += [required(f"{path}[{index}].{key}.name") for key in given if not source[key].get("name")]
    return found


def _ports(ports: list[Object], path: str) -> list[Cause]:
    found = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        at, number, name = f"{path}[{index}]", port.get("containerPort", 0), port.get("name", "")
        if not 0 < number < 65536:
            found.append(wrong(f"{at}.containerPort", number, "must be between 1 and 65535, inclusive"))
        if name and (problem := names.port_name_problem(name)):
            found.append(wrong(f"{at}.name", name, problem))
        if name and name in seen:
            found.append(duplicate(f"{at}.name", name))
        seen.add(name)
        if port.get("protocol", "TCP") not in ("TCP", "UDP", "SCTP"):
            found.append(unsupported(f"{at}.protocol", port["protocol"], ("TCP", "UDP", "SCTP")))
    return found


def _mounts(mounts: list[Object], path: str, volumes: Sequence[str]) -> list[Cause]:
    found = []
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        at, name, place = f"{path}[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            found.append(required(f"{at}.name"))
        elif name not in volumes:
            found.append(Cause(f"{at}.name", f'Not found: "{name}"', "FieldValueNotFound"))
        if not place:
            found.append(required(f"{at}.mountPath"))
        elif ":" in place:
            found.append(wrong(f"{at}.mountPath", place, "must not contain ':'"))
        if place in seen:
            found.append(wrong(f"{at}.mountPath", place, "must be unique"))
        seen.add(place)
    return found


def resources(given: Object, path: str) -> list[Cause]:
    found = []
    amounts: dict[str, dict[str, Decimal]] = {"limits": {}, "requests": {}}
    for kind, parsed in amounts.items():
        for name, text in given.get(kind, {}).items():
            at = f"{path}.{kind}[{name}]"
            if name not in STANDARD_RESOURCES and not name.startswith("hugepages-") and "/" not in name:
                why = "must be a standard resource type or fully qualified"
                found.append(wrong(f"{path}.{kind}", name, why))
            parsed[name] = amount(text)
            if parsed[name] < 0:
                found.append(wrong(at, text, "must be greater than or equal to 0"))
            if name == "cpu" and parsed[name] * 1000 % 1:
                found.append(wrong(at, text, "must not be finer than 1m"))
    for name, wanted in amounts["requests"].items():
        limit = amounts["limits"].get(name)
        if limit is not None and wanted > limit:
            text = given["requests"][name]
            why = f"must be less than or equal to {name} limit of {given['limits'][name]}"
            found.append(wrong(f"{path}.requests", text, why))
    return found


def _security(given: Object, path: str) -> list[Cause]:
    found = []
    for field in ("runAsUser", "runAsGroup"):
        value = given.get(field, 0)
        if not 0 <= value < 1 << 31:
            found.append(wrong(f"{path}.{field}", value, "must be between 0 and 2147483647, inclusive"))
    if given.get("privileged") and given.get("allowPrivilegeEscalation") is False:
        why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        found.append(wrong(path, "", why))
    if "SYS_ADMIN" in dig(given, "capabilities", "add", default=[]) and given.get("allowPrivilegeEscalation") is False:
        why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
        found.append(not_allowed(path, why))
    return found

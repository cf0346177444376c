"""Secrets, ConfigMaps, Events."""

from __future__ import annotations

import base64

from tests.kubernetes.emulator.objects import Object, dig
from tests.kubernetes.emulator.statuses import Cause, not_allowed, required, wrong
from tests.kubernetes.emulator.validation import names

MAX_BYTES = 1 << 20
_KEYS_OF_TYPE = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def secret(new: Object, old: Object | None) -> list[Cause]:
    data: dict[str, str] = new.get("data", {})
    found = _keys(data)
    if sum(len(base64.b64decode(value)) for value in data.values()) > MAX_BYTES:
        found.append(Cause("data", f"Too long: may not be more than {MAX_BYTES} bytes", "FieldValueTooLong"))
    kind = new.get("type", "Opaque")
    found += [required(f"data[{key}]") for key in _KEYS_OF_TYPE.get(kind, ()) if key not in data]
    if old is not None and kind != old.get("type", "Opaque"):
        found.append(wrong("type", kind, "field is immutable"))
    return found + _immutable(new, old, ("data",))


def config_map(new: Object, old: Object | None) -> list[Cause]:
    data, binary = new.get("data", {}), new.get("binaryData", {})
    found = _keys(data) + _keys(binary)
    found += [wrong(f"data[{key}]", key, "duplicate of key present in binaryData") for key in data if key in binary]
    if sum(len(value.encode()) for value in (*data.values(), *binary.values())) > MAX_BYTES:
        found.append(Cause("", f"Too long: may not be more than {MAX_BYTES} bytes", "FieldValueTooLong"))
    return found + _immutable(new, old, ("data", "binaryData"))


def _keys(data: dict[str, str]) -> list[Cause]:
    return [wrong(f"data[{key}]", key, problem) for key in data if (problem := names.data_key_problem(key))]


def _immutable(new: Object, old: Object | None, fields: tuple[str, ...]) -> list[Cause]:
    if old is None or not old.get("immutable"):
        return []
    changed = [field for field in fields if new.get(field) != old.get(field)]
    if not new.get("immutable"):
        changed.append("immutable")
    return [not_allowed(field, "field is immutable when `immutable` is set") for field in changed]


def event(new: Object, old: Object | None) -> list[Cause]:
    """As core/v1 stores it; what events.k8s.io asks for besides is checked where it is converted."""
    place = dig(new, "metadata", "namespace", default="")
    about = dig(new, "involvedObject", "namespace", default="")
    if (about or "default") != place:
        return [wrong("involvedObject.namespace", about, "does not match event.namespace")]
    if old is not None:
        return []
    return new_style(new) if new.get("eventTime") else []


def new_style(new: Object) -> list[Cause]:
    """An event with ``eventTime`` has to be complete."""
    found = []
    if problem := names.label_key_problem(new.get("reportingComponent", "")):
        found.append(wrong("reportingController", new.get("reportingComponent", ""), problem))
    for field, most in (("reportingInstance", 128), ("action", 128), ("reason", 128)):
        value = new.get(field, "")
        if not value:
            found.append(required(field))
        elif len(value) > most:
            found.append(wrong(field, "", f"can have at most {most} characters"))
    if len(new.get("message", "")) > 1024:
        found.append(wrong("message", "", "can have at most 1024 characters"))
    if new.get("type") not in ("Normal", "Warning"):
        found.append(wrong("type", new.get("type", ""), "has invalid value"))
    return found

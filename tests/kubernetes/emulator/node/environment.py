"""What a container finds around it: its variables and the files of its volumes."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.objects import Object, dig, name_of, namespace_of, uid_of
from tests.kubernetes.emulator.settings import Image

SECRETS = "/var/openfaas/secrets"
"""The one mount that containers here really have at its place."""


class NotThere(Exception):
    """A secret or config map that the pod needs is missing; says which."""


def variables(actor: Actor, pod: Object, container: Object, image: Image) -> dict[str, str]:
    """Raises NotThere."""
    found = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME": name_of(pod)}
    found |= image.env
    for source in container.get("envFrom", ()):
        for kind, key in (("secrets", "secretRef"), ("configmaps", "configMapRef")):
            if key in source:
                data = _data(actor, kind, namespace_of(pod), source[key])
                found |= {source.get("prefix", "") + name: value.decode() for name, value in data.items()}
    for one in container.get("env", ()):
        value = _value(actor, pod, one)
        if value is not None:
            found[one["name"]] = value
    return found


def _value(actor: Actor, pod: Object, one: Object) -> str | None:
    source = one.get("valueFrom")
    if source is None:
        return str(one.get("value", ""))
    if "fieldRef" in source:
        path = source["fieldRef"]["fieldPath"]
        return {"metadata.uid": uid_of(pod)}.get(path) or str(dig(pod, *path.split("."), default=""))
    for kind, key in (("secrets", "secretKeyRef"), ("configmaps", "configMapKeyRef")):
        if key in source:
            ref = source[key]
            data = _data(actor, kind, namespace_of(pod), ref)
            if ref["key"] in data:
                return data[ref["key"]].decode()
            if not ref.get("optional"):
                raise NotThere(f"couldn't find key {ref['key']} in {kind[:-1]} {namespace_of(pod)}/{ref['name']}")
            return None
    return ""


def mount(actor: Actor, pod: Object, container: Object, folder: Path) -> bool:
    """Put the files of the volume at the secrets' place into a folder; False where there is none. Raises NotThere.

    Every secret that any volume names has to exist, as a kubelet waits for it before it starts anything.
    """
    place = next((one["name"] for one in container.get("volumeMounts", ()) if one["mountPath"] == SECRETS), None)
    found = False
    for volume in dig(pod, "spec", "volumes", default=[]):
        files = _files(actor, pod, volume)
        if volume["name"] == place:
            found = True
            for name, content in files.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    return found


def _files(actor: Actor, pod: Object, volume: Object) -> dict[str, bytes]:
    sources = list(dig(volume, "projected", "sources", default=[]))
    if "secret" in volume:
        given = volume["secret"]
        sources.append({"secret": given | {"name": given["secretName"]}})
    if "configMap" in volume:
        sources.append({"configMap": volume["configMap"]})
    files: dict[str, bytes] = {}
    for source in sources:
        for kind, key in (("secrets", "secret"), ("configmaps", "configMap")):
            if key in source:
                data = _data(actor, kind, namespace_of(pod), source[key])
                files |= _chosen(data, source[key], kind)
    return files


def _chosen(data: dict[str, bytes], ref: Object, kind: str) -> dict[str, bytes]:
    items = ref.get("items")
    if items is None:
        return data
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not ref.get("optional"):
        raise NotThere(f"references non-existent {kind[:-1]} key: {missing[0]}")
    return {item["path"]: data[item["key"]] for item in items if item["key"] in data}


def _data(actor: Actor, kind: str, namespace: str, ref: Object) -> dict[str, bytes]:
    found = actor.get(kind, namespace, ref["name"])
    if found is None:
        if ref.get("optional"):
            return {}
        raise NotThere(f'{kind[:-1]} "{ref["name"]}" not found')
    if kind == "secrets":
        return {key: base64.b64decode(value) for key, value in found.get("data", {}).items()}
    return {key: value.encode() for key, value in found.get("data", {}).items()}

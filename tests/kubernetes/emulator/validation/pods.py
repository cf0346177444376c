"""Pods and pod templates."""

from __future__ import annotations

from tests.kubernetes.emulator.objects import Object, clone, dig
from tests.kubernetes.emulator.statuses import Cause, duplicate, not_allowed, required, unsupported, wrong
from tests.kubernetes.emulator.validation import names
from tests.kubernetes.emulator.validation.containers import container
from tests.kubernetes.emulator.validation.metadata import annotation_keys, labels

DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
SPREAD_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")

_KEYS_OF_VOLUMES = ("name",)


def pod(new: Object, old: Object | None) -> list[Cause]:
    if old is None:
        return spec(new["spec"], "spec", always=False)
    return _unchanged(new["spec"], old["spec"])


def template(given: Object, path: str) -> list[Cause]:
    found = labels(dig(given, "metadata", "labels", default={}), f"{path}.metadata.labels")
    found += annotation_keys(dig(given, "metadata", "annotations", default={}), f"{path}.metadata.annotations")
    return found + spec(given.get("spec", {}), f"{path}.spec", always=True)


def spec(given: Object, path: str, *, always: bool) -> list[Cause]:
    """``always``: a template of a workload, whose pods are to restart."""
    volumes = [volume.get("name", "") for volume in given.get("volumes", ())]
    found = _volumes(given.get("volumes", []), f"{path}.volumes")
    containers = given.get("containers", [])
    if not containers:
        found.append(required(f"{path}.containers"))
    seen: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, one in enumerate(given.get(field, ())):
            at = f"{path}.{field}[{index}]"
            found += container(one, at, volumes)
            if one.get("name") in seen:
                found.append(duplicate(f"{at}.name", one["name"]))
            seen.add(one.get("name", ""))
    found += _policies(given, path, always=always)
    found += _names(given, path)
    found += _tolerations(given.get("tolerations", []), f"{path}.tolerations")
    found += _spread(given.get("topologySpreadConstraints", []), f"{path}.topologySpreadConstraints")
    return found


def _policies(given: Object, path: str, *, always: bool) -> list[Cause]:
    found = []
    restart = given.get("restartPolicy", "Always")
    allowed = ("Always",) if always else ("Always", "OnFailure", "Never")
    if restart not in allowed:
        found.append(unsupported(f"{path}.restartPolicy", restart, allowed))
    dns = given.get("dnsPolicy", "ClusterFirst")
    if dns not in DNS_POLICIES:
        found.append(unsupported(f"{path}.dnsPolicy", dns, DNS_POLICIES))
    if dns == "None" and not dig(given, "dnsConfig", "nameservers"):
        why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        found.append(required(f"{path}.dnsConfig.nameservers", why))
    grace = given.get("terminationGracePeriodSeconds", 30)
    if grace < 0:
        found.append(wrong(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0"))
    active = given.get("activeDeadlineSeconds")
    if active is not None and (always or active < 1):
        found.append(
            not_allowed(f"{path}.activeDeadlineSeconds", "activeDeadlineSeconds in ReplicaSet is not Supported")
        )
    return found


def _names(given: Object, path: str) -> list[Cause]:
    found = [
        wrong(f"{path}.{field}", value, problem)
        for field in ("serviceAccountName", "nodeName", "runtimeClassName", "priorityClassName")
        if (value := given.get(field)) and (problem := names.subdomain_problem(value))
    ]
    found += labels(given.get("nodeSelector", {}), f"{path}.nodeSelector")
    found += [
        required(f"{path}.imagePullSecrets[{index}].name")
        for index, secret in enumerate(given.get("imagePullSecrets", ()))
        if not secret.get("name")
    ]
    return found


def _volumes(volumes: list[Object], path: str) -> list[Cause]:
    found = []
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        at, name = f"{path}[{index}]", volume.get("name", "")
        if not name:
            found.append(required(f"{at}.name"))
        elif problem := names.label_problem(name):
            found.append(wrong(f"{at}.name", name, problem))
        elif name in seen:
            found.append(duplicate(f"{at}.name", name))
        seen.add(name)
        sources = [key for key in volume if key not in _KEYS_OF_VOLUMES]
        if not sources:
            found.append(required(at, "must specify a volume type"))
        found += [not_allowed(f"{at}.{key}", "may not specify more than 1 volume type") for key in sources[1:]]
        found += _sources(volume, at)
    return found


def _sources(volume: Object, path: str) -> list[Cause]:
    found = []
    if "secret" in volume and not volume["secret"].get("secretName"):
        found.append(required(f"{path}.secret.secretName"))
    if "configMap" in volume and not volume["configMap"].get("name"):
        found.append(required(f"{path}.configMap.name"))
    for place in ("secret", "configMap", "projected"):
        mode = dig(volume, place, "defaultMode", default=0)
        if not 0 <= mode <= 0o777:
            why = "must be a number between 0 and 0777 (octal), both inclusive"
            found.append(wrong(f"{path}.{place}.defaultMode", mode, why))
    return found + _projected(dig(volume, "projected", "sources", default=[]), f"{path}.projected.sources")


def _projected(sources: list[Object], path: str) -> list[Cause]:
    found = []
    paths: set[str] = set()
    for index, source in enumerate(sources):
        at = f"{path}[{index}]"
        if len(source) > 1:
            found.append(not_allowed(at, "may not specify more than 1 volume type per source"))
        for place in ("secret", "configMap"):
            if place in source and not source[place].get("name"):
                found.append(required(f"{at}.{place}.name"))
            found += _items(dig(source, place, "items", default=[]), f"{at}.{place}.items", paths)
    return found


def _items(items: list[Object], path: str, taken: set[str]) -> list[Cause]:
    """``taken``: paths of the volume so far; grows."""
    found = []
    for index, item in enumerate(items):
        place = item.get("path", "")
        if not item.get("key"):
            found.append(required(f"{path}[{index}].key"))
        if not place or place.startswith("/") or ".." in place.split("/"):
            found.append(wrong(f"{path}[{index}].path", place, "must be a relative path"))
        elif place in taken:
            found.append(duplicate(f"{path}[{index}].path", place))
        taken.add(place)
    return found


def _tolerations(given: list[Object], path: str) -> list[Cause]:
    found = []
    for index, one in enumerate(given):
        at, operator = f"{path}[{index}]", one.get("operator", "Equal")
        if one.get("key") and (problem := names.label_key_problem(one["key"])):
            found.append(wrong(f"{at}.key", one["key"], problem))
        if not one.get("key") and operator != "Exists":
            why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            found.append(wrong(f"{at}.operator", operator, why))
        if operator not in ("Equal", "Exists"):
            found.append(unsupported(f"{at}.operator", operator, ("Equal", "Exists")))
        if operator == "Exists" and one.get("value"):
            found.append(wrong(f"{at}.operator", one["value"], "value must be empty when `operator` is 'Exists'"))
        if one.get("effect", "NoSchedule") not in EFFECTS:
            found.append(unsupported(f"{at}.effect", one["effect"], EFFECTS))
        if "tolerationSeconds" in one and one.get("effect") != "NoExecute":
            found.append(
                wrong(
                    f"{at}.effect", one.get("effect", ""), "effect must be 'NoExecute' when `tolerationSeconds` is set"
                )
            )
    return found


def _spread(given: list[Object], path: str) -> list[Cause]:
    found = []
    for index, one in enumerate(given):
        at = f"{path}[{index}]"
        if one.get("maxSkew", 0) <= 0:
            found.append(wrong(f"{at}.maxSkew", one.get("maxSkew", 0), "must be greater than zero"))
        if not one.get("topologyKey"):
            found.append(required(f"{at}.topologyKey", "can not be empty"))
        if one.get("whenUnsatisfiable") not in SPREAD_ACTIONS:
            found.append(unsupported(f"{at}.whenUnsatisfiable", one.get("whenUnsatisfiable", ""), SPREAD_ACTIONS))
    return found


def _unchanged(new: Object, old: Object) -> list[Cause]:
    """Of a pod's specification only images, the deadline, tolerations and the grace period may change."""
    copy = clone(new)
    for field in ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "nodeName"):
        copy.pop(field, None)
        if field in old:
            copy[field] = old[field]
    for field in ("containers", "initContainers"):
        for one, before in zip(copy.get(field, ()), old.get(field, ()), strict=False):
            one["image"] = before.get("image")
    if copy == old:
        return []
    why = (
        "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
        "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
    )
    return [not_allowed("spec", why)]

"""Roles and their bindings."""

from __future__ import annotations

from tests.kubernetes.emulator.objects import Object, dig
from tests.kubernetes.emulator.statuses import Cause, required, unsupported, wrong


def role(new: Object, _old: Object | None) -> list[Cause]:
    found = []
    for index, rule in enumerate(new.get("rules", ())):
        at = f"rules[{index}]"
        if not rule.get("verbs"):
            found.append(required(f"{at}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            if rule.get("apiGroups") or rule.get("resources"):
                why = "rules cannot apply to both regular resources and non-resource URLs"
                found.append(wrong(f"{at}.nonResourceURLs", rule["nonResourceURLs"], why))
            continue
        if "apiGroups" not in rule:
            found.append(required(f"{at}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            found.append(required(f"{at}.resources", "resource rules must supply at least one resource"))
    return found


def binding(new: Object, old: Object | None) -> list[Cause]:
    ref = new.get("roleRef", {})
    found = []
    if ref.get("kind") not in ("Role", "ClusterRole"):
        found.append(unsupported("roleRef.kind", ref.get("kind", ""), ("ClusterRole", "Role")))
    if not ref.get("name"):
        found.append(required("roleRef.name"))
    if old is not None and ref != old.get("roleRef"):
        found.append(wrong("roleRef", ref, "cannot change roleRef"))
    for index, subject in enumerate(new.get("subjects", ())):
        at = f"subjects[{index}]"
        if not subject.get("name"):
            found.append(required(f"{at}.name"))
        if subject.get("kind") == "ServiceAccount" and not dig(subject, "namespace"):
            found.append(required(f"{at}.namespace"))
    return found

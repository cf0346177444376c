"""Names of the labels that Springtide reads: which are misspelt, and which are legal and have no effect.

What ``problems_of`` finds is refused when a function is deployed, never of one that is there already: it keeps running
as it did, with the label ignored. Prefixes that are not ours are nobody's business here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from springtide.scaler.core import explain, label_table, loads, ownership, policy, targets
from springtide.scaler.core.call_timeout import TIMEOUT
from springtide.scaler.core.policy import Rule, ScalePolicy, ZeroPolicy
from springtide.scaler.core.vocabulary import Writer

OUR_PREFIXES = (policy.PREFIX, "com.springtide.")
HANDLER = "com.springtide.handler"
"""Annotation: the absolute path of a handler's folder on this machine, which a function runs from."""
LANG = "com.springtide.lang"
"""Annotation beside it: the template the handler was written for, which decides how it is called."""

KNOWN = tuple(row.key for row in label_table.LABELS)
MEANT = {policy.PREFIX + "mode": policy.TYPE} | {
    policy.PREFIX + key.rpartition(".")[2]: key
    for key in (policy.ZERO_POLICY, policy.COLD_WORTH, policy.COLD_WORTH_RARE)
}
"""Names seen in the wild that are near to none, and what is meant."""

ANNOTATIONS = (
    "com.openfaas.health.http.",
    "com.openfaas.ready.http.",
    "com.openfaas.retry.",
    "com.openfaas.http.path",
    "com.openfaas.profile",
    "com.openfaas.queue",
    "com.openfaas.serviceaccount",
    "com.springtide.webhook",
    "com.springtide.webhook.",
    "com.springtide.trigger.",
    HANDLER,
    LANG,
    TIMEOUT,
    loads.QUERY,
    loads.ALSO,
    "com.springtide.schedule.",
)
"""Names, and beginnings of names, that are read from annotations only."""

CONNECTORS = ("topic", "schedule", "prometheus.io.scrape", "prometheus.io.port", "prometheus.io.path")
"""Annotations of other programs' that are no wrong labels, and mean nothing there."""

MAX_SLIPS = 2
"""Characters that may differ in a name that is taken for a slip of a known one."""

MAX_SHORT_NAME = 4
"""Names of types up to this long are near only with one character too many, too few, or in the other's place:
``gpu`` is no slip of ``cpu``, and ``rpm`` none of ``rps``."""


def problems_of(labels: Mapping[str, str]) -> tuple[str, ...]:
    """What is wrong with the names: each with key, value and the nearest that is known."""
    problems = [f"{key}={value!r}: {remedy}" for key, value in labels.items() if (remedy := _key_remedy(key))]
    kind = labels.get(policy.TYPE, "").strip()
    if (near := _near_type(kind)) is not None:
        remedy = f"is it {near}? A type of your own needs a name that differs more from it"
        problems.append(f"{policy.TYPE}={labels[policy.TYPE]!r}: {remedy}")
    return tuple(problems)


def annotation_problems(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Annotations that are labels: each with key, value and the remedy."""
    return tuple(
        f"annotation {key}={value!r}: read from labels only; write it there"
        for key, value in annotations.items()
        if key.strip() in KNOWN or key.strip().startswith(policy.PREFIX)
    )


def without_effect(labels: Mapping[str, str], owner: Writer | None) -> tuple[str, ...]:
    """Labels that are legal, and why they change nothing here; the scaling type first, if nobody measures it.

    ``owner`` is who moves the function's replicas.
    """
    asked = ScalePolicy.from_labels(labels)[0]
    followed = owner is Writer.SCALER
    notes = _unused_load(labels, asked, owner) if not followed else []
    by_formula = followed and asked.rule is Rule.TARGET
    if policy.PROPORTION in labels and not by_formula:
        why = f"{policy.RULE} is {asked.rule}" if followed else "replicas come and go by alerts or an HPA"
        notes.append(f"{policy.PROPORTION}: not used; {why}")
    if policy.DOWN_WINDOW in labels and not by_formula and owner is not Writer.HPA:
        why = f"not used; {policy.RULE} is {asked.rule}" if followed else _NOT_BY_ALERTS
        notes.append(f"{policy.DOWN_WINDOW}: {why}")
    for keys, writer in ((_OF_THE_LOOP, Writer.SCALER), (_OF_ALERTS, Writer.ALERT)):
        if owner is not writer and (followed or keys is _OF_THE_LOOP):
            notes += [f"{key}: not used; {explain.owned(owner)}" for key in keys if key in labels]
    notes += _unused_worth(labels, asked)
    notes += [f"{key}: read from annotations only; write it there" for key in CONNECTORS if key in labels]
    return tuple(notes)


def without_effect_anywhere(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Those of ``without_effect`` that are so wherever the function runs, with a control loop or without one."""
    owners = (ownership.owner_by_labels(labels, place) for place in (ownership.UNTOLD, _WITH_LOOP))
    alone, with_loop = (without_effect(labels, owner) for owner in owners)
    keys = {note.partition(":")[0] for note in with_loop}
    return tuple(note for note in alone if note.partition(":")[0] in keys)


_WITH_LOOP = ownership.Scalers(hpa=True, loop=True, loop_default=True)
_OF_THE_LOOP, _OF_ALERTS = (policy.RULE, policy.WAKE), (policy.DOWN, policy.STEP_INTERVAL)
_NOT_BY_ALERTS = f"used by type cpu only; here {policy.DOWN} says how it comes down"


def _unused_worth(labels: Mapping[str, str], asked: ScalePolicy) -> list[str]:
    """Of prices of a cold start where nothing is weighed by them."""
    if not asked.zero:
        why = f"it never sleeps without {policy.ZERO}=true"
    elif asked.zero_policy is ZeroPolicy.FIXED:
        why = f"{policy.ZERO_POLICY} is {asked.zero_policy}"
    else:
        return []
    return [f"{key}: not used; {why}" for key in (policy.COLD_WORTH, policy.COLD_WORTH_RARE) if key in labels]


def _unused_load(labels: Mapping[str, str], asked: ScalePolicy, owner: Writer | None) -> list[str]:
    """Of a type and a target that no control loop follows."""
    row, notes = asked.target_type, []
    if row.measured_by is None:
        load = "its load is" if row is targets.CUSTOM else f"{row.unit} are"
        notes.append(f"{policy.TYPE}={asked.type}: {load} not measured yet; alerts about its calls scale it")
    elsewhere = row.owner is Writer.HPA and owner is not Writer.HPA
    if policy.TARGET in labels and (elsewhere or not row.target_used):
        why = "its load is not measured yet" if row.measured_by is None else "one alert rule serves all functions"
        notes.append(f"{policy.TARGET}: not used; {explain.owned(owner) if elsewhere else why}")
    return notes


def edit_distance(one: str, other: str) -> int:
    """Characters to add, drop, change or swap with their neighbour to get from one to the other (optimal string
    alignment; Damerau, CACM 7(3), 1964)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, against in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != against))
            if i > 1 and j > 1 and (char, one[i - 2]) == (other[j - 2], against):
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def slip_of(key: str, names: Iterable[str]) -> str | None:
    """The one of these names that differs least, by a slip or two; capital letters are none."""
    plain = key.lower()
    alike = [name for name in names if abs(len(name) - len(plain)) <= MAX_SLIPS]
    slips = {name: edit_distance(plain, name.lower()) for name in alike}
    nearest = min(slips, key=slips.__getitem__, default=None)
    return nearest if nearest is not None and slips[nearest] <= MAX_SLIPS else None


def _key_remedy(key: str) -> str | None:
    """What to write instead of a name; None where it may stay."""
    if key in KNOWN:
        return None
    bare = key.strip()
    if any(bare == name or (name.endswith(".") and bare.startswith(name)) for name in ANNOTATIONS):
        return "read from annotations only; write it there"
    if key in MEANT:
        return f"no such label; write {MEANT[key]}"
    near = _near_key(key)
    if near is not None or key.startswith(OUR_PREFIXES):
        return f"no such label; is it {near or _nearest(key)}?"
    return None


def _near_key(key: str) -> str | None:
    """The known label that differs least, by a slip or two, in the order of its words, or in blanks around it."""
    plain = key.strip().lower()
    for name in KNOWN:
        if sorted(plain.split(".")) == sorted(name.split(".")):
            return name
    return slip_of(plain, KNOWN)


def _near_type(kind: str) -> str | None:
    """The known type that this one seems to be a slip of; None for one of the user's own."""
    names = [row.name for row in targets.KNOWN]
    if kind in names or not kind:
        return None
    return next((name for name in names if _is_slip(kind.lower(), name)), None)


def _is_slip(kind: str, name: str) -> bool:
    if len(name) > MAX_SHORT_NAME:
        return edit_distance(kind, name) <= MAX_SLIPS
    changed = len(kind) == len(name) and sorted(kind) != sorted(name)
    return edit_distance(kind, name) <= 1 and not changed


def _nearest(key: str) -> str:
    """One that it is the beginning of, else the most alike of all, however little that is."""
    return max(KNOWN, key=lambda name: (name.startswith(key), difflib.SequenceMatcher(a=key, b=name).ratio()))

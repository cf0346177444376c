"""The labels of a function that Springtide reads: what each may say, what holds without it, what it means.

Which names are known follows from this table (``label_names``), and so does ``docs/reference/labels.md``. The table of
annotations is ``provider.annotation_table``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from springtide.runtime.durations import format_duration
from springtide.scaler.core import label_values as values
from springtide.scaler.core import policy, targets
from springtide.scaler.core.policy import ScalePolicy

DEMO = "com.springtide.demo"
"""The mark of functions that the demo deployed."""
ISOLATION = "com.springtide.isolation"
"""Whether a function's replicas have walls around them."""
RUNTIME = "com.springtide.runtime"
"""Whether a function is processes or containers, where both are to be had."""
SLEEP = "com.springtide.scale.sleep"
"""How a function that is a container sleeps."""

COUNT = f"whole number, 0 to {values.MAX_REPLICAS}"
DURATION = "duration above 0, such as `30s` or `15m`"

IDLER, ALERTS, SCALER, HPA = "idler", "alert path", "control loop", "HPA"
GATEWAY, PROVIDER, KUBERNETES = "gateway", "provider", "provider on Kubernetes"
CRON, CONNECTOR, QUEUE_WORKER, PROMETHEUS = "cron", "connector", "queue worker", "Prometheus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One name. ``default`` is a value that says the same as silence; ``unset`` tells what holds where none does."""

    key: str
    values: str
    example: str
    default: str = ""
    unset: str = ""
    meaning: str
    readers: tuple[str, ...]


def one_of(choices: Iterable[str]) -> str:
    return ", ".join(f"`{choice}`" for choice in choices)


_SILENT = ScalePolicy()


def _choices(kind: type[enum.StrEnum]) -> str:
    return one_of(choice.value for choice in kind)


LABELS = (
    Row(
        key=policy.MIN,
        values=COUNT,
        example="2",
        default=str(_SILENT.min),
        meaning="fewest replicas while awake, and how many a first caller wakes; at most the maximum",
        readers=(ALERTS, SCALER, GATEWAY, PROVIDER),
    ),
    Row(
        key=policy.MAX,
        values=COUNT,
        example="50",
        default=str(_SILENT.max),
        meaning="most replicas. The same as the minimum: nobody but a person, a wake and the idler moves the function",
        readers=(ALERTS, SCALER, HPA),
    ),
    Row(
        key=policy.FACTOR,
        values="whole number, 0 to 100",
        example="25",
        default=str(_SILENT.factor),
        meaning="step of the alert path, in percent of the maximum, rounded up. 0: alerts leave the function alone",
        readers=(ALERTS,),
    ),
    Row(
        key=policy.ZERO,
        values=one_of(("true", "1", "false", "0")),
        example="true",
        default="false",
        meaning="whether the idler may take it to zero",
        readers=(IDLER, CRON),
    ),
    Row(
        key=policy.ZERO_DURATION,
        values=DURATION,
        example="5m",
        unset="the idler's `inactivity_duration`, 15m",
        meaning="silence after which it may",
        readers=(IDLER,),
    ),
    Row(
        key=policy.ZERO_POLICY,
        values=_choices(policy.ZeroPolicy),
        example=policy.ZeroPolicy.FIXED.value,
        unset="the cron part's `zero_policy`, fixed",
        meaning="whether it sleeps after that same silence always, or after one that its own pauses make worth it; "
        "`learned` is for one that may sleep",
        readers=(IDLER, CRON),
    ),
    Row(
        key=policy.COLD_WORTH,
        values=f"duration above 0, at most {format_duration(values.MAX_COLD_WORTH_S)}",
        example="10m",
        unset="the cron part's `cold_worth`, 15m",
        meaning="for `learned`: how long one replica may run to spare one cold start",
        readers=(IDLER, CRON),
    ),
    Row(
        key=policy.COLD_WORTH_RARE,
        values=f"number, 0 to {values.MAX_COLD_WORTH_RARE:g}",
        example="0.5",
        unset="the cron part's `cold_worth_rare`, 0.8",
        meaning="for `learned`: seconds added to that for each second between calls, so that cold starts of a rare "
        "function weigh more; 0 weighs all alike",
        readers=(IDLER, CRON),
    ),
    Row(
        key=policy.TYPE,
        values=f"{one_of(row.name for row in targets.KNOWN)} or a name of your own, at most "
        f"{targets.MAX_TYPE_CHARS} letters, digits, `-`, `_` and `.`",
        example=targets.CAPACITY.name,
        default=_SILENT.type,
        meaning="what its load is measured in. `capacity` also bounds how many calls a replica is given at once; the "
        "rest wait in line",
        readers=(SCALER, ALERTS, GATEWAY, HPA),
    ),
    Row(
        key=policy.TARGET,
        values=f"number above 0, at most {values.MAX_TARGET:.0f}; of processor time above 100, or with an `m`, in "
        "milli-cores, else in percent of the request",
        example="10",
        default=f"{policy.DEFAULT_TARGET:g}",
        meaning="load that one replica shall carry, in the unit of the type",
        readers=(SCALER, ALERTS, GATEWAY, HPA),
    ),
    Row(
        key=policy.PROPORTION,
        values="number above 0, at most 1",
        example="0.7",
        default=f"{_SILENT.target_proportion:g}",
        meaning="share of the target that replicas are meant to carry, in OpenFaaS's formula; saying it chooses that "
        "formula, unless a policy is said",
        readers=(SCALER,),
    ),
    Row(
        key=policy.DOWN_WINDOW,
        values=f"duration, at most {format_duration(values.MAX_DOWN_WINDOW_S)}; `0s`: none",
        example="2m",
        unset="none",
        meaning="time over which the highest wish counts on the way down; saying it chooses OpenFaaS's formula, unless "
        "a policy is said",
        readers=(SCALER, HPA),
    ),
    Row(
        key=policy.DOWN,
        values=_choices(policy.Down),
        example=policy.Down.MIN.value,
        default=_SILENT.down.value,
        meaning="what a resolved alert does: one step down at a time, or to the minimum at once, as OpenFaaS does",
        readers=(ALERTS,),
    ),
    Row(
        key=policy.STEP_INTERVAL,
        values=DURATION,
        example="10s",
        unset="the alert receiver's `alert_step_interval`, 5s",
        meaning="least time between two steps up, and between two down, whatever alerts say",
        readers=(ALERTS,),
    ),
    Row(
        key=policy.OWNER,
        values=_choices(policy.Owner),
        example=policy.Owner.SCALER.value,
        unset="what the other labels say, and what runs there",
        meaning="who moves its replicas while it runs. `hpa` is for type `cpu` on Kubernetes, `scaler` wants a control "
        "loop: elsewhere a deployment with them is refused",
        readers=(PROVIDER,),
    ),
    Row(
        key=policy.RULE,
        values=_choices(policy.Rule),
        example=policy.Rule.TARGET.value,
        default=_SILENT.rule.value,
        meaning="how the control loop decides: by queueing, or by OpenFaaS's formula",
        readers=(SCALER,),
    ),
    Row(
        key=policy.WAKE,
        values=_choices(policy.Wake),
        example=policy.Wake.MIN.value,
        default=_SILENT.wake.value,
        meaning="what a first caller wakes where the control loop owns the function: what the last wakes needed, or "
        "its minimum",
        readers=(GATEWAY, CRON, SCALER),
    ),
    Row(
        key=ISOLATION,
        values=one_of(("sandbox", "none")),
        example="none",
        unset="the suite's `function_isolation`, `sandbox`",
        meaning="on one machine, of functions that are processes: all the walls around each replica that the kernel "
        "allows, or none ([walls](../isolation.md))",
        readers=(PROVIDER,),
    ),
    Row(
        key=RUNTIME,
        values=one_of(("process", "container")),
        example="container",
        unset="a process where what it runs is on this machine, else a container",
        meaning="on one machine, with `--provider process,containers`: what its replicas are "
        "([which is which](../containers.md#processes-beside-containers))",
        readers=(PROVIDER,),
    ),
    Row(
        key=SLEEP,
        values=one_of(("stop", "pause")),
        example="pause",
        default="stop",
        meaning="how a container sleeps: ended, or with its memory kept, so that it goes on where it was. Elsewhere "
        "functions only end",
        readers=(PROVIDER,),
    ),
    Row(
        key=DEMO,
        values="anything",
        example="true",
        unset="not of the demo",
        meaning="deployed by `springtide demo`, which may remove it again",
        readers=("`springtide demo`",),
    ),
)

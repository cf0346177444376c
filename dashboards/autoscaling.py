"""The dashboard "Springtide autoscaling": what was decided and why, how fast it worked, and what it saved."""

from __future__ import annotations

from grafana_foundation_sdk.builders.stat import Panel as Number
from grafana_foundation_sdk.models.common import GraphDrawStyle, VisibilityMode

from springtide.dashboards.annotations import SCALING
from springtide.dashboards.colours import WORTH_A_LOOK
from springtide.dashboards.dashboard import Dashboard, Row
from springtide.dashboards.panels import (
    at_end,
    bars,
    column,
    function_table,
    limit,
    lines,
    number,
    query,
    stacked,
    steps,
)
from springtide.dashboards.queries import (
    BLIND,
    CHANGES,
    CHOSEN,
    RARE,
    SCALING_ALERT,
    UNDONE,
    counted,
    grown,
    now,
    rare_quantile,
)
from springtide.dashboards.selection import FUNCTIONS, NAMESPACES
from springtide.rules.function_alerts import DIRECTION, TURNS_S
from springtide.rules.thresholds import Thresholds
from springtide.rules.timing import prometheus_duration
from springtide.scaler.core import catalogue

DECISIONS = catalogue.DECISIONS.name

DESIRED, READY = now("max", catalogue.DESIRED), now("max", catalogue.READY)
FEWEST = f"clamp_min({now('max', catalogue.MIN_REPLICAS)}, 1)"
ASLEEP = f"({DESIRED} == bool 0) * on (function_name) {FEWEST}"
"""Replicas that an installation without scale-to-zero would keep for functions that sleep."""

ALERT_BEGAN = f"max by (function_name) (ALERTS_FOR_STATE{{{SCALING_ALERT}}})"
ALERT_AGE = f"(time() - {ALERT_BEGAN})"
NO_MORE = f"{READY} <= on (function_name) {FEWEST}"
CAN_CLIMB = f"{now('max', catalogue.MAX_REPLICAS)} > on (function_name) {FEWEST}"

WAITING = f"{ALERT_AGE} and on (function_name) ({NO_MORE}) and on (function_name) ({CAN_CLIMB})"
"""For how long an alert has been firing for a function that has no more replicas ready than its minimum."""

REACTED = (
    f"{ALERT_AGE} and on (function_name) ({READY} > on (function_name) {FEWEST}) "
    f"and on (function_name) ({now('max', catalogue.READY, offset='$__interval')} <= on (function_name) {FEWEST})"
)
"""The same at the first look at which there were more: one value for each climb, at most one look too long."""


def _climbs(window: str) -> str:
    """Prometheus keeps when an alert began; each further beginning is a change of that series."""
    return f"sum by (function_name) (changes(ALERTS_FOR_STATE{{{SCALING_ALERT}}}[{window}]) + 1)"


def _replica_seconds(replicas: str, fold: str = "sum by (function_name)") -> str:
    return f"{fold} (sum_over_time(({replicas})[$__range:$__interval])) * $__interval_ms / 1000"


def _decided(reasons: str) -> str:
    return grown(DECISIONS, "$__range", by="", labels=f'reason=~"{reasons}"')


def _numbers() -> tuple[Number, ...]:
    kept, saved = _replica_seconds(READY, "sum"), _replica_seconds(ASLEEP, "sum")
    conflicts = grown(catalogue.SCALE_WRITES.name, "$__range", by="", labels=f'outcome="{catalogue.CONFLICT}"')
    return (
        number(
            "Changes decided",
            "Decisions of alert receiver, idler and gateway that changed a count, in the time shown; all functions.",
            "short",
            at_end(_decided(CHANGES)),
        ),
        number(
            "Climbs begun",
            "How often a scaling alert began to fire, in the time shown.",
            "short",
            at_end(f"sum({_climbs('$__range')}) or vector(0)"),
        ),
        number(
            "Held for lack of data",
            "Decisions to leave a function as it is because nothing is known of its load, in the time shown.",
            "short",
            at_end(_decided(BLIND)),
            *WORTH_A_LOOK,
        ),
        number(
            "Decided, not done",
            "A write failed, or another came first, in the time shown.",
            "short",
            at_end(_decided(UNDONE)),
            *WORTH_A_LOOK,
        ),
        number(
            "Writes in conflict",
            "Requests to change replicas that were refused because another came first, in the time shown.",
            "short",
            at_end(f"{conflicts} or vector(0)"),
            *WORTH_A_LOOK,
        ),
        number("Replica time used", "Replicas ready, times seconds, in the time shown.", "dtdurations", at_end(kept)),
        number(
            "Saved by scale to zero",
            "What the fewest replicas of functions that slept would have used, in the time shown.",
            "dtdurations",
            at_end(saved),
        ),
        number(
            "Share saved",
            "Of the replica time there would have been without scale to zero.",
            "percentunit",
            at_end(f"{saved} / ({saved} + {kept} > 0)"),
        ),
    )


def _decisions() -> Row:
    return Row(
        "Decisions, of all functions",
        (
            bars(
                "Changes by reason",
                "Decisions that changed a count, by who decided and why.",
                query(counted(DECISIONS, "writer, reason", f'reason=~"{CHANGES}"'), "{{writer}}: {{reason}}"),
            ),
            bars(
                "Holds by reason",
                "Decisions to leave a function as it is. Most are routine: still busy, too young, at its maximum.",
                query(f"{counted(DECISIONS, 'writer, reason', _HOLDS)} > 0", "{{writer}}: {{reason}}"),
            ),
            bars(
                "Not done, and not known",
                "Writes that failed or came second, and holds for lack of data: nothing here is a good day.",
                query(counted(DECISIONS, "writer, reason", f'reason=~"{UNDONE}|{BLIND}"'), "{{writer}}: {{reason}}"),
            ),
            bars(
                "Writes by who made them",
                "Requests to change replicas of the chosen functions. Conflict: another came first.",
                query(counted(catalogue.SCALE_WRITES.name, "writer, outcome", CHOSEN), "{{writer}}: {{outcome}}"),
            ),
        ),
    )


def _reaction() -> Row:
    name = "{{function_name}}"
    sleeps = f"resets(clamp_max({DESIRED}, 1)[1h:$__interval])"
    turns = f"max by (function_name) (resets({DIRECTION}{{{CHOSEN}}}[{prometheus_duration(TURNS_S)}]))"
    return Row(
        "Reaction",
        (
            steps(
                "Replicas wanted and ready",
                "A gap that lasts means replicas that do not start or keep dying.",
                query(DESIRED, f"{name} wanted"),
                query(READY, f"{name} ready"),
            ).span(24),
            lines(
                "From alert to more replicas ready",
                "A dot for each climb: how long after its alert began a function had more replicas ready than its "
                "minimum, to a scrape or a dot's distance exactly. Before it come the seconds over which the alert "
                "measures. Waiting: still none; a long row of dots is a function that cannot climb.",
                "s",
                query(REACTED, name),
                query(WAITING, f"{name} waiting"),
            )
            .draw_style(GraphDrawStyle.POINTS)
            .show_points(VisibilityMode.ALWAYS)
            .point_size(7),
            lines(
                "Start of a replica, p95",
                f"From the request for a replica until it answered, over {RARE}.",
                "s",
                query(rare_quantile(0.95, catalogue.REPLICA_START, RARE, "function_name"), name),
            ),
            steps(
                "Climbs begun and times fallen asleep, in an hour",
                "A function that climbs or sleeps many times an hour wants a longer idle time, a higher minimum or "
                "another target.",
                query(_climbs("1h"), f"{name} climbs"),
                query(f"{sleeps} > 0", f"{name} sleeps"),
            ),
            limit(
                steps(
                    "Flaps: turns from up to down, in half an hour",
                    "From the dashed line on FunctionFlapping fires.",
                    query(turns, name),
                ),
                Thresholds().peaks,
            ),
        ),
    )


def _cost() -> Row:
    used, saved = _replica_seconds(READY), _replica_seconds(ASLEEP)
    waited = _replica_seconds(f"clamp_min({DESIRED} - {READY}, 0)")
    return Row(
        "Replica time",
        (
            stacked(
                lines(
                    "Replicas kept, and saved by scale to zero",
                    "Saved: the fewest replicas of functions that sleep, which would be running otherwise.",
                    "short",
                    query(f"sum({READY})", "ready"),
                    query(f"sum({ASLEEP})", "saved"),
                )
            ).span(24),
            function_table(
                "Replica time by function",
                "In the time shown. Missing: wanted and not ready.",
                {
                    "Used": (column(used), "dtdurations"),
                    "Saved by scale to zero": (column(saved), "dtdurations"),
                    "Missing": (column(waited), "dtdurations"),
                    "Climbs begun": (column(_climbs("$__range")), "short"),
                    "Longest reaction": (column(f"max_over_time(({REACTED})[$__range:$__interval])"), "s"),
                },
            ),
        ),
    )


_HOLDS = f'reason!~"{CHANGES}|{UNDONE}"'


def _load() -> Row:
    each, name = "max by (function_name, scaling_type)", "{{function_name}} {{scaling_type}}"
    load = f"{each} ({catalogue.CURRENT_LOAD.name}{{{CHOSEN}}})"
    target = f"{each} ({catalogue.FOLLOWED_TARGET.name}{{{CHOSEN}}})"
    carried = f"({target} * on (function_name) group_left () ({READY} > 0))"
    held = f"max by (function_name, reason) ({catalogue.HOLD_SECONDS.name}{{{CHOSEN}}})"
    return Row(
        "Load against target",
        (
            lines(
                "Load of functions that the scaler has",
                "In the unit of the function's target: calls in flight, calls a second, milli-cores. A function with "
                "several loads has a line for each.",
                "short",
                query(load, name),
            ),
            lines(
                "Share of what its replicas shall carry",
                "1: the load is just what the ready replicas are there for. Of several loads the highest decides. "
                "Empty while it sleeps, and for a load that is not known.",
                "percentunit",
                query(f"{load} / on (function_name, scaling_type) {carried}", name),
            ),
            limit(
                lines(
                    "Held because a load is not known",
                    "For how long nothing has been taken away from a function. From the dashed line on ScalerHolding "
                    "fires.",
                    "s",
                    query(held, "{{function_name}}: {{reason}}"),
                ),
                Thresholds().holding_s,
            ).span(24),
        ),
    )


AUTOSCALING = Dashboard(
    uid="springtide-autoscaling",
    title="Springtide autoscaling",
    description="Why replicas came and went, how fast, and what scale to zero saved.",
    variables=(NAMESPACES, FUNCTIONS),
    rows=(Row("In the time shown", _numbers()), _decisions(), _load(), _reaction(), _cost()),
    annotations=SCALING,
)

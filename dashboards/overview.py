"""The dashboard "Springtide overview": all functions, at a glance, and the way to each of them."""

from __future__ import annotations

from grafana_foundation_sdk.builders.stat import Panel as Number

from springtide.dashboards.colours import BAD, FAILED, WORTH_A_LOOK
from springtide.dashboards.dashboard import Dashboard, Row
from springtide.dashboards.panels import (
    bars,
    column,
    function_table,
    lines,
    number,
    query,
    stacked,
    steps,
    to_function,
    traced,
)
from springtide.dashboards.queries import CHANGES, CHOSEN, counted, failed_share, now, quantile, rate, total_rate
from springtide.dashboards.selection import FUNCTIONS, NAMESPACES
from springtide.scaler.core import catalogue


def _numbers() -> tuple[Number, ...]:
    desired = now("max", catalogue.DESIRED)
    firing = 'count(ALERTS{alertstate="firing",service!="gateway"}) or vector(0)'
    return (
        number(
            "Calls answered",
            "Calls answered each second, all functions together.",
            "reqps",
            query(total_rate(catalogue.INVOCATIONS.name), "calls"),
        ),
        number(
            "Answered with 5xx",
            "Share of the calls answered with a status of 500 or more. Empty while nothing is called.",
            "percentunit",
            query(failed_share(), "5xx"),
            *FAILED,
        ),
        number(
            "Duration, p95",
            "95 of 100 calls were answered within it, cold starts included. Empty while nothing is called.",
            "s",
            query(quantile(0.95, catalogue.SECONDS, ""), "p95"),
        ),
        number(
            "Functions awake",
            "Functions that want at least one replica.",
            "short",
            query(f"count({desired} > 0) or 0 * count({desired})", "awake"),
        ),
        number(
            "Functions asleep",
            "Functions at zero replicas: a call wakes them.",
            "short",
            query(f"count({desired} == 0) or 0 * count({desired})", "asleep"),
        ),
        number(
            "Replicas ready",
            "Replicas that answer, all functions together.",
            "short",
            query(f"sum({now('max', catalogue.READY)})", "ready"),
        ),
        number(
            "Callers held",
            "Callers who wait for a function to wake, or for one of its busy replicas.",
            "short",
            query(f"sum({now('sum', catalogue.HELD)})", "held"),
            *WORTH_A_LOOK,
        ),
        number(
            "Alerts firing",
            "Alerts for people; those that scale functions are not among them.",
            "short",
            query(firing, "firing"),
            *BAD,
        ),
    )


def _table() -> Row:
    columns = {
        "Calls/s": (column(rate(catalogue.INVOCATIONS.name, "function_name")), "reqps"),
        "5xx": (column(failed_share("function_name")), "percentunit"),
        "p95": (column(quantile(0.95, catalogue.SECONDS)), "s"),
        "In flight": (column(now("sum", catalogue.IN_FLIGHT)), "short"),
        "Held": (column(now("sum", catalogue.HELD)), "short"),
        "Wanted": (column(now("max", catalogue.DESIRED)), "short"),
        "Ready": (column(now("max", catalogue.READY)), "short"),
        "Most": (column(now("max", catalogue.MAX_REPLICAS)), "short"),
    }
    about = "A row for each function; a click on its name leads to its page."
    return Row("Functions", (function_table("Functions", about, columns),))


def _load() -> Row:
    name = "{{function_name}}"
    return Row(
        "Load",
        (
            to_function(
                stacked(
                    lines(
                        "Calls per second",
                        "Calls answered each second.",
                        "reqps",
                        query(rate(catalogue.INVOCATIONS.name, "function_name"), name),
                    )
                )
            ),
            to_function(
                lines(
                    "Share answered with 5xx",
                    "Empty for a function while it is not called.",
                    "percentunit",
                    query(failed_share("function_name"), name),
                )
            ),
            to_function(
                lines(
                    "Duration by function, p95",
                    "From a call's arrival to the end of its answer, time held for a cold start included.",
                    "s",
                    traced(quantile(0.95, catalogue.SECONDS), name),
                )
            ),
            to_function(
                lines(
                    "Calls in flight and held",
                    "Calls begun and not yet answered, and those of them that wait for a replica.",
                    "short",
                    query(now("sum", catalogue.IN_FLIGHT), f"{name} in flight"),
                    query(now("sum", catalogue.HELD), f"{name} held"),
                ).decimals(0)
            ),
        ),
    )


def _replicas() -> Row:
    decisions = counted(catalogue.DECISIONS.name, "writer, reason", f'reason=~"{CHANGES}"')
    refused = counted(catalogue.REFUSED.name, "function_name, reason", CHOSEN)
    missing = f"clamp_min({now('max', catalogue.DESIRED)} - {now('max', catalogue.READY)}, 0)"
    return Row(
        "Replicas",
        (
            to_function(
                stacked(
                    steps(
                        "Replicas ready by function",
                        "What all functions together have running.",
                        query(now("max", catalogue.READY), "{{function_name}}"),
                    )
                )
            ),
            to_function(
                steps(
                    "Replicas missing",
                    "Wanted and not ready. A gap that lasts means replicas that do not start or keep dying.",
                    query(missing, "{{function_name}}"),
                )
            ),
            bars(
                "Decisions that changed replicas",
                "What alert receiver, idler and gateway decided, by reason, of all functions.",
                query(decisions, "{{writer}}: {{reason}}"),
            ),
            bars(
                "Calls refused by the gateway",
                "Calls the gateway answered itself: failed cold start, no room at the replicas.",
                query(refused, "{{function_name}} {{reason}}"),
            ),
        ),
    )


OVERVIEW = Dashboard(
    uid="springtide-overview",
    title="Springtide overview",
    description="Load, replicas and scaling decisions of all OpenFaaS-compatible functions.",
    variables=(NAMESPACES, FUNCTIONS),
    rows=(Row("Now", _numbers()), _table(), _load(), _replicas()),
)

"""The dashboard "Springtide cold starts": how often callers wait for a function to wake, how long, and for what."""

from __future__ import annotations

from grafana_foundation_sdk.builders.stat import Panel as Number

from springtide.dashboards.annotations import FELL_ASLEEP, WOKE
from springtide.dashboards.colours import BAD
from springtide.dashboards.dashboard import Dashboard, Row
from springtide.dashboards.panels import (
    Step,
    at_end,
    bars,
    column,
    function_table,
    heat_map,
    lines,
    number,
    query,
    stacked,
    to_function,
    traced,
)
from springtide.dashboards.queries import CHOSEN, RARE, counted, grown, now, rare_mean, rare_quantile
from springtide.dashboards.selection import FUNCTIONS, NAMESPACES
from springtide.scaler.core import catalogue

SLOW: tuple[Step, ...] = ((None, "green"), (1, "orange"), (5, "red"))
REFUSALS = f'{CHOSEN},reason=~"{"|".join(catalogue.COLD_START_REFUSALS)}"'

COLD, PART, START = catalogue.COLD_START, catalogue.COLD_START_PART, catalogue.REPLICA_START
PARTS = (
    "Decided: the gateway; accepted: the provider; ready: the replica's start; first_byte: the function's own answer."
)


def _numbers() -> tuple[Number, ...]:
    cold, answered = (grown(series, "$__range", by="") for series in (f"{COLD.name}_count", catalogue.INVOCATIONS.name))
    desired = now("max", catalogue.DESIRED)
    refused = grown(catalogue.REFUSED.name, "$__range", by="", labels=REFUSALS)
    return (
        number(
            "Calls that waited", "Calls that waited for a function to wake, in the time shown.", "short", at_end(cold)
        ),
        number(
            "Share of calls",
            "Cold calls among the calls answered, in the time shown.",
            "percentunit",
            at_end(f"{cold} / ({answered} > 0)"),
        ),
        *(
            number(
                f"Waited, p{share * 100:g}",
                "How long cold calls were held until a replica was ready, in the time shown.",
                "s",
                at_end(rare_quantile(share, COLD, "$__range")),
                *SLOW,
            )
            for share in (0.5, 0.95, 0.99)
        ),
        number(
            "Refused",
            "Cold calls that were not answered by the function, in the time shown.",
            "short",
            at_end(f"{refused} or vector(0)"),
            *BAD,
        ),
        number(
            "Callers held",
            "Callers who wait now, for a function to wake or for one of its busy replicas.",
            "short",
            query(f"sum({now('sum', catalogue.HELD)})", "held"),
        ),
        number(
            "Functions asleep",
            "A call wakes them.",
            "short",
            query(f"count({desired} == 0) or 0 * count({desired})", "asleep"),
        ),
    )


def _waits() -> Row:
    name = "{{function_name}}"
    return Row(
        "How long callers wait",
        (
            to_function(
                lines(
                    "Cold calls, p95",
                    f"How long calls were held until a replica was ready, over {RARE}. Empty while no function wakes.",
                    "s",
                    traced(rare_quantile(0.95, COLD, RARE, "function_name"), name),
                )
            ),
            heat_map(
                "Cold calls by duration",
                "How many calls were held for how long, all chosen functions together.",
                "s",
                query(counted(f"{COLD.name}_bucket", "le", CHOSEN), "{{le}}"),
            ),
            stacked(
                lines(
                    "Cold calls by part, mean",
                    f"What cold calls wait for, over {RARE}, functions chosen together. {PARTS}",
                    "s",
                    query(rare_mean(PART, RARE, by="part"), "{{part}}"),
                )
            ),
            lines(
                "Cold calls by part, p95",
                f"As beside it, for the slowest. {PARTS}",
                "s",
                traced(rare_quantile(0.95, PART, RARE, "part"), "{{part}}"),
            ),
        ),
    )


def _counts() -> Row:
    name = "{{function_name}}"
    return Row(
        "How many",
        (
            bars(
                "Cold calls",
                "Calls that waited for their function to wake.",
                query(counted(f"{COLD.name}_count", "function_name", CHOSEN), name),
            ),
            bars(
                "Refused by reason",
                "wake_failed: it could not be started; hold_timeout: nobody took the call in time; "
                "overloaded: too many wait already.",
                query(counted(catalogue.REFUSED.name, "function_name, reason", REFUSALS), f"{name} {{{{reason}}}}"),
            ),
            to_function(
                lines(
                    "Callers held by function",
                    "Callers who wait for a function to wake, or for one of its busy replicas.",
                    "short",
                    query(now("sum", catalogue.HELD), name),
                ).decimals(0)
            ),
            to_function(
                lines(
                    "Start of a replica, p95",
                    f"From the request for a replica until it answered, over {RARE}; those of scaling up are among "
                    "them. The first one of an environment waits for its interpreter, too.",
                    "s",
                    query(rare_quantile(0.95, START, RARE, "function_name"), name),
                    query(rare_quantile(0.95, catalogue.ENVIRONMENT_START, RARE, labels=""), "an environment"),
                )
            ),
        ),
    )


def known_before() -> Row:
    early = catalogue.PREWARM_EARLY
    return Row(
        "Calls known before: schedules, and delayed calls",
        (
            bars(
                "How they were met, by all functions",
                "awake: the function was; ready: it was woken for the call; late: it was, and was not ready yet; "
                "cold: it was not woken.",
                query(counted(catalogue.EXPECTED_CALLS.name, "met", ""), "{{met}}"),
            ),
            lines(
                "Ready before the call, p5 and p95",
                f"For how long functions that were woken for a call had been ready, over {RARE}.",
                "s",
                query(rare_quantile(0.05, early, RARE, labels=""), "p5"),
                query(rare_quantile(0.95, early, RARE, labels=""), "p95"),
            ),
        ),
    )


def likely() -> Row:
    return Row(
        "Calls that pauses make likely",
        (
            bars(
                "What became of wakes by forecast, all functions",
                "hit: a call came; early: it came, for more than a cold start is worth; wasted: none came.",
                query(counted(catalogue.FORECASTS.name, "outcome", ""), "{{outcome}}"),
            ),
            lines(
                "Replicas up for a forecast",
                f"What forecasts cost, as a mean of {RARE}, and functions that are up for one now.",
                "short",
                query(f"sum(rate({catalogue.FORECAST_REPLICA_SECONDS.name}[{RARE}]))", "replicas"),
                query(f"max({catalogue.FORECASTS_UP.name})", "functions now"),
            ),
            lines(
                "What is known of pauses",
                "How long ago every gateway had told, the last of them (after a minute durations are the fixed ones), "
                f"and what a look takes, p95 over {RARE}.",
                "s",
                query(f"time() - max({catalogue.SLEEP_HEARD.name} > 0)", "since all gateways told"),
                query(rare_quantile(0.95, catalogue.SLEEP_LOOK_SECONDS, RARE, labels=""), "a look"),
            ),
            lines(
                "Functions whose pauses are remembered, and failures",
                "Failed looks by what: gateways (one of them did not tell), store (what was learned is not kept).",
                "short",
                query(f"max({catalogue.SLEEP_FUNCTIONS.name})", "functions"),
                query(counted(catalogue.SLEEP_FAILURES.name, "what", ""), "failed: {{what}}"),
            ),
        ),
    )


def _table() -> Row:
    part = "function_name, part"
    parts = {
        heading: (column(f"sum by (function_name) ({rare_mean(PART, '$__range', by=part)} and {_only(name)})"), "s")
        for heading, name in zip(
            ("Decided", "Accepted", "Ready", "First byte"), catalogue.COLD_START_PARTS, strict=True
        )
    }
    return Row(
        "By function",
        (
            function_table(
                "Cold calls by function",
                f"In the time shown; the parts are means. {PARTS}",
                {
                    "Cold calls": (column(grown(f"{COLD.name}_count", "$__range", by="function_name")), "short"),
                    "p50": (column(rare_quantile(0.5, COLD, "$__range", "function_name")), "s"),
                    "p95": (column(rare_quantile(0.95, COLD, "$__range", "function_name")), "s"),
                    **parts,
                },
            ),
        ),
    )


def _only(part: str) -> str:
    return f'sum by (function_name, part) ({PART.name}_count{{{CHOSEN},part="{part}"}})'


COLD_STARTS = Dashboard(
    uid="springtide-cold-starts",
    title="Springtide cold starts",
    description="How often callers wait for a function to wake, how long, and for what.",
    variables=(NAMESPACES, FUNCTIONS),
    rows=(Row("In the time shown", _numbers()), _waits(), _counts(), known_before(), likely(), _table()),
    annotations=(WOKE, FELL_ASLEEP),
)

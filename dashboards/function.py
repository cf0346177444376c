"""The dashboard "Springtide function": everything about one function, with what scaled it marked on the time axis."""

from __future__ import annotations

from grafana_foundation_sdk.builders.stat import Panel as Number
from grafana_foundation_sdk.builders.timeseries import Panel as Lines

from springtide.dashboards.annotations import SCALING, SCALING_ALERT_FIRES
from springtide.dashboards.colours import FAILED, WORTH_A_LOOK
from springtide.dashboards.dashboard import Dashboard, Row
from springtide.dashboards.panels import Step, at_end, bars, dashed, limit, lines, number, query, stacked, steps, traced
from springtide.dashboards.queries import (
    CHOSEN,
    RARE,
    counted,
    failed_share,
    grown,
    mean,
    now,
    quantile,
    rare_mean,
    rare_quantile,
    rate,
    total_rate,
)
from springtide.dashboards.selection import GATEWAY, IN_CONSOLE, NAMESPACES, ONE_FUNCTION
from springtide.rules.alerts import CALLS_STARTED, Thresholds
from springtide.scaler.core import catalogue, targets

RESTARTED: tuple[Step, ...] = ((None, "green"), (1, "orange"), (10, "red"))


def _numbers() -> tuple[Number, ...]:
    cold = grown(f"{catalogue.COLD_START.name}_count", "$__range", by="")
    restarts = grown(catalogue.REPLICA_RESTARTS.name, "$__range", by="")
    return (
        number("Calls answered", "Each second.", "reqps", query(total_rate(catalogue.INVOCATIONS.name), "calls")),
        number(
            "Answered with 5xx",
            "Share of the calls answered with a status of 500 or more. Empty while it is not called.",
            "percentunit",
            query(failed_share(), "5xx"),
            *FAILED,
        ),
        number(
            "Duration, p95",
            "95 of 100 calls were answered within it. Empty while it is not called.",
            "s",
            query(quantile(0.95, catalogue.SECONDS, ""), "p95"),
        ),
        number(
            "Replicas wanted", "At 0 it sleeps.", "short", query(f"sum({now('max', catalogue.DESIRED)})", "wanted")
        ),
        number(
            "Replicas ready", "Those that answer.", "short", query(f"sum({now('max', catalogue.READY)})", "ready")
        ),
        number(
            "Callers held",
            "Callers who wait for it to wake, or for one of its busy replicas.",
            "short",
            query(f"sum({now('sum', catalogue.HELD)})", "held"),
            *WORTH_A_LOOK,
        ),
        number("Cold calls", "Calls that waited for it to wake, in the time shown.", "short", at_end(cold)),
        number("Restarts", "Replicas that died and were replaced, in the time shown.", "short", at_end(restarts),
               *RESTARTED),
    )  # fmt: skip


def _calls() -> Row:
    seconds = catalogue.SECONDS
    refused = counted(catalogue.REFUSED.name, "reason", CHOSEN)
    return Row(
        "Calls: rate, errors, duration",
        (
            stacked(
                lines(
                    "Calls per second by status",
                    "Calls answered each second.",
                    "reqps",
                    query(rate(catalogue.INVOCATIONS.name, "code"), "{{code}}"),
                )
            ),
            lines(
                "Duration",
                "From a call's arrival to the end of its answer, time held for a cold start included.",
                "s",
                query(mean(seconds, "function_name"), "mean"),
                *(traced(quantile(share, seconds), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)),
            ),
            lines(
                "Errors",
                "Share of the calls answered with 5xx. Empty while it is not called.",
                "percentunit",
                query(failed_share("function_name"), "5xx"),
            ),
            bars(
                "Refused by the gateway",
                "Calls the gateway answered itself: failed cold start, no room at the replicas.",
                query(refused, "{{reason}}"),
            ),
            bars(
                "Deliveries to its webhook",
                "By what became of them: queued, called and repeated ones were right. Empty where it takes none.",
                query(counted(catalogue.WEBHOOK_DELIVERIES.name, "outcome", CHOSEN), "{{outcome}}"),
            ),
        ),
    )


def _scaling() -> Row:
    replicas = steps(
        "Replicas",
        "Marks on the time axis: it woke, fell asleep, was scaled up or down, and who wrote that; a scaling alert "
        "fires. Why, in sentences: the link to the console above, or springtide explain.",
        query(now("max", catalogue.DESIRED), "wanted"),
        query(now("max", catalogue.READY), "ready"),
        query(now("max", catalogue.MIN_REPLICAS), "fewest while awake"),
        query(now("max", catalogue.MAX_REPLICAS), "most"),
    )
    rates = limit(
        lines(
            "Calls begun, and where it climbs",
            "Calls begun each second, all replicas together, as the alert that scales it measures them. Above the "
            "dashed line the function climbs a step with each repeat of the alert.",
            "reqps",
            query(f"{CALLS_STARTED}{{{CHOSEN}}}", "calls begun"),
        ),
        Thresholds().calls_per_s,
    )
    return Row("Scaling", (dashed(replicas, "fewest.*|most").span(24), rates, _load_against_target(), _writes()))


def _load_against_target() -> Lines:
    ready = f"({now('max', catalogue.READY)} > 0)"
    each = "max by (function_name, scaling_type)"
    targets_of_all = " or ".join(
        f"{metric.name}{{{CHOSEN}}}" for metric in (catalogue.TARGET_LOAD, catalogue.FOLLOWED_TARGET)
    )
    known = f"{each} ({catalogue.CURRENT_LOAD.name}{{{CHOSEN}}}) / on (function_name) group_left () {ready}"

    def where(load: str, scaling_type: str) -> str:
        """Load per ready replica, of functions that scale by this kind of load."""
        chosen = f'{CHOSEN},scaling_type="{scaling_type}"'
        typed = f"max by (function_name) ({catalogue.TARGET_LOAD.name}{{{chosen}}})"
        return f"{load} / on (function_name) {ready} and on (function_name) {typed}"

    in_flight = now("sum", catalogue.IN_FLIGHT)
    return lines(
        "Load of each replica, and its target",
        "Calls per second of a ready replica, or calls in flight where the target is of capacity. "
        "Empty while it sleeps, and for a target of processor time that a HorizontalPodAutoscaler measures. "
        "Of a function that the scaler has also each load as the scaler knows it, in the unit of its target.",
        "short",
        query(where(rate(catalogue.STARTED.name, "function_name"), targets.RPS.name), "calls per second"),
        query(where(in_flight, targets.CAPACITY.name), "calls in flight"),
        query(known, "{{scaling_type}}, as the scaler knows it"),
        query(f"{each} ({targets_of_all})", "target ({{scaling_type}})"),
    )


def _writes() -> Lines:
    writes = counted(catalogue.SCALE_WRITES.name, "writer, outcome", CHOSEN)
    return bars(
        "Who changed its replicas",
        "Requests to change its replicas, by who made them. Conflict: another came first, and it was not done.",
        query(writes, "{{writer}}: {{outcome}}"),
    )


def _cold_starts() -> Row:
    cold, part = catalogue.COLD_START, catalogue.COLD_START_PART
    limits = f'max({catalogue.HELD_LIMIT.name}{{scope="function"}})'
    return Row(
        "Cold starts",
        (
            lines(
                "Cold calls, p50 and p95",
                f"How long calls were held until a replica was ready, over {RARE}. Empty while it does not wake.",
                "s",
                *(traced(rare_quantile(share, cold, RARE), f"p{share * 100:g}") for share in (0.5, 0.95)),
            ),
            stacked(
                lines(
                    "Cold calls by part, mean",
                    f"What cold calls waited for, over {RARE}. Decided: the gateway; accepted: the provider; ready: "
                    "the replica's start; first_byte: the function's own answer.",
                    "s",
                    query(rare_mean(part, RARE, by="part"), "{{part}}"),
                )
            ),
            lines(
                "Callers held, and how many may be",
                "Callers who wait for it to wake, or for one of its busy replicas; beyond the bound they are refused.",
                "short",
                query(f"sum({now('sum', catalogue.HELD)})", "held"),
                query(limits, "most"),
            ).decimals(0),
            lines(
                "Start of a replica, p50 and p95",
                f"From the request for a replica until it answered, over {RARE}.",
                "s",
                *(
                    query(rare_quantile(share, catalogue.REPLICA_START, RARE), f"p{share * 100:g}")
                    for share in (0.5, 0.95)
                ),
            ),
        ),
    )


def _resources() -> Row:
    cpu = rate(catalogue.REPLICA_CPU.name, "pod")
    ended = (catalogue.REPLICA_RESTARTS, "died"), (catalogue.REPLICA_OUT_OF_MEMORY, "out of memory")
    return Row(
        "Processor and memory",
        (
            stacked(lines("Processors used", "By replica; 1 is one processor.", "short", query(cpu, "{{pod}}"))),
            stacked(
                lines(
                    "Memory",
                    "Resident, by replica.",
                    "bytes",
                    query(f"max by (pod) ({catalogue.REPLICA_MEMORY.name}{{{CHOSEN}}})", "{{pod}}"),
                )
            ),
            bars(
                "Replicas that ended by themselves",
                "Died: and replaced. Out of memory: for exceeding their memory limit.",
                *(query(counted(metric.name, "function_name", CHOSEN), legend) for metric, legend in ended),
            ),
        ),
    )


FUNCTION = Dashboard(
    uid="springtide-function",
    title="Springtide function",
    description="One function: calls, replicas and who changed them, load against target, cold starts, resources. "
    "The reason of each change is in the console and in springtide explain.",
    variables=(NAMESPACES, ONE_FUNCTION, GATEWAY),
    links=(IN_CONSOLE,),
    rows=(Row("Now", _numbers()), _calls(), _scaling(), _cold_starts(), _resources()),
    annotations=(*SCALING, SCALING_ALERT_FIRES),
)

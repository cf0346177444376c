"""The dashboard "Springtide queues": asynchronous calls, from their acceptance to the answer that is told."""

from __future__ import annotations

from grafana_foundation_sdk.builders.stat import Panel as Number

from springtide.dashboards.annotations import PEOPLE_ALERT_FIRES
from springtide.dashboards.colours import BAD, WORTH_A_LOOK
from springtide.dashboards.dashboard import Dashboard, Row
from springtide.dashboards.panels import Step, bars, lines, number, query, stacked, to_function
from springtide.dashboards.queries import CHOSEN, RARE, counted, now, quantile, rare_quantile, rate, total_rate
from springtide.dashboards.selection import FUNCTIONS, NAMESPACES
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Metric

AGE: tuple[Step, ...] = ((None, "green"), (300, "orange"), (3600, "red"))
ROOM: tuple[Step, ...] = ((None, "green"), (0.6, "orange"), (0.8, "red"))
CONNECTED: tuple[Step, ...] = ((None, "red"), (1, "green"))
SHARES = (0.5, 0.95, 0.99)

ONLY_CHOSEN = "Of the chosen functions."


def _queues(fold: str, metric: Metric) -> str:
    """Of a queue every copy of the worker tells the same."""
    return f"{fold} by (queue_name) ({metric.name})"


def _numbers() -> tuple[Number, ...]:
    room = f"max({catalogue.BROKER_STORED.name} / {catalogue.BROKER_ROOM.name})"
    return (
        number("In the queues", ONLY_CHOSEN, "short", query(f"sum({now('max', catalogue.JOBS_PENDING)})", "calls")),
        number(
            "Oldest call",
            "How long ago the oldest of all queues came into its queue; empty while there is none.",
            "s",
            query(f"time() - min({catalogue.OLDEST_JOB.name})", "ago"),
            *AGE,
        ),
        number(
            "Ended each second",
            f"Done, given up or cancelled. {ONLY_CHOSEN}",
            "reqps",
            query(total_rate(catalogue.JOBS_ENDED.name), "ended"),
        ),
        number("Running", ONLY_CHOSEN, "short", query(f"sum({now('sum', catalogue.JOBS_RUNNING)})", "running")),
        number(
            "Put off",
            "Calls of all functions whose time has not come.",
            "short",
            query(f"max({catalogue.JOBS_DELAYED.name})", "put off"),
        ),
        number(
            "Dead letters",
            "Calls and callbacks of all functions that were given up, and that nobody has put back or thrown away.",
            "short",
            query(f"sum({_queues('max', catalogue.DEAD_LETTERS)})", "dead"),
            *BAD,
        ),
        number(
            "Answers to be told",
            "Callbacks that are yet to be sent, or sent again.",
            "short",
            query(f"max({catalogue.CALLBACKS_WAITING.name})", "waiting"),
            *WORTH_A_LOOK,
        ),
        number(
            "Room taken at the server",
            "Of what it may keep on disk. Empty where that is not known.",
            "percentunit",
            query(room, "taken"),
            *ROOM,
        ),
    )


def _depth() -> Row:
    return Row(
        "Queues",
        (
            to_function(
                lines(
                    "Calls in the queues, by function",
                    "Those that wait, run or are to be repeated.",
                    "short",
                    query(now("max", catalogue.JOBS_PENDING), "{{function_name}}"),
                ).decimals(0)
            ),
            lines(
                "Age of the oldest call, by queue",
                "From when it came into its queue. It waits, runs or is repeated.",
                "s",
                query(f"time() - {_queues('min', catalogue.OLDEST_JOB)}", "{{queue_name}}"),
            ),
            lines(
                "Coming and ended, by queue",
                "Calls each second, of all functions. More that come than end: the queue grows.",
                "reqps",
                query(
                    f"max by (queue_name) (rate({catalogue.JOBS_SUBMITTED.name}[$__rate_interval]))",
                    "{{queue_name}} coming",
                ),
                query(
                    f"sum by (queue_name) (rate({catalogue.JOBS_ENDED.name}[$__rate_interval]))", "{{queue_name}} ended"
                ),
            ),
            lines(
                "Dead letters and calls put off",
                "Given up: by queue. Put off: of all queues, until their time comes.",
                "short",
                query(_queues("max", catalogue.DEAD_LETTERS), "{{queue_name}} dead"),
                query(f"max({catalogue.JOBS_DELAYED.name})", "put off"),
            ).decimals(0),
        ),
    )


def _running() -> Row:
    ended = rate(catalogue.JOBS_ENDED.name, "function_name, state")
    return Row(
        "Calls",
        (
            to_function(
                stacked(
                    lines(
                        "Running, by function",
                        "Calls that workers make now.",
                        "short",
                        query(now("sum", catalogue.JOBS_RUNNING), "{{function_name}}"),
                    ).decimals(0)
                )
            ),
            lines(
                "Ended, by function and how",
                "Each second. Failed: given up after all tries.",
                "reqps",
                query(ended, "{{function_name}} {{state}}"),
            ),
            lines(
                "Waited until the first try",
                f"From acceptance, or from when the call was put off to; over {RARE}. {ONLY_CHOSEN}",
                "s",
                *(query(rare_quantile(share, catalogue.JOB_WAIT, RARE), f"p{share * 100:g}") for share in SHARES),
            ),
            lines(
                "Waited until the first try, p95, by function",
                "A function that waits longer than others has less room for what comes.",
                "s",
                query(quantile(0.95, catalogue.JOB_WAIT), "{{function_name}}"),
            ),
            lines(
                "Duration of a try",
                f"Until what came of it was stored; over {RARE}. {ONLY_CHOSEN}",
                "s",
                *(query(rare_quantile(share, catalogue.JOB_RUN, RARE), f"p{share * 100:g}") for share in SHARES),
            ),
            bars(
                "Tries that are repeated",
                "Failed, with a status that is worth another try, or without an answer.",
                query(f"{counted(catalogue.JOBS_RETRIED.name, 'function_name', CHOSEN)} > 0", "{{function_name}}"),
            ),
        ),
    )


def _callbacks() -> Row:
    return Row(
        "Callbacks",
        (
            bars(
                "Tries to tell an answer",
                "By what came of each: told, repeated later, or given up, which leaves a dead letter.",
                query(counted(catalogue.CALLBACKS.name, "outcome", ""), "{{outcome}}"),
            ),
            lines(
                "Answers that wait to be told",
                "Of all queues.",
                "short",
                query(f"max({catalogue.CALLBACKS_WAITING.name})", "waiting"),
            ).decimals(0),
        ),
    )


def _broker() -> Row:
    found = "By whom, in the time since the point before."
    return Row(
        "Server",
        (
            lines(
                "Kept on disk, and room for it",
                "Beyond it the server refuses: new calls are answered with 503.",
                "bytes",
                query(f"max({catalogue.BROKER_STORED.name})", "kept"),
                query(f"max({catalogue.BROKER_ROOM.name})", "room"),
            ),
            lines(
                "Answers",
                "1 while the server answers a worker and stores.",
                "short",
                query(f"min by (instance) ({catalogue.BROKER_CONNECTED.name})", "{{instance}}"),
            ).decimals(0),
            bars(
                "Connections lost and found again",
                found,
                query(counted(catalogue.BROKER_RECONNECTS.name, "job", ""), "{{job}}"),
                query(counted(catalogue.GATEWAY_RECONNECTS.name, "job", ""), "{{job}}"),
            ),
            lines(
                "Kept and unreadable",
                "What the server found since it was started that its disk had wrong: it is lost.",
                "bytes",
                query(f"max({catalogue.BROKER_LOST.name})", "lost"),
            ),
            lines(
                "Accepted and not yet on disk, at most",
                "For how long; what is not on disk dies with the power. 0: each call is synced before it is accepted.",
                "s",
                query(f"max({catalogue.BROKER_SYNC.name})", "at most"),
            ),
        ),
    )


QUEUES = Dashboard(
    uid="springtide-queues",
    title="Springtide queues",
    description="Asynchronous calls: how many wait and for how long, what becomes of them, whether callers are told, "
    "and the server that keeps them. The story of a single call is in the console.",
    variables=(NAMESPACES, FUNCTIONS),
    rows=(Row("Now", _numbers()), _depth(), _running(), _callbacks(), _broker()),
    annotations=(PEOPLE_ALERT_FIRES,),
)

"""The dashboard "Springtide triggers": calls by the clock, functions woken ahead of them, and calls for events."""

from __future__ import annotations

from grafana_foundation_sdk.builders.stat import Panel as Number

from springtide.dashboards.annotations import PEOPLE_ALERT_FIRES
from springtide.dashboards.cold_starts import known_before
from springtide.dashboards.colours import BAD, WORTH_A_LOOK
from springtide.dashboards.dashboard import Dashboard, Row
from springtide.dashboards.event_rows import event_rows, sources_away
from springtide.dashboards.panels import Step, bars, lines, number, query, steps
from springtide.dashboards.queries import RARE, counted, grown, rare_quantile
from springtide.dashboards.selection import FUNCTIONS, NAMESPACES
from springtide.scaler.core import catalogue
from springtide.scaler.core.vocabulary import Writer

LATE: tuple[Step, ...] = ((None, "green"), (5, "orange"), (60, "red"))
SHARES = (0.5, 0.95, 0.99)
HOUR = "1h"
"""Ticks are rare: what a board begins with is counted over so long."""
UNCALLED = 'outcome=~"refused|skipped|missed"'
WRONG, UNMET = 'outcome=~"failed|refused|missed"', 'met=~"late|cold"'


def _counted(text: str, about: str, selected: str, labels: str, *colours: Step) -> Number:
    expr = grown(selected, HOUR, by="", labels=labels)
    return number(f"{text}, last hour", about, "short", query(expr, "in an hour"), *colours)


def _numbers() -> tuple[Number, ...]:
    return (
        number(
            "Schedules",
            "Of all functions, that can be read. What is wrong of one is told in the console and by springtide list.",
            "short",
            query(f"max({catalogue.SCHEDULES.name})", "schedules"),
        ),
        _counted("Ticks", "Whatever became of them.", catalogue.TICKS.name, ""),
        _counted(
            "Went wrong",
            "Failed, refused by the gateway, or missed: too late to be of use.",
            catalogue.TICKS.name,
            WRONG,
            *BAD,
        ),
        _counted(
            "Skipped",
            "The call before had not ended, and the function's overlap is forbid.",
            catalogue.TICKS.name,
            'outcome="skipped"',
            *WORTH_A_LOOK,
        ),
        number(
            "Late, p99",
            "From when a tick was due until its call was stored; over an hour.",
            "s",
            query(rare_quantile(0.99, catalogue.TICK_LATENESS, HOUR, labels=""), "p99"),
            *LATE,
        ),
        number(
            "Overdue",
            "By how much the oldest tick is late that is not sent. 0: none is.",
            "s",
            query(f"max({catalogue.TICKS_OVERDUE.name})", "overdue"),
            *LATE,
        ),
        _counted(
            "Met a cold start",
            "Calls that were known before and found no replica that was ready.",
            catalogue.EXPECTED_CALLS.name,
            UNMET,
            *BAD,
        ),
        number(
            "Sources away",
            "Sources of events that no copy is connected to. Empty where no connector runs.",
            "short",
            sources_away(),
            *BAD,
        ),
    )


def _schedules() -> Row:
    return Row(
        "Schedules",
        (
            bars(
                "Ticks, by what became of them",
                "queued: the call is stored; called or failed: without a queue, by the function's answer; the others "
                "were never called.",
                query(counted(catalogue.TICKS.name, "outcome", ""), "{{outcome}}"),
            ),
            bars(
                "Ticks that were not called, by reason",
                "refused by the gateway; skipped, for the call before had not ended; missed, too late to be of use.",
                query(counted(catalogue.TICKS.name, "outcome", UNCALLED), "{{outcome}}"),
            ),
            lines(
                "Late",
                f"From when a tick was due until its call was stored, or begun; over {RARE}.",
                "s",
                *(
                    query(rare_quantile(share, catalogue.TICK_LATENESS, RARE, labels=""), f"p{share * 100:g}")
                    for share in SHARES
                ),
            ),
            lines(
                "Overdue ticks",
                "By how much the oldest tick is late that is not sent, by copy; 0: none is.",
                "s",
                query(f"max by (instance) ({catalogue.TICKS_OVERDUE.name})", "{{instance}}"),
            ),
            bars(
                "Tries to send a tick that are repeated",
                "The gateway was away, or full.",
                query(counted(catalogue.TICK_RETRIES.name, "job", ""), "{{job}}"),
            ),
            steps(
                "Schedules that can be read",
                "Of all functions.",
                query(f"max({catalogue.SCHEDULES.name})", "schedules"),
            ),
        ),
    )


def _ahead() -> Row:
    known = known_before()
    told = counted(catalogue.DECISIONS.name, "reason", f'writer="{Writer.PREWARM}"')
    return Row(
        known.title,
        (
            *known.panels,
            bars(
                "Woken ahead, and why not, by reason",
                "scheduled and job_due are wakes; the others left the function asleep, as springtide explain tells.",
                query(f"{told} > 0", "{{reason}}"),
            ),
        ),
    )


TRIGGERS = Dashboard(
    uid="springtide-triggers",
    title="Springtide triggers",
    description="What calls functions by itself: schedules, whether their ticks are sent in time and meet a replica "
    "that is ready, and events of other systems. Each tick and each event is in the console.",
    variables=(NAMESPACES, FUNCTIONS),
    rows=(Row("Now", _numbers()), _schedules(), _ahead(), *event_rows()),
    annotations=(PEOPLE_ALERT_FIRES,),
)

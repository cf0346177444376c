"""Rows of panels about events: what comes from other systems, and what becomes of it at the functions."""

from __future__ import annotations

from springtide.dashboards.dashboard import Row
from springtide.dashboards.panels import Query, bars, lines, query, stacked, timeline, to_function
from springtide.dashboards.queries import CHOSEN, RARE, counted, rare_quantile
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Metric

SHARES = (0.5, 0.95, 0.99)


def _by_source(fold: str, metric: Metric) -> str:
    return f"{fold} by (source) ({metric.name})"


def sources_away() -> Query:
    """How many no copy is connected to: of several one may have a source to itself, and the others stand by."""
    return query(f"sum({_by_source('max', catalogue.EVENT_SOURCE_CONNECTED)} == bool 0)", "away")


def event_rows() -> tuple[Row, ...]:
    return _sources(), _delivery(), _functions()


def _sources() -> Row:
    return Row(
        "Sources of events",
        (
            timeline(
                "Connected",
                "Whether a copy of the connector is connected to each source.",
                {"1": ("connected", "green"), "0": ("away", "red")},
                query(_by_source("max", catalogue.EVENT_SOURCE_CONNECTED), "{{source}}"),
            ),
            lines(
                "Events that wait",
                "In their system; only some tell how many. Rises while more happens than functions take.",
                "short",
                query(_by_source("max", catalogue.EVENTS_WAITING), "{{source}}"),
            ).decimals(0),
            stacked(
                lines(
                    "Events each second by source",
                    "That are done with.",
                    "cps",
                    query(f"sum by (source) (rate({catalogue.EVENTS.name}[$__rate_interval]))", "{{source}}"),
                )
            ),
            bars(
                "What became of events",
                "Delivered: stored in the queue, or answered, for each function that wants it. Unwanted: no function "
                "wants its topic. Empty: it has no body, and is delivered to nobody.",
                query(counted(catalogue.EVENTS.name, "outcome", ""), "{{outcome}}"),
            ),
        ),
    )


def _delivery() -> Row:
    bucket = catalogue.EVENT_SECONDS
    return Row(
        "Events on their way",
        (
            lines(
                "On their way to functions",
                "Events that were read and are not done with. At max_inflight no more are read.",
                "short",
                query(_by_source("sum", catalogue.EVENTS_INFLIGHT), "{{source}}"),
            ).decimals(0),
            lines(
                "Until an event is done with",
                "From its being read until it is stored in the queue, or answered by all its functions.",
                "s",
                *(query(rare_quantile(share, bucket, RARE, labels=""), f"p{share * 100:g}") for share in SHARES),
            ),
            bars(
                "Deliveries tried again",
                "Tries that are repeated, as the gateway is away or busy, or its queue is full.",
                query(counted(catalogue.EVENT_RETRIES.name, "source", ""), "{{source}}"),
            ),
            bars(
                "Done with, and the source does not know; and given before",
                "The first are given again; a call through the queue is still one call. Given before: their "
                "source says so, as after a connector was killed, or by an event that ends whoever has it.",
                query(counted(catalogue.EVENTS_UNCONFIRMED.name, "source", ""), "{{source}}"),
                query(counted(catalogue.EVENTS_REDELIVERED.name, "source", ""), "{{source}} given before"),
            ),
        ),
    )


def _functions() -> Row:
    calls = catalogue.EVENT_CALLS.name
    return Row(
        "Events by function",
        (
            to_function(
                bars(
                    "Events that were taken",
                    "That were stored in the queue, or answered.",
                    query(counted(calls, "function_name", f'{CHOSEN},outcome=~"stored|answered"'), "{{function_name}}"),
                )
            ),
            to_function(
                bars(
                    "Events that failed, or were refused",
                    "Failed: the function answered with an error, or not at all. Refused: the gateway will never take "
                    "it. Gone: the function was removed, or wants the topic no more.",
                    query(
                        counted(calls, "function_name, outcome", f'{CHOSEN},outcome=~"failed|refused|gone"'),
                        "{{function_name}} {{outcome}}",
                    ),
                )
            ),
        ),
    )
